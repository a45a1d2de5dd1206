"""Processes that end badly: what a call of the recorder has returned from is in the store, once, when it is next opened."""

import random
import signal
import time
from collections import Counter
from textwrap import dedent

import pytest

import child
import counterfoil
from acknowledged import assert_the_store_is_whole, assert_what_was_told_is_there_once

pytestmark = pytest.mark.slow

WRITERS = 8


def kill_at_random(db, doomed, kills, *arguments):
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown where the test fails
    chance = random.Random(seed)
    ended = Counter()
    for _ in range(kills // WRITERS):
        writers = [doomed(*arguments) for _ in range(WRITERS)]
        chance.shuffle(writers)
        for one in writers:
            one.read(1 + chance.randrange(chance.choice([10, 200])))
            time.sleep(chance.random() * 0.02)
            one.kill()
        with counterfoil.open(db) as store:
            for one in writers:
                ended += assert_what_was_told_is_there_once(store, one)
    with counterfoil.open(db) as store:
        assert_the_store_is_whole(db, store)
        assert not any(process.alive for process in store.processes())
    assert ended["interrupted"] > 0
    assert ended["ok"] > 0


@pytest.mark.parametrize("kills", [16, pytest.param(1_000, marks=pytest.mark.stress)])
def test_what_eight_writers_acknowledged_is_there_once_after_a_kill_at_any_moment(db, doomed, kills):
    kill_at_random(db, doomed, kills)


@pytest.mark.parametrize("kills", [8, pytest.param(200, marks=pytest.mark.stress)])
def test_writers_killed_while_they_drain_lose_nothing_and_store_nothing_twice(db, doomed, kills):
    kill_at_random(db, doomed, kills, "drain")


ENDS = {
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "os._exit": ("os._exit(3)", 3),
    "a segmentation fault": ("import ctypes; ctypes.string_at(0)", -signal.SIGSEGV),
    "abort": ("os.abort()", -signal.SIGABRT),
    "its place taken by another program": ("os.execv('/bin/true', ['true'])", 0),
}


@pytest.mark.parametrize(("deed", "status"), ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("durability", ["process", "power"])
def test_what_was_acknowledged_outlives_every_end_of_its_process(db, doomed, deed, status, durability):
    limits = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); "
    process = doomed("end", limits + deed, COUNTERFOIL_DURABILITY=durability)
    process.read(200)
    assert process.end() == status
    with counterfoil.open(db) as store:
        assert_what_was_told_is_there_once(store, process)
        assert_the_store_is_whole(db, store)


def test_a_process_that_lives_is_not_taken_for_dead(db, doomed):
    dead, alive = doomed(), doomed()
    for one in (dead, alive):
        one.read(200)
    dead.kill()
    with counterfoil.open(db) as store:
        assert assert_what_was_told_is_there_once(store, dead)["interrupted"] > 0
        assert {process.pid for process in store.processes() if process.alive} == {alive.pid}
        _, rows = store.sql(
            "SELECT DISTINCT status FROM steps JOIN processes p USING (process_id) WHERE p.pid = ?",
            (alive.pid,),
        )
        assert {status for (status,) in rows} <= {"ok", "running"}
    alive.kill()
    with counterfoil.open(db) as store:
        assert_what_was_told_is_there_once(store, alive)
        assert_the_store_is_whole(db, store)


# -- other ends, and forks


def steps(db):
    """Give each step as `parent > name: status`, whatever process it was in."""
    with counterfoil.open(db) as store:
        assert_the_store_is_whole(db, store)
        _, rows = store.sql(
            "SELECT p.name, s.name, s.status FROM steps s LEFT JOIN steps p ON p.step_id = s.parent_id ORDER BY s.name"
        )
    return [f"{parent} > {name}: {status}" for parent, name, status in rows]


def test_os_exit_loses_nothing(db):
    child.run(
        """
        import os
        import counterfoil
        with counterfoil.run("desk"):
            with counterfoil.step("done"):
                pass
            with counterfoil.step("open"):
                os._exit(0)
        """,
        db=db,
    )
    assert steps(db) == ["None > desk: interrupted", "desk > done: ok", "desk > open: interrupted"]


@pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit(0)", "raise SystemExit(1)", "1 / 0", "pass"])
def test_a_forked_child_tells_its_own_and_leaves_its_parents_steps_to_the_parent(db, end):
    code = f"""
        import os, sys
        import counterfoil
        def main():
            with counterfoil.run("desk"):
                pid = os.fork()
                if pid == 0:
                    with counterfoil.step("in child"):
                        pass
                    {end}
                else:
                    with counterfoil.step("in parent"):
                        os.waitpid(pid, 0)
            if pid == 0:
                os._exit(0)
        main()
    """
    with child.start(code, db=db) as process:
        process.communicate(timeout=child.SECONDS)
    assert process.returncode == 0
    assert steps(db) == ["None > desk: ok", "desk > in child: ok", "desk > in parent: ok"]


def test_a_child_killed_while_its_parent_lives_is_interrupted_alone(db):
    code = """
        import os, signal
        import counterfoil
        with counterfoil.run("desk"):
            pid = os.fork()
            if pid == 0:
                with counterfoil.step("in child"):
                    os.kill(os.getpid(), signal.SIGKILL)
            os.waitpid(pid, 0)
            with counterfoil.open(os.environ["COUNTERFOIL_DB"]) as store:
                print(sorted((step.name, step.status) for step in store.steps(store.run("last"))))
    """
    assert child.run(code, db=db) == "[('desk', 'running'), ('in child', 'interrupted')]\n"
    assert steps(db) == ["None > desk: ok", "desk > in child: interrupted"]


def test_a_parent_killed_while_its_child_lives_is_interrupted_alone(db):
    code = """
        import os, signal, sys
        import counterfoil
        with counterfoil.run("desk"):
            if os.fork():
                os.kill(os.getpid(), signal.SIGKILL)
            with counterfoil.step("in child"):
                print("recorded", flush=True)
                sys.stdin.readline()
            os._exit(0)
    """
    with child.start(code, db=db) as process:
        assert process.stdout.readline() == "recorded\n"
        process.wait(child.SECONDS)
        with counterfoil.open(db) as store:
            found = {step.name: step.status for step in store.steps(store.run("last"))}
        process.communicate("go on\n", timeout=child.SECONDS)
    assert found == {"desk": "interrupted", "in child": "running"}
    assert steps(db) == ["None > desk: interrupted", "desk > in child: ok"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_lose_nothing(db, tmp_path, method):
    program = tmp_path / "program.py"
    program.write_text(
        dedent(
            """
            import multiprocessing, sys
            import counterfoil

            def work(number, traceparent):
                with counterfoil.run(f"child {number}", traceparent=traceparent):
                    for one in range(20):
                        with counterfoil.step(f"step {one}"):
                            pass

            if __name__ == "__main__":
                context = multiprocessing.get_context(sys.argv[1])
                with counterfoil.run("desk"):
                    here = counterfoil.traceparent()
                    children = [context.Process(target=work, args=(number, here)) for number in range(3)]
                    for one in children:
                        one.start()
                    for one in children:
                        one.join()
                        assert one.exitcode == 0
            """
        )
    )
    child.run("import runpy, sys; runpy.run_path(sys.argv[2], run_name='__main__')", method, program, db=db)
    told = Counter(one.split(" > ")[0] for one in steps(db))
    assert told == {"None": 1, "desk": 3, "child 0": 20, "child 1": 20, "child 2": 20}
    assert {one.split(": ")[1] for one in steps(db)} == {"ok"}


@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("forks", [6, pytest.param(200, marks=pytest.mark.stress)])
def test_a_storm_of_forks_while_threads_record_and_drain_loses_nothing(db, forks, durability):
    """A fork in the midst of a write, a sync, a rotation or a transaction leaves no lock behind that nobody opens."""
    code = """
        import os, sys, threading
        import counterfoil
        from counterfoil import tape
        tape.ROTATE_BYTES = 200_000
        stop = threading.Event()
        def serve(name):
            while not stop.is_set():
                with counterfoil.run(name), counterfoil.step(f"of {name}"):
                    pass
        def keep_draining():
            while not stop.is_set():
                counterfoil.flush()
                stop.wait(0.05)
        threads = [threading.Thread(target=serve, args=(f"thread {n}",)) for n in range(2)]
        threads.append(threading.Thread(target=keep_draining))
        for one in threads:
            one.start()
        def record_in_child(grandchildren):
            for _ in range(10):
                with counterfoil.run("forked"), counterfoil.step("of forked"):
                    pass
            if grandchildren and os.fork() == 0:
                record_in_child(0)
            elif grandchildren:
                assert os.wait()[1] == 0
            recorder, = counterfoil.recorder.all_recorders()
            os._exit(recorder.dropped)
        left = int(sys.argv[1])
        while left:
            storm = min(left, 3)
            left -= storm
            for _ in range(storm):
                if os.fork() == 0:
                    record_in_child(1)
            for _ in range(storm):
                assert os.wait()[1] == 0
        stop.set()
        for one in threads:
            one.join()
    """
    child.run(code, forks, db=db, stderr=None, COUNTERFOIL_DURABILITY=durability)
    told = Counter(steps(db))
    assert told["None > forked: ok"] == told["forked > of forked: ok"] == forks * 20
    for name in ("thread 0", "thread 1"):
        assert told[f"None > {name}: ok"] == told[f"{name} > of {name}: ok"] > 0
    assert len(told) == 6


def test_a_fork_waits_for_an_import_of_ours_so_that_the_child_can_import_too(db):
    """What the drainer imports, in its own thread, a host's forked child may import as well."""
    code = """
        import importlib.machinery, os, sys, threading, time
        import counterfoil
        begun = threading.Event()
        class Slow:
            @staticmethod
            def find_spec(name, path=None, target=None):
                if name != "sqlite3" or threading.current_thread() is threading.main_thread():
                    return None
                spec = importlib.machinery.PathFinder.find_spec(name, path)
                execute = spec.loader.exec_module
                def slowly(module):
                    begun.set()
                    time.sleep(0.5)
                    execute(module)
                spec.loader.exec_module = slowly
                return spec
        sys.meta_path.insert(0, Slow)
        with counterfoil.run("desk"):
            assert begun.wait(30)
            pid = os.fork()
            if pid == 0:
                import sqlite3
                os._exit(0)
            deadline = time.monotonic() + 10
            while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
                time.sleep(0.01)
            if ended == (0, 0):
                os.kill(pid, 9)
            print("imported" if ended == (pid, 0) else "hung")
    """
    assert child.run(code, db=db, COUNTERFOIL_DRAIN="on") == "imported\n"


def test_what_daemon_threads_record_to_the_very_end_is_there(db):
    code = """
        import os, threading, time
        import counterfoil
        def serve():
            while True:
                with counterfoil.run("daemon"):
                    os.write(1, b".")
        threading.Thread(target=serve, daemon=True).start()
        time.sleep(0.3)
    """
    with child.start(code, db=db, COUNTERFOIL_DRAIN="on") as process:
        printed, complained = process.communicate(timeout=child.SECONDS)
    assert (process.returncode, complained) == (0, "")
    told = Counter(steps(db))
    assert set(told) <= {"None > daemon: ok", "None > daemon: interrupted"}
    assert sum(told.values()) - len(printed) in {0, 1}
