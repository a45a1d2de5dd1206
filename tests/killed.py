"""A process that records until it is killed, what it acknowledged, and the comparison of that with the store."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from counterfoil.store.read import Store
from nursery import Nursery

__all__ = ["Doomed", "assert_each_step_is_told_once", "assert_nothing_is_lost_or_twice"]


class Doomed:
    """A process that writes a line `<started or ended> <native id> <lines of tape>` to a fifo after each recorded event.

    `program` is what it runs, with the name `fifo` for the fifo's path.
    """

    def __init__(self, nursery: Nursery, db: Path, fifo: Path, program: str, **environment: str) -> None:
        os.mkfifo(fifo)
        self._nursery = nursery
        self._output = fifo.with_suffix(".output")
        self.pid = nursery.start(f"fifo = {str(fifo)!r}\n{program}", db.parent, self._output, **environment)
        self._file = os.fdopen(os.open(fifo, os.O_RDONLY), "rb")
        self.started: set[str] = set()
        self.ended: set[str] = set()
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
            {"started": self.started, "ended": self.ended}[what].add(native_id)
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


def assert_nothing_is_lost_or_twice(store: Store, process: Doomed, framework: str) -> Counter[str]:
    """Compare what `process` acknowledged with what the store holds of it; give how many steps have which status."""
    _, rows = store.sql(
        """SELECT s.native_id, s.status FROM steps s JOIN processes p USING (process_id)
        WHERE p.pid = ? AND s.framework = ?""",
        (process.pid, framework),
    )
    steps = dict(rows)
    assert len(steps) == len(rows)
    assert process.started - set(steps) == set()
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


def assert_each_step_is_told_once(store: Store) -> None:
    _, repeated = store.sql(
        """SELECT step_id, kind, count(*) FROM events WHERE kind IN ('start', 'end', 'gone') AND step_id IS NOT NULL
        GROUP BY step_id, kind HAVING count(*) > 1"""
    )
    assert repeated == []
    # A kill can stop a write at a page's border; its event was not acknowledged.
    assert {one.reason for one in store.quarantine()} <= {"the last line is torn"}
    assert store.troubles() == []
