"""A process that records until it is killed, what it acknowledged, and the comparison of that with the store."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import counterfoil
from counterfoil.store.read import Store
from counterfoil.store.seal import verify_chain
from nursery import Nursery

__all__ = [
    "Start",
    "assert_one_death_says_nothing_of_another",
    "assert_what_was_acknowledged_is_there_once",
    "processes",
]


class Doomed:
    """A process that runs `work(db, fifo)` of `module`, and acknowledges what it has recorded, as `doomed.py` says."""

    def __init__(self, nursery: Nursery, db: Path, fifo: Path, module: str, **environment: str) -> None:
        os.mkfifo(fifo)
        self._nursery = nursery
        self._output = fifo.with_suffix(".output")
        program = f"import {module}; {module}.work({str(db)!r}, {str(fifo)!r})"
        self.pid = nursery.start(program, db.parent, self._output, **environment)
        self._file = os.fdopen(os.open(fifo, os.O_RDONLY), "rb")
        self.started: set[str] = set()
        self.ended: set[str] = set()
        self.over: set[str] = set()  # of these some are no steps
        self.lines = 0

    def read(self, acknowledgements: int | None = None) -> None:
        """Take so many acknowledgements; None: all that come until the process is gone."""
        while acknowledgements is None or acknowledgements > 0:
            line = self._file.readline()
            if not line.endswith(b"\n"):
                if acknowledgements is not None:
                    pytest.fail(f"it ended by itself: {Path(f'{self._output}.err').read_text()}")
                return
            what, native_id, lines = line.decode().split()
            {"started": self.started, "ended": self.ended, "over": self.over}[what].add(native_id)
            self.lines = max(self.lines, int(lines))
            if acknowledgements is not None:
                acknowledgements -= 1

    def kill(self) -> None:
        if self._file.closed:
            return
        os.kill(self.pid, signal.SIGKILL)
        self.read()
        self._file.close()
        assert self._nursery.wait(self.pid) == -signal.SIGKILL  # its locks are free once it is gone


Start = Callable[[], Doomed]


@contextmanager
def processes(nursery: Nursery, db: Path, module: str, **environment: str) -> Iterator[Start]:
    """Give a function that starts such a process; all are killed at the end of the block."""
    started: list[Doomed] = []

    def start() -> Doomed:
        fifo = db.with_name(f"acknowledged-{len(started)}")
        started.append(Doomed(nursery, db, fifo, module, **environment))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.kill()


def assert_what_was_acknowledged_is_there_once(db: Path, start: Start, framework: str, kills: int) -> None:
    """Kill so many processes, each at a random moment, and look after each whether all that it acknowledged is there."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown where the test fails
    chance = random.Random(seed)
    interrupted = acknowledged = 0
    first = start()  # a killed process may have recorded nothing: one that has makes the store
    first.read(1)
    first.kill()
    for number in range(kills):
        process = start()
        process.read(chance.randrange(400 if number % 2 else 20))
        time.sleep(chance.random() * 0.02)
        process.kill()
        with counterfoil.open(db) as store:
            statuses = _compared(store, process, framework)
            assert set(statuses) <= {"ok", "interrupted"}
        interrupted += statuses["interrupted"]
        acknowledged += len(process.started) + len(process.ended)
    with counterfoil.open(db) as store:
        _assert_each_step_is_told_once(store)
        runs = store.runs(all=True, limit=None)
        assert {run.status for run in runs} <= {"ok", "interrupted"}
        assert not any(run.open_steps for run in runs)
        assert not any(process.alive for process in store.processes())
    with closing(sqlite3.connect(db)) as connection:
        assert verify_chain(connection) is None
    assert interrupted > 0
    assert acknowledged > 10 * kills


def assert_one_death_says_nothing_of_another(db: Path, start: Start, framework: str) -> None:
    """Kill one of two processes, then the other: until then it is alive, and none of its steps is interrupted."""
    dead, alive = start(), start()
    alive.read(100)
    dead.read(100)
    dead.kill()
    with counterfoil.open(db) as store:
        assert _compared(store, dead, framework)["interrupted"] > 0
        _, rows = store.sql(
            "SELECT DISTINCT s.status FROM steps s JOIN processes p USING (process_id) WHERE p.pid = ?",
            (alive.pid,),
        )
        assert {status for (status,) in rows} <= {"ok", "running"}
        assert {process.pid for process in store.processes() if process.alive} == {alive.pid}
    alive.read(100)
    alive.kill()
    with counterfoil.open(db) as store:
        _compared(store, dead, framework)
        assert _compared(store, alive, framework)["interrupted"] > 0
        _assert_each_step_is_told_once(store)


def _compared(store: Store, process: Doomed, framework: str) -> Counter[str]:
    """Compare what `process` acknowledged with what the store holds of it; give how many steps have which status."""
    _, rows = store.sql(
        """SELECT s.native_id, s.status FROM steps s JOIN processes p USING (process_id)
        WHERE p.pid = ? AND s.framework = ?""",
        (process.pid, framework),
    )
    steps = dict(rows)
    assert len(steps) == len(rows)
    assert process.started - set(steps) == set()
    assert {steps[native_id] for native_id in process.over & set(steps)} <= {"ok"}
    assert {native_id: steps.get(native_id) for native_id in process.ended} == dict.fromkeys(
        process.ended, "ok"
    )
    _, ((events, numbers),) = store.sql(
        """SELECT count(*), count(DISTINCT json_extract(e.head, '$.q')) FROM events e JOIN tapes t USING (tape_id)
        JOIN writers w USING (writer_id) WHERE w.writer LIKE '%-' || ? || '-%' AND e.kind NOT IN ('open', 'gone')""",
        (process.pid,),
    )
    assert events == numbers
    assert events >= process.lines
    return Counter(steps.values())


def _assert_each_step_is_told_once(store: Store) -> None:
    _, repeated = store.sql(
        """SELECT step_id, kind, count(*) FROM events WHERE kind IN ('start', 'end', 'gone') AND step_id IS NOT NULL
        GROUP BY step_id, kind HAVING count(*) > 1"""
    )
    assert repeated == []
    # A kill can stop a write at a page's border; its event was not acknowledged.
    assert {one.reason for one in store.quarantine()} <= {"the last line is torn"}
    assert store.troubles() == []
