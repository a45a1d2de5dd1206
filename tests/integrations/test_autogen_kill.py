"""kill -9 of teams at random moments: what was acknowledged is in the store, once, when it is next opened."""

import random
import sqlite3
import time
from contextlib import closing

import pytest

import counterfoil
from counterfoil.store.seal import verify_chain
from killed import Doomed, assert_each_step_is_told_once, assert_nothing_is_lost_or_twice
from nursery import Nursery


@pytest.fixture(scope="module")
def nursery():
    with Nursery("autogen_doomed") as nursery:
        yield nursery


@pytest.fixture
def start(nursery, db):
    """Give a function that starts a process which records to the store of the test."""
    started = []

    def start_one():
        program = f"import autogen_doomed; autogen_doomed.work({str(db)!r}, fifo)"
        fifo = db.with_name(f"acknowledged-{len(started)}")
        started.append(Doomed(nursery, db, fifo, program))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()


@pytest.mark.parametrize("kills", [8, pytest.param(100, marks=pytest.mark.stress)])
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
        process.read(chance.randrange(400 if number % 2 else 20))
        time.sleep(chance.random() * 0.02)
        process.kill()
        with counterfoil.open(db) as store:
            statuses = assert_nothing_is_lost_or_twice(store, process, "autogen")
            assert set(statuses) <= {"ok", "interrupted"}
        interrupted += statuses["interrupted"]
        acknowledged += len(process.started) + len(process.ended)
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
        assert assert_nothing_is_lost_or_twice(store, dead, "autogen")["interrupted"] > 0
        _, rows = store.sql(
            "SELECT DISTINCT s.status FROM steps s JOIN processes p USING (process_id) WHERE p.pid = ?",
            (alive.pid,),
        )
        assert {status for (status,) in rows} <= {"ok", "running"}
        assert {process.pid for process in store.processes() if process.alive} == {alive.pid}
    alive.read(100)
    alive.kill()
    with counterfoil.open(db) as store:
        assert_nothing_is_lost_or_twice(store, dead, "autogen")
        assert assert_nothing_is_lost_or_twice(store, alive, "autogen")["interrupted"] > 0
        assert_each_step_is_told_once(store)
