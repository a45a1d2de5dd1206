"""kill -9 at random moments: what a callback has returned from is in the store, once, when it is next opened."""

import os
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

import counterfoil
from counterfoil.store.seal import verify_chain

#: Callbacks after which a step must be there, and those after which it must have ended by itself.
STARTS = {"on_chat_model_start", "on_tool_start", "on_retriever_start"}
ENDS = {"on_llm_end", "on_tool_end", "on_retriever_end", "on_chain_end"}


class Doomed:
    """A process that runs agents, and what it acknowledged."""

    def __init__(self, nursery, db, fifo):
        os.mkfifo(fifo)
        program = f"import doomed_process; doomed_process.work({str(db)!r}, {str(fifo)!r})"
        self._nursery = nursery
        self._output = fifo.with_suffix(".output")
        self.pid = nursery.start(program, db.parent, self._output)
        self._file = os.fdopen(os.open(fifo, os.O_RDONLY), "rb")
        self.callbacks = {}  # by native run id
        self.roots = set()
        self.lines = 0

    def read(self, acknowledgements=None):
        """Take so many acknowledgements; None: all that come until the process is gone."""
        while acknowledgements is None or acknowledgements > 0:
            line = self._file.readline()
            if not line.endswith(b"\n"):
                if acknowledgements is not None:
                    pytest.fail(f"it ended by itself: {Path(f'{self._output}.err').read_text()}")
                return
            callback, run_id, root, lines = line.decode().split()
            self.callbacks.setdefault(run_id, []).append(callback)
            if root == "root" and callback == "on_chain_start":
                self.roots.add(run_id)
            self.lines = max(self.lines, int(lines))
            if acknowledgements is not None:
                acknowledgements -= 1

    def kill(self):
        if self._file.closed:
            return
        os.kill(self.pid, signal.SIGKILL)
        self.read()
        self._file.close()
        assert self._nursery.wait(self.pid) == -signal.SIGKILL  # its locks are free once it is gone


@pytest.fixture
def start(nursery, db):
    """Give a function that starts a process which records to the store of the test."""
    started = []

    def start_one():
        started.append(Doomed(nursery, db, db.with_name(f"acknowledged-{len(started)}")))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()


def assert_nothing_is_lost_or_twice(store, process):
    """Compare what `process` acknowledged with what the store holds of it."""
    _, rows = store.sql(
        """SELECT s.native_id, s.kind, s.status FROM steps s JOIN processes p USING (process_id)
        WHERE p.pid = ? AND s.framework = 'langchain'""",
        (process.pid,),
    )
    steps = {native_id: (kind, status) for native_id, kind, status in rows}
    assert len(steps) == len(rows)
    for run_id, callbacks in process.callbacks.items():
        if STARTS & set(callbacks) or run_id in process.roots:
            assert run_id in steps, callbacks
        if run_id in steps and ENDS & set(callbacks):
            assert steps[run_id][1] == "ok", callbacks
    _, ((events, numbers),) = store.sql(
        """SELECT count(*), count(DISTINCT json_extract(e.head, '$.q')) FROM events e JOIN tapes t USING (tape_id)
        JOIN writers w USING (writer_id) WHERE w.writer LIKE '%-' || ? || '-%' AND e.kind NOT IN ('open', 'gone')""",
        (process.pid,),
    )
    assert events == numbers
    assert events >= process.lines
    return Counter(status for _, status in steps.values())


def assert_each_step_is_told_once(store):
    _, repeated = store.sql(
        """SELECT step_id, kind, count(*) FROM events WHERE kind IN ('start', 'end', 'gone') AND step_id IS NOT NULL
        GROUP BY step_id, kind HAVING count(*) > 1"""
    )
    assert repeated == []
    # A kill can stop a write at a page's border; its callback had not returned.
    assert {one.reason for one in store.quarantine()} <= {"the last line is torn"}
    assert store.troubles() == []


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.stress)])
def test_what_was_acknowledged_is_there_once_after_a_kill_at_any_moment(db, start, kills):
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown where the test fails
    chance = random.Random(seed)
    interrupted = acknowledged = 0
    first = start()  # a killed process may have recorded nothing: one that has makes the store
    first.read(1)
    first.kill()
    for number in range(kills):
        process = start()
        process.read(chance.randrange(1000 if number % 2 else 20))
        time.sleep(chance.random() * 0.02)
        process.kill()
        with counterfoil.open(db) as store:
            statuses = assert_nothing_is_lost_or_twice(store, process)
            assert set(statuses) <= {"ok", "interrupted"}
        interrupted += statuses["interrupted"]
        acknowledged += sum(map(len, process.callbacks.values()))
    with counterfoil.open(db) as store:
        assert_each_step_is_told_once(store)
        runs = store.runs(all=True, limit=None)
        assert {run.status for run in runs} <= {"ok", "interrupted"}
        assert not any(run.open_steps for run in runs)
        assert not any(process.alive for process in store.processes())
    with closing(sqlite3.connect(db)) as connection:
        assert verify_chain(connection) is None
    assert interrupted > 0
    assert acknowledged > 10 * kills


def test_one_process_that_dies_says_nothing_of_another(db, start):
    dead, alive = start(), start()
    alive.read(100)
    dead.read(100)
    dead.kill()
    with counterfoil.open(db) as store:
        assert assert_nothing_is_lost_or_twice(store, dead)["interrupted"] > 0
        _, rows = store.sql(
            "SELECT DISTINCT s.status FROM steps s JOIN processes p USING (process_id) WHERE p.pid = ?",
            (alive.pid,),
        )
        assert {status for (status,) in rows} <= {"ok", "running"}
        assert {process.pid for process in store.processes() if process.alive} == {alive.pid}
    alive.read(100)
    alive.kill()
    with counterfoil.open(db) as store:
        assert_nothing_is_lost_or_twice(store, dead)
        assert assert_nothing_is_lost_or_twice(store, alive)["interrupted"] > 0
        assert_each_step_is_told_once(store)
