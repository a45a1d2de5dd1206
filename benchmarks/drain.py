"""How fast a drainer is, chain and built tables included, beside raw sqlite3 that inserts the same rows.

    python benchmarks/drain.py

Raw: every row of the store that the drainer made, by executemany into the same tables with the same indexes, in as many
transactions; no tape to read, nothing to hash, each row once and ready. In turn, each in a process of its own; CPU
time. Then a drainer in a thread of a process whose main thread computes without a pause.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from big_store import record
from counterfoil.cli import GC_THRESHOLD
from counterfoil.store import ingest, schema

TODAY = ("events_once", "events_made")
CASES = ("raw", "raw, without two indexes", "drainer", "drainer, without two indexes")
EVENTS_A_TRANSACTION = 2_500


def raw(folder: Path, *, without: bool) -> tuple[float, float]:
    """Give CPU and wall seconds."""
    made = sqlite3.connect(folder / "made.db")
    tables = [
        name
        for (name,) in made.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        if not name.startswith(("sqlite_", "_", "meta", "writers", "tapes"))
    ]
    rows = {}
    for table in tables:
        # Hidden are the columns that SQLite computes.
        columns = [row[1] for row in made.execute(f"PRAGMA table_xinfo({table})") if not row[6]]
        rows[table] = (columns, made.execute(f"SELECT {','.join(columns)} FROM {table}").fetchall())
    db = fresh(folder / "raw.db", without=without)
    parts = max(1, len(rows["events"][1]) // EVENTS_A_TRANSACTION)
    cpu, wall = time.process_time(), time.perf_counter()
    for part in range(parts):
        db.execute("BEGIN IMMEDIATE")
        for table, (columns, all_rows) in rows.items():
            size = -(-len(all_rows) // parts)
            some = all_rows[part * size : (part + 1) * size]
            if some:
                marks = ",".join("?" * len(columns))
                db.executemany(f"INSERT INTO {table}({','.join(columns)}) VALUES ({marks})", some)
        db.execute("COMMIT")
    return time.process_time() - cpu, time.perf_counter() - wall


def fresh(path: Path, *, without: bool) -> sqlite3.Connection:
    db = schema.open_writer(str(path))
    if without:
        for index in TODAY:
            db.execute(f"DROP INDEX {index}")
    return db


def drained(folder: Path, *, without: bool) -> tuple[float, float]:
    path = folder / "new.db"
    shutil.copytree(folder / "made.db.tape", folder / "new.db.tape")
    fresh(path, without=without).close()
    with ingest.Drainer(path) as drainer:
        gc.set_threshold(*GC_THRESHOLD)  # as `counterfoil drain` has it
        cpu, wall = time.process_time(), time.perf_counter()
        drainer.drain()
        return time.process_time() - cpu, time.perf_counter() - wall


def beside_a_busy_thread(folder: Path) -> tuple[float, float]:
    """Give the CPU seconds of the drainer's thread, and the wall seconds."""
    shutil.copytree(folder / "made.db.tape", folder / "new.db.tape")
    fresh(folder / "new.db", without=False).close()
    taken: list[float] = []

    def drain() -> None:
        with ingest.Drainer(folder / "new.db") as drainer:
            cpu, wall = time.thread_time(), time.perf_counter()
            drainer.drain()
            taken.extend((time.thread_time() - cpu, time.perf_counter() - wall))

    thread = threading.Thread(target=drain)
    thread.start()
    n = 0
    while thread.is_alive():
        for _ in range(1_000):
            n = n * 31 % 1_000_003
    return taken[0], taken[1]


def one(case: str, folder: Path) -> tuple[float, float]:
    if case == "beside a busy thread":
        return beside_a_busy_thread(folder)
    return (raw if case.startswith("raw") else drained)(folder, without="without" in case)


def ask(case: str, folder: Path) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as own:
        shutil.copytree(folder / "made.db.tape", Path(own, "made.db.tape"))
        if case.startswith("raw"):
            shutil.copy(folder / "made.db", own)
        answer = subprocess.run(
            [sys.executable, __file__, "--child", case, "--folder", own],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    cpu, wall = json.loads(answer.stdout)
    return cpu, wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(one(options.child, options.folder)))
        return
    seen: dict[str, list[tuple[float, float]]] = {case: [] for case in (*CASES, "beside a busy thread")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        writer = multiprocessing.get_context("spawn").Process(
            target=record, args=(str(folder / "kept.db"), 0, 1, options.events, 1)
        )
        writer.start()
        writer.join()
        (folder / "kept.db.tape").rename(folder / "made.db.tape")
        shutil.copytree(folder / "made.db.tape", folder / "drained.db.tape")
        with ingest.Drainer(folder / "drained.db") as drainer:
            events = drainer.drain().events
        (folder / "drained.db").rename(folder / "made.db")
        for _ in range(options.rounds):
            for case, times in seen.items():
                times.append(ask(case, folder))
    show(seen, events)


def show(seen: dict[str, list[tuple[float, float]]], events: int) -> None:
    print(f"{events:,} events; medians of {len(seen['raw'])}; load {os.getloadavg()[0]:.1f}")
    print(
        f"{'case':32} {'us CPU/event':>13} {'events/s of CPU':>16} {'x raw (min-max)':>20} {'events/s, wall':>15}"
    )
    for case, times in seen.items():
        cpu = statistics.median(one for one, _ in times)
        ratios = sorted(raw[0] / mine[0] for raw, mine in zip(seen["raw"], times, strict=True))
        told = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        wall = statistics.median(events / one for _, one in times)
        print(f"{case:32} {cpu / events * 1e6:13.1f} {events / cpu:16,.0f} {told:>20} {wall:15,.0f}")


if __name__ == "__main__":
    main()
