"""Many processes at one store: nobody waits for anybody, nothing is lost, nothing is there twice."""

import sqlite3
from collections import Counter
from contextlib import closing

import pytest
from filelock import FileLock

import child
import counterfoil
from acknowledged import assert_the_store_is_whole

pytestmark = pytest.mark.slow

PROCESSES = 32
RUNS, STEPS = 5, 20

#: Waits for its turn, records, and says so; it drains as every application does.
WRITER = f"""
    import sys
    import counterfoil
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range({RUNS}):
        with counterfoil.run(sys.argv[1]):
            for one in range({STEPS}):
                with counterfoil.step(f"{{number}} {{one}}"):
                    pass
    print("recorded", flush=True)
    sys.stdin.readline()
"""


def writers(db, count):
    return [
        child.start(WRITER, f"writer {n}", db=db, COUNTERFOIL_DRAIN="on", COUNTERFOIL_QUIET=1)
        for n in range(count)
    ]


def tell(process, line):
    process.stdin.write(line + "\n")
    process.stdin.flush()


def test_thirty_two_processes_record_at_once_while_a_reader_reads(db):
    processes = writers(db, PROCESSES)
    for one in processes:
        assert one.stdout.readline() == "ready\n"
    for one in processes:
        tell(one, "go")
    for one in processes[: PROCESSES // 2]:
        assert one.stdout.readline() == "recorded\n"
        with counterfoil.open(db) as store:
            assert store.runs(limit=1)
    for one in processes:
        _, complained = one.communicate("end\n", timeout=child.SECONDS)
        assert (one.returncode, complained) == (0, "")
    with counterfoil.open(db) as store:
        found = Counter(
            row for row in store.sql("SELECT r.name, s.name FROM steps s JOIN runs r USING (run_id)")[1]
        )
        assert {run.status for run in store.runs(limit=None)} == {"ok"}
        assert_the_store_is_whole(db, store)
    told = Counter(
        (f"writer {n}", f"{number} {one}")
        for n in range(PROCESSES)
        for number in range(RUNS)
        for one in range(STEPS)
    )
    assert told == Counter({pair: count for pair, count in found.items() if pair[0] != pair[1]})


@pytest.mark.parametrize("held", ["the drain lock", "the store"])
def test_who_records_does_not_wait_for_a_process_that_holds(db, held):
    """For as long as it likes: it lets go only when the others have said that they are done."""
    with counterfoil.run("first", db=db):
        pass
    with counterfoil.open(db):
        pass
    processes = writers(db, 3)
    for one in processes:
        assert one.stdout.readline() == "ready\n"
    with (
        closing(sqlite3.connect(db, isolation_level=None)) as other,
        FileLock(f"{db}.tape/drain.lock") as lock,
    ):
        if held == "the store":
            lock.release()
            other.execute("BEGIN EXCLUSIVE")
        for one in processes:
            tell(one, "go")
        for one in processes:
            assert one.stdout.readline() == "recorded\n"
        if held == "the store":
            other.execute("ROLLBACK")
    for one in processes:
        one.communicate("end\n", timeout=child.SECONDS)
        assert one.returncode == 0
    with counterfoil.open(db) as store:
        assert Counter(run.name for run in store.runs(limit=None)) == {
            "first": 1, "writer 0": RUNS, "writer 1": RUNS, "writer 2": RUNS,
        }  # fmt: skip
