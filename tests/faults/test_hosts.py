"""Clocks that go backwards, and two hosts whose processes record into one folder."""

import os
import signal
import sqlite3
from contextlib import closing
from textwrap import dedent

import pytest

import child
import counterfoil
from acknowledged import assert_the_counts_agree, assert_the_store_is_whole
from counterfoil.store import deaths, tapes
from counterfoil.store.seal import verify_chain

pytestmark = pytest.mark.slow

# -- clocks


def test_a_clock_set_back_while_a_process_records_changes_no_order_and_no_duration(db):
    code = """
        from wayward_clock import HOUR, set_back
        import counterfoil
        with counterfoil.run("desk"):
            for number in range(5):
                set_back(HOUR)
                with counterfoil.step(f"step {number}"):
                    set_back(HOUR)
    """
    child.run(code, db=db)
    with counterfoil.open(db) as store:
        assert_the_store_is_whole(db, store)
        _, rows = store.sql("SELECT name, duration_ms FROM steps ORDER BY started_ns, step_id")
        _, ((times, numbers),) = store.sql(
            "SELECT group_concat(t_ns), group_concat(json_extract(head, '$.q')) FROM (SELECT * FROM events ORDER BY offset)"
        )
    assert [name for name, _ in rows] == ["desk", *(f"step {number}" for number in range(5))]
    assert all(0 <= duration < 60_000 for _, duration in rows)
    for one in (times, numbers):
        values = [int(value) for value in one.split(",")]
        assert values == sorted(values)


def test_a_child_whose_clock_is_behind_its_parents_loses_nothing(db):
    """Tapes are read by the age in their names: the child's comes first, with the ends of nothing that began yet."""
    code = """
        import os, subprocess, sys
        import counterfoil
        with counterfoil.run("desk"):
            here = counterfoil.traceparent()
            subprocess.run([sys.executable, "-c", sys.argv[1], here], check=True)
    """
    inner = """
        import sys
        from wayward_clock import HOUR, set_back
        set_back(HOUR)
        import counterfoil
        with counterfoil.run("in child", traceparent=sys.argv[1]):
            for number in range(20):
                with counterfoil.step("work"):
                    pass
    """
    child.run(code, dedent(inner), db=db)
    with counterfoil.open(db) as store:
        assert_the_store_is_whole(db, store)
        (run,) = store.runs(all=True)
        assert (run.name, run.status, run.steps) == ("desk", "ok", 22)
        _, rows = store.sql("SELECT min(duration_ms) >= 0, count(*) FROM steps WHERE status = 'ok'")
    assert rows == [(1, 22)]


def test_a_store_drained_by_a_process_whose_clock_is_behind_holds_all(db):
    child.run("import counterfoil\nwith counterfoil.run('desk'): pass", db=db)
    code = """
        import sys
        from wayward_clock import HOUR, set_back
        set_back(24 * HOUR)
        import counterfoil
        with counterfoil.open(sys.argv[1]) as store:
            print(*((run.name, run.status) for run in store.runs(all=True)))
    """
    assert child.run(code, db, db=db) == "('desk', 'ok')\n"


# -- hosts

SERVE = """
    import os, sys
    from counterfoil import host, tape
    if sys.argv[1] != "here":
        elsewhere = host.Origin(sys.argv[1], f"boot of {sys.argv[1]}", f"machine {sys.argv[1]}")
        tape.origin = lambda: elsewhere
    import counterfoil
    with counterfoil.run(f"desk of {sys.argv[1]}"):
        for number in range(50):
            with counterfoil.step("work"):
                pass
        print("recorded", flush=True)
        sys.stdin.readline()
"""


@pytest.fixture
def hosts(db):
    """Two processes that have recorded and go on living, one of this host, one of another."""
    started = [child.start(SERVE, name, db=db) for name in ("here", "elsewhere")]
    for one in started:
        assert one.stdout.readline() == "recorded\n"
    yield started
    for one in started:
        if one.poll() is None:
            one.kill()
        one.communicate()


def statuses(db):
    with counterfoil.open(db) as store:
        assert store.troubles() == []
        assert store.quarantine() == []
        _, rows = store.sql("SELECT name, status, steps FROM runs ORDER BY name")
    with closing(sqlite3.connect(db)) as connection:
        assert verify_chain(connection) is None
    return rows


def test_the_tapes_of_two_hosts_are_read_both_and_each_host_tells_of_its_own_dead(db, hosts, monkeypatch):
    assert statuses(db) == [("desk of elsewhere", "running", 51), ("desk of here", "running", 51)]
    for one in hosts:
        os.kill(one.pid, signal.SIGKILL)
        one.wait()
    # Whether a process elsewhere lives is not ours to tell: its lock may not reach here.
    assert statuses(db) == [("desk of elsewhere", "running", 51), ("desk of here", "interrupted", 51)]
    there = tapes.Origin("elsewhere", "boot of elsewhere", "machine elsewhere")
    monkeypatch.setattr(deaths.tapes, "origin", lambda: there)
    assert statuses(db) == [("desk of elsewhere", "interrupted", 51), ("desk of here", "interrupted", 51)]
    with counterfoil.open(db) as store:
        assert_the_counts_agree(store)
    assert not list(db.with_name("x.db.tape").glob("*.tape"))


def test_what_another_hosts_process_goes_on_to_record_is_read_after_this_hosts_has_died(db, hosts):
    here, elsewhere = hosts
    os.kill(here.pid, signal.SIGKILL)
    here.wait()
    assert statuses(db) == [("desk of elsewhere", "running", 51), ("desk of here", "interrupted", 51)]
    elsewhere.stdin.write("\n")
    elsewhere.stdin.flush()
    assert elsewhere.wait(child.SECONDS) == 0
    assert statuses(db) == [("desk of elsewhere", "ok", 51), ("desk of here", "interrupted", 51)]
