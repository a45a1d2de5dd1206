"""The drainer killed in the midst of its work, at each statement of it: every event once, and the chain holds."""

import os
import shutil
import signal
import sqlite3
from contextlib import closing

import pytest

from counterfoil.store import ingest, schema
from counterfoil.store.seal import verify_chain
from handmade_tape import T0, Tape, run_id, step_id

pytestmark = pytest.mark.slow


def record(db, *, first=1, last=12):
    """Give a tape of two segments, its writer gone, with runs whose texts repeat."""
    tape = Tape(db)
    for n in range(first, last + 1):
        if n == (first + last) // 2:
            tape.rotate()
        tape.start(run_id(n), step_id(2 * n), t=T0 + 10 * n, name="agent", agent="a", input={"the": "same"})
        tape.start(
            run_id(n), step_id(2 * n + 1), t=T0 + 10 * n + 1, parent=step_id(2 * n), kind="tool", input=n
        )
        tape.end(run_id(n), step_id(2 * n + 1), t=T0 + 10 * n + 2, output="x" * 500)
        if n != last:
            tape.end(run_id(n), step_id(2 * n), t=T0 + 10 * n + 3)
    tape.let_go()


def drain_and_die(db, at):
    """Drain in a child that is killed as it begins its statement number `at`; tell whether it came to that."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    open_writer, unlink = schema.open_writer, os.unlink
    left = at

    def count(_statement=None):
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def traced(*args, **more):
        made = open_writer(*args, **more)
        made.set_trace_callback(count)
        return made

    def counted(path):
        count()
        unlink(path)

    schema.open_writer, os.unlink = traced, counted
    try:
        with ingest.Drainer(db) as drainer:
            drainer.drain()
    finally:
        os._exit(0)


def drained(db):
    """Drain to the end; give each step and run, how many events there are, and what is left of the tapes."""
    with ingest.Drainer(db) as drainer:
        drainer.drain()
        assert drainer.drain().left_bytes == 0
    with closing(sqlite3.connect(db)) as connection:
        assert verify_chain(connection) is None
        return [
            connection.execute(query).fetchall()
            for query in (
                "SELECT step_id, run_id, status, ended_ns, input, output FROM steps ORDER BY step_id",
                "SELECT run_id, status, steps, agents FROM runs ORDER BY run_id",
                "SELECT kind, count(*) FROM events GROUP BY kind ORDER BY kind",
                "SELECT count(*) FROM quarantine",
                "SELECT count(*) FROM payloads",
            )
        ] + [sorted(one.suffix for one in db.with_name(f"{db.name}.tape").glob("*.tape"))]


@pytest.fixture
def batches(monkeypatch):
    """Several transactions even for little."""
    monkeypatch.setattr(ingest, "BATCH_BYTES", 2_000)


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.stress)])
def test_a_drainer_killed_at_any_statement_neither_loses_nor_doubles(tmp_path, batches, stride):
    start = tmp_path / "start"
    start.mkdir()
    schema.open_writer(str(start / "x.db")).close()
    record(start / "x.db")
    shutil.copytree(start, tmp_path / "whole")
    expected = drained(tmp_path / "whole" / "x.db")
    at, killed = 0, True
    while killed:
        at += stride
        folder = tmp_path / "killed"
        shutil.copytree(start, folder)
        killed = drain_and_die(folder / "x.db", at)
        assert drained(folder / "x.db") == expected, f"killed at statement {at}"
        shutil.rmtree(folder)
    assert at > 100


def test_a_drainer_killed_again_and_again_gets_there_in_the_end(tmp_path, batches):
    """Each comes a little further than the one before, through the making of the store to the deletion of the tapes."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    record(one / "x.db")
    shutil.copytree(one / "x.db.tape", other / "x.db.tape")
    at = 5
    while drain_and_die(other / "x.db", at):
        at += 3
    assert drained(other / "x.db") == drained(one / "x.db")
