"""How long `counterfoil verify` takes, by what it checks; and what sealing and signing cost a drainer.

    python benchmarks/audit.py --events 100000

The store is the one of `big_store.py`, signed and anchored. To seal and to sign are measured beside a drainer that does
neither, in turn, each in a process of its own, on the same tape: CPU time. Without sealing it stores rows of the same
size, and hashes only what payloads are found by. Signed is after every 2 MB of tape, far more often than drainers do.
"""

# ruff: noqa: SLF001  # the parts of one verification are what is timed

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import big_store
from counterfoil.cli import GC_THRESHOLD
from counterfoil.store import (
    anchors,
    audit,
    chain,
    checkpoints,
    ingest,
    schema,
    seal,
    sealing,
    signing,
    texts,
    undrained,
)
from counterfoil.store.notary import Notary
from counterfoil.store.sources import store_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CASES = ("neither", "sealed", "sealed and signed")


# -- verify


def verified(path: str, anchor: str) -> Iterator[tuple[str, float, float]]:
    """Give each check of `counterfoil verify`, and its CPU and wall seconds."""
    kept, _ = anchors.read(anchor)
    with audit._opened(path) as db:

        def timed(name: str, look: Callable[[], Any]) -> tuple[str, float, float]:
            cpu, wall = time.process_time(), time.perf_counter()
            found = look()
            for check in found if isinstance(found, list) else [found]:
                assert getattr(check, "level", "ok") == "ok", check
            return name, time.process_time() - cpu, time.perf_counter() - wall

        notary = Notary(db, store_id(db), kept, None)
        walked = chain.walk(db, notary.sizes)
        yield timed("chain and tree", lambda: list(chain.walk(db, notary.sizes).checks))
        yield timed("texts", lambda: texts.against_seals(db))
        yield timed("what is not sealed", lambda: list(audit._unsealed(db)))
        yield timed("checkpoints, anchor", lambda: [*notary.own_notes(walked, 0), *notary.anchor(walked, 0)])
        yield timed("the file", lambda: audit._file(db))
        yield timed("built tables", lambda: audit._built(db, path, None))
        yield timed("tapes", lambda: list(undrained.on_tapes(db, path)))


def show_verify(folder: Path, events: int, writers: int) -> None:
    path, anchor = str(folder / "big.db"), str(folder / "anchor")
    big_store.make(path, events=events, writers=writers)
    signed = signing.begin(path, anchor=anchor)
    checks = list(verified(path, anchor))
    cpu, wall = (sum(one[at] for one in checks) for at in (1, 2))
    size = os.stat(path).st_size / 1e6
    print(f"verify: {signed.events:,} events, {size:,.0f} MB; load {os.getloadavg()[0]:.1f}")
    print(f"{'check':22} {'CPU s':>8} {'wall s':>8} {'us CPU/event':>13} {'share':>6}")
    for name, used, passed in [*checks, ("all", cpu, wall)]:
        print(f"{name:22} {used:8.2f} {passed:8.2f} {used / signed.events * 1e6:13.1f} {used / cpu:6.0%}")
    began = time.process_time()
    with ingest.Drainer(path) as drainer:
        drainer.drain(sign=False)
        before = time.process_time()
        assert drainer.db is not None
        checkpoints.make(drainer.db, checkpoints.signer(drainer.db))
    print(
        f"one more checkpoint: {(time.process_time() - before) * 1e3:.1f} ms CPU; {before - began:.2f} s to get there\n"
    )


# -- sealing and signing


class Signing(ingest.Drainer):
    """Signs after each transaction."""

    made = 0
    seconds = 0.0

    def pause(self) -> None:
        began = time.process_time()
        assert self.db is not None
        checkpoints.make(self.db, checkpoints.signer(self.db))
        self.seconds += time.process_time() - began
        self.made += 1
        super().pause()


def drained(case: str, folder: Path) -> tuple[float, float, int]:
    """Give the CPU seconds of a drainer, of which for checkpoints, and how many these were."""
    path = folder / "x.db"
    schema.open_writer(str(path)).close()
    signing.begin(path)  # makes the key, and has OpenSSL imported, in every case
    shutil.copytree(folder / "tapes", ingest.tapes.folder_of(str(path)), dirs_exist_ok=True)
    if case == "neither":
        nothing = bytes(seal.COMMITMENT)
        seal.commitment = lambda _salt, digest: digest
        seal.leaf = lambda _head, _commitments: nothing
        seal.chained = lambda _before, _seq, _leaf: nothing
        sealing._salts = lambda count: [nothing[: seal.SALT]] * count
    gc.set_threshold(*GC_THRESHOLD)  # as `counterfoil drain` has it
    with (Signing if case == "sealed and signed" else ingest.Drainer)(path) as drainer:
        cpu = time.process_time()
        drainer.drain(sign=False)
        cpu = time.process_time() - cpu
    return cpu, getattr(drainer, "seconds", 0.0), getattr(drainer, "made", 0)


def ask(case: str, tapes: Path) -> tuple[float, float, int]:
    with tempfile.TemporaryDirectory() as own:
        shutil.copytree(tapes, Path(own, "tapes"))
        answer = subprocess.run(
            [sys.executable, __file__, "--child", case, "--folder", own],
            env={**os.environ, "XDG_CONFIG_HOME": own},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    return tuple(json.loads(answer.stdout))


def show_drain(folder: Path, events: int, rounds: int) -> None:
    writer = multiprocessing.get_context("spawn").Process(
        target=big_store.record, args=(str(folder / "kept.db"), 0, 1, events, 1)
    )
    writer.start()
    writer.join()
    seen: dict[str, list[tuple[float, float, int]]] = {case: [] for case in CASES}
    for _ in range(rounds):
        for case, times in seen.items():
            times.append(ask(case, folder / "kept.db.tape"))
    print(f"drain: {events:,} events; medians of {rounds}; load {os.getloadavg()[0]:.1f}")
    print(f"{'case':20} {'CPU s':>8} {'us CPU/event':>13} {'x neither (min-max)':>22}")
    for case, times in seen.items():
        cpu = statistics.median(one[0] for one in times)
        ratios = sorted(mine[0] / none[0] for mine, none in zip(times, seen["neither"], strict=True))
        told = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        print(f"{case:20} {cpu:8.2f} {cpu / events * 1e6:13.1f} {told:>22}")
    cost = statistics.median(seconds / cpu for cpu, seconds, _ in seen[CASES[2]])
    _, seconds, made = seen[CASES[2]][-1]
    print(f"{made} checkpoints, {seconds / made * 1e3:.1f} ms each: {cost:.1%} of the drainer that signs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--drained", type=int, default=50_000, help="events of which sealing is measured")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(drained(options.child, options.folder)))
        return
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CONFIG_HOME"] = name
        show_verify(Path(name), options.events, options.writers)
        show_drain(Path(name), options.drained, options.rounds)


if __name__ == "__main__":
    main()
