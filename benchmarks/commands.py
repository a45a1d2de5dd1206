"""What a command costs on a large store: as a whole, and in the store alone.

    python benchmarks/big_store.py big.db --events 1000000
    python benchmarks/commands.py big.db [--rounds 15]

CPU time, user and system; in turn, each in a process of its own; medians. `in the store`: from opening it to having all
rows, with everything imported. The interpreter alone stands beside it: machines differ.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from counterfoil.store import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from counterfoil.store.read import Store

COMMANDS = (
    ("--version",),
    ("runs",),
    ("runs", "--json"),
    ("show", "last"),
    ("cost",),
    ("cost", "--by", "agent"),
)
RUN = "from counterfoil.cli import main; main()"
VIEWS = ("steps", "llm_calls", "tool_calls", "handoffs", "accesses", "decisions", "approvals", "scores")
IN_THE_STORE: dict[str, Callable[[Store], object]] = {
    "opened": lambda store: None,
    "runs": lambda store: store.runs(limit=20),
    "show last": lambda store: [getattr(store, view)("last") for view in VIEWS],
    "cost": lambda store: store.cost(),
    "cost --by agent": lambda store: store.cost("agent"),
}


def used() -> float:
    """Give the CPU seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def whole(code: str, arguments: tuple[str, ...], path: str) -> float:
    before = used()
    subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"COUNTERFOIL_DB": path},
    )
    return used() - before


def in_the_store(ask: Callable[[Store], object], path: str) -> float:
    before = time.process_time()
    with read.open(path) as store:
        ask(store)
    return time.process_time() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    read.open(options.path).close()
    seen: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        seen.setdefault("python", []).append(whole("pass", (), options.path))
        for arguments in COMMANDS:
            seen.setdefault(" ".join(arguments), []).append(whole(RUN, arguments, options.path))
        for name, ask in IN_THE_STORE.items():
            seen.setdefault(f"in the store: {name}", []).append(in_the_store(ask, options.path))
    print(f"ms CPU, median (min-max) of {options.rounds}; load {os.getloadavg()[0]:.1f}")
    for name, times in seen.items():
        print(
            f"{name:32} {statistics.median(times) * 1e3:6.1f} ({min(times) * 1e3:.1f}-{max(times) * 1e3:.1f})"
        )


if __name__ == "__main__":
    main()
