"""What `import counterfoil` costs beyond the interpreter, and `counterfoil_langchain` beyond LangChain.

python benchmarks/import_time.py [--rounds 15]

CPU time of whole processes, each case in turn; medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

CASES = {
    "python": "pass",
    "import counterfoil": "import counterfoil",
    "import langchain_core.callbacks": "import langchain_core.callbacks",
    "import counterfoil_langchain + CounterfoilHandler": (
        "import langchain_core.callbacks; from counterfoil_langchain import CounterfoilHandler"
    ),
}


def cpu_ms(code: str) -> float:
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return used * 1e3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    seen: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, code in CASES.items():
            seen[name].append(cpu_ms(code))
    for name, base in (
        ("import counterfoil", "python"),
        ("import counterfoil_langchain + CounterfoilHandler", "import langchain_core.callbacks"),
    ):
        beyond = statistics.median(mine - theirs for mine, theirs in zip(seen[name], seen[base], strict=True))
        print(f"{name}: {beyond:.0f} ms CPU beyond `{base}` ({statistics.median(seen[base]):.0f} ms)")


if __name__ == "__main__":
    main()
