"""Reading a store: what is given, what is refused, and what is left behind."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from counterfoil.events import Text
from counterfoil.store import forks, ingest, read, schema
from counterfoil.store.errors import StoreError
from handmade_tape import SECOND, T0, Tape, run_id, step_id

NOBODY = 65534


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "x.db"


def one_run(tape: Tape, n: int = 1, **given) -> None:
    tape.start(run_id(n), step_id(n), t=T0 + n * SECOND, **{"name": f"run {n}", "agent": "a", **given})
    tape.end(run_id(n), step_id(n), t=T0 + n * SECOND + 5)


def files(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


# -- opening


def test_opening_drains_first(path):
    one_run(Tape(path))
    with read.open(path) as store:
        assert [run.name for run in store.runs()] == ["run 1"]
        assert (store.undrained_bytes, store.notices) == (0, [])


def test_opening_without_a_drain_says_how_much_is_missing(path):
    tape = Tape(path)
    one_run(tape, 1)
    read.open(path).close()
    before = tape.path.stat().st_size
    one_run(tape, 2)
    with read.open(path, drain=False) as store:
        assert len(store.runs()) == 1
        assert store.undrained_bytes == tape.path.stat().st_size - before


def test_looking_again_brings_what_came_since(path):
    tape = Tape(path)
    one_run(tape, 1)
    with read.open(path) as store:
        one_run(tape, 2)
        assert store.refresh() == 2
        assert len(store.runs()) == 2


def test_the_path_comes_from_the_environment_or_is_counterfoil_db_here(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    assert read.store_path() == str(path.parent / "counterfoil.db")
    monkeypatch.setenv("COUNTERFOIL_DB", str(path))
    assert read.store_path() == str(path)


def test_after_reading_nothing_but_the_store_and_its_tapes_is_left(path):
    one_run(Tape(path))
    with read.open(path) as store:
        store.runs()
    assert files(path) == ["x.db", "x.db.tape"]


def test_where_nothing_was_recorded_one_sentence_says_so_and_nothing_is_made(path):
    with pytest.raises(StoreError, match="nothing has been recorded here"):
        read.open(path)
    with pytest.raises(StoreError, match="the folder does not exist"):
        read.open(path.parent / "nowhere" / "x.db")
    assert files(path) == []


def test_a_store_in_use_by_a_recording_process_is_read_beside_it(path):
    tape = Tape(path)
    one_run(tape)
    with ingest.Drainer(path) as drainer:
        drainer.drain()
        db = drainer.db
        db.execute("BEGIN IMMEDIATE")
        with read.open(path, drain=False) as store:
            assert len(store.runs()) == 1
        db.execute("ROLLBACK")


@pytest.mark.parametrize(
    "content", [b"my shopping list " * 100, b"SQLite format 3\0" + b"\1" * 500], ids=["text", "broken"]
)
def test_a_file_that_is_no_store_is_refused_in_one_sentence(path, content):
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"x\.db") as refused:
        read.open(path)
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == content


def test_a_folder_is_refused_in_one_sentence(path):
    path.mkdir()
    with pytest.raises(StoreError, match="is a folder"):
        read.open(path)


def test_another_programs_file_and_a_newer_store_are_refused(path):
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE bookmarks(url)")
    with pytest.raises(StoreError, match="another program"):
        read.open(path)
    db.execute("DROP TABLE bookmarks")
    db.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(StoreError, match="newer Counterfoil"):
        read.open(path)


def test_a_locked_store_is_refused_in_one_sentence(path, monkeypatch):
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(read, "WAIT_SECONDS", 0.05)
    one_run(Tape(path))
    read.open(path).close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=DELETE")
    db.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="locked by another program"):
        read.open(path)
    db.close()


def test_a_tape_that_cannot_be_drained_does_not_stop_reading(path):
    tape = Tape(path)
    one_run(tape, 1)
    read.open(path).close()
    one_run(tape, 2)
    lock = tape.folder / "drain.lock"
    lock.unlink()
    lock.mkdir()
    with read.open(path) as store:
        assert len(store.runs()) == 1
        assert any("not drained" in notice for notice in store.notices)
        assert store.undrained_bytes > 0


# -- a reader who may not write


@pytest.fixture
def shared():
    """A folder that others can reach, with a store in it of a run that is drained and one that is not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    path = folder / "x.db"
    tape = Tape(path)
    one_run(tape, 1)
    read.open(path).close()
    one_run(tape, 2)
    path.chmod(0o644)
    yield path
    tape.let_go()
    for one in [folder, *folder.rglob("*")]:
        one.chmod(0o755)
    shutil.rmtree(folder)


def look(path: Path) -> list | str:
    try:
        with read.open(path) as store:
            return [len(store.runs()), store.undrained_bytes, store.notices]
    except StoreError as error:
        return str(error)


def as_another_user(path: Path) -> list | str:
    """What a reader sees who is not the owner: another user when we are root, else whoever may only read."""
    if os.geteuid() != 0:
        for one in (path, Path(f"{path}.tape"), path.parent):
            one.chmod(one.stat().st_mode & ~0o222)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.write(writing, json.dumps(look(path)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said)


def test_who_may_not_write_reads_what_is_there_is_told_what_is_not_and_leaves_nothing(shared):
    Path(f"{shared}.tape").chmod(0o755)
    before = files(shared)
    runs, undrained, notices = as_another_user(shared)
    assert runs == 1
    assert undrained > 0
    assert any("bytes of tape are not in the store yet" in notice for notice in notices)
    assert files(shared) == before


def test_who_may_not_look_at_the_tapes_is_told_so(shared):
    Path(f"{shared}.tape").chmod(0o700 if os.geteuid() == 0 else 0o000)
    runs, undrained, notices = as_another_user(shared)
    assert (runs, undrained) == (1, 0)
    assert any("cannot be looked into" in notice for notice in notices)


def test_who_may_write_the_folder_but_not_the_store_leaves_no_files_either(shared):
    if os.geteuid() == 0:
        shared.parent.chmod(0o777)
    before = files(shared)
    assert as_another_user(shared)[0] == 1
    assert files(shared) == before


@contextmanager
def draining_elsewhere(path: Path) -> Iterator[None]:
    """Another process has drained, and holds the store open: what it wrote last is in the -wal."""
    code = (
        "import sys; from counterfoil.store.ingest import Drainer\n"
        "drainer = Drainer(sys.argv[1]); drainer.drain(); print('drained', flush=True); sys.stdin.read()"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as process:
        assert process.stdout.readline() == b"drained\n"
        yield
        process.kill()


def test_beside_a_writer_who_may_not_write_sees_what_was_written_last(shared):
    with draining_elsewhere(shared):
        for one in (f"{shared}-wal", f"{shared}-shm"):
            Path(one).chmod(0o644)
        before = files(shared)
        runs, _, _ = as_another_user(shared)
        assert files(shared) == before
    assert runs == 2


def test_what_stands_in_a_wal_that_may_not_be_used_is_said_to_be_missing(shared):
    with draining_elsewhere(shared):
        Path(f"{shared}-shm").chmod(0o600 if os.geteuid() == 0 else 0o000)
        runs, _, notices = as_another_user(shared)
    assert runs == 1
    assert any("-wal" in notice for notice in notices)


def test_who_may_not_read_gets_one_sentence(shared):
    shared.chmod(0o600 if os.geteuid() == 0 else 0o000)
    assert "you may not read it" in as_another_user(shared)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can own what another user made")
def test_root_does_not_drain_a_users_store(shared):
    """Root's files beside a user's store would shut the user out."""
    folder = Path(f"{shared}.tape")
    for one in [shared, folder, *folder.iterdir()]:
        os.chown(one, NOBODY, NOBODY)
    before = files(shared)
    with read.open(shared) as store:
        assert len(store.runs()) == 1
        assert store.undrained_bytes > 0
    assert files(shared) == before


# -- runs


def names(runs: list[read.Run]) -> list[str]:
    return [run.name for run in runs]


def test_runs_are_newest_first_and_at_most_limit(path):
    tape = Tape(path)
    for n in range(1, 6):
        one_run(tape, n)
    with read.open(path) as store:
        assert names(store.runs(limit=2)) == ["run 5", "run 4"]
        assert len(store.runs(limit=None)) == 5


def test_runs_are_filtered_by_what_they_are(path):
    tape = Tape(path)
    one_run(tape, 1, task="t1", session="s1", labels={"env": "test"})
    one_run(tape, 2, agent="b", framework="crewai", labels={"env": "prod", "x": "1"})
    tape.start(run_id(3), step_id(3), t=T0 + 3 * SECOND, name="run 3", agent="a")
    with read.open(path) as store:
        assert names(store.runs(agent="b")) == ["run 2"]
        assert names(store.runs(framework="crewai")) == ["run 2"]
        assert names(store.runs(task="t1")) == ["run 1"]
        assert names(store.runs(session="s1")) == ["run 1"]
        assert names(store.runs(status="running")) == ["run 3"]
        assert names(store.runs(label="env=test")) == ["run 1"]
        assert names(store.runs(label="env")) == ["run 2", "run 1"]
        assert names(store.runs(label="env=none")) == []
        assert names(store.runs(agent="a", status="ok")) == ["run 1"]


def test_since_and_until_take_nanoseconds_datetimes_and_iso_text(path):
    tape = Tape(path)
    one_run(tape, 1)
    one_run(tape, 2)
    moment = T0 + 2 * SECOND
    as_datetime = datetime.fromtimestamp(moment // SECOND, UTC)
    with read.open(path) as store:
        for when in (moment, as_datetime, as_datetime.isoformat(), as_datetime.replace(tzinfo=None)):
            assert names(store.runs(since=when)) == ["run 2"]
            assert names(store.runs(until=when)) == ["run 1"]
        with pytest.raises(StoreError, match="is no time"):
            store.runs(since="yesterday")


def test_bare_calls_are_shown_only_when_asked_for(path):
    tape = Tape(path)
    one_run(tape, 1)
    one_run(tape, 2, kind="llm", agent=None)
    one_run(tape, 3, kind="workflow", agent=None)
    with read.open(path) as store:
        assert names(store.runs()) == ["run 3", "run 1"]
        assert names(store.runs(all=True)) == ["run 3", "run 2", "run 1"]


def test_a_run_is_found_by_id_unique_prefix_or_last(path):
    tape = Tape(path)
    for n in (0xAB << 120, 0xAC << 120):
        tape.start(run_id(n), step_id(n >> 100), t=T0 + (n >> 120), agent="a")
    with read.open(path) as store:
        assert store.run("ab").run_id.startswith("ab")
        assert store.run(run_id(0xAC << 120)).run_id.startswith("ac")
        assert store.run("last").run_id.startswith("ac")
        with pytest.raises(StoreError, match="More than one run begins with 'a'"):
            store.run("a")
        with pytest.raises(StoreError, match="No run begins with 'ff'"):
            store.run("ff")
        with pytest.raises(StoreError, match="hexadecimal"):
            store.run("latest'; --")


def test_the_last_of_no_runs_is_one_sentence(path):
    Tape(path)
    with read.open(path) as store, pytest.raises(StoreError, match="no run has been recorded"):
        store.run("last")


# -- steps and messages


def test_a_tree_holds_each_step_under_its_parent_in_the_order_they_began(path):
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0, name="root")
    tape.start(run_id(1), step_id(3), t=T0 + 2, name="second", parent=step_id(1))
    tape.start(run_id(1), step_id(2), t=T0 + 1, name="first", parent=step_id(1))
    tape.start(run_id(1), step_id(9), t=T0 + 2, name="after second, same time", parent=step_id(1))
    tape.start(run_id(1), step_id(4), t=T0 + 3, name="leaf", parent=step_id(2))
    tape.start(run_id(1), step_id(5), t=T0 + 4, name="of an unknown parent", parent=step_id(99))
    with read.open(path) as store:
        root, stray = store.tree("last")
        assert (root.step.name, stray.step.name) == ("root", "of an unknown parent")
        assert [node.step.name for node in root.children] == ["first", "second", "after second, same time"]
        assert [node.step.name for node in root.children[0].children] == ["leaf"]


def test_a_tree_may_be_deeper_than_pythons_stack(path):
    tape = Tape(path)
    for n in range(1, 3_001):
        tape.start(run_id(1), step_id(n), t=T0 + n, parent=step_id(n - 1) if n > 1 else None)
    with read.open(path) as store:
        (node,) = store.tree("last")
        depth = 1
        while node.children:
            (node,) = node.children
            depth += 1
        assert depth == 3_000


def test_steps_that_are_each_others_parents_are_all_shown(path):
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0, parent=step_id(2))
    tape.start(run_id(1), step_id(2), t=T0 + 1, parent=step_id(1))
    tape.start(run_id(1), step_id(3), t=T0 + 2, parent=step_id(3))
    with read.open(path) as store:
        assert sorted(node.step.step_id for node in store.tree(run_id(1))) == [
            step_id(1),
            step_id(2),
            step_id(3),
        ]


def test_messages_gives_the_whole_conversation(path):
    tape = Tape(path)
    said = [{"role": "user", "parts": [{"type": "text", "content": str(n)}]} for n in range(4)]
    tape.start(run_id(1), step_id(1), t=T0, kind="llm", messages=said[:2])
    tape.end(run_id(1), step_id(1), t=T0 + 1, messages=said[2:3])
    tape.start(run_id(1), step_id(2), t=T0 + 2, kind="llm", base=step_id(1), keep=2, messages=said[2:4])
    with read.open(path) as store:
        first, second = store.llm_calls("0")
        assert (store.messages(first).input, store.messages(first).output) == (said[:2], said[2:3])
        assert (store.messages(second).input, store.messages(second).output) == (said, [])
        assert [(one.position, one.direction) for one in store.new_messages(first.run_id)] == [
            (0, "input"), (1, "input"), (2, "output"), (2, "input"), (3, "input"),
        ]  # fmt: skip


def test_everything_can_be_asked_of_one_run_or_of_all(path):
    tape = Tape(path)
    for n in (1, 2):
        one_run(tape, n)
        common = {"run": run_id(n), "step": step_id(n)}
        tape.start(run_id(n), step_id(n * 16), t=T0, kind="tool", parent=step_id(n), name="search")
        tape.start(run_id(n), step_id(n * 16 + 1), t=T0, kind="llm", parent=step_id(n))
        tape.event("handoff", t=T0, handoff=step_id(n), status="requested", mode="route", **common)
        tape.event("access", t=T0, text=Text(source="kb"), **common)
        tape.event("decision", t=T0, item=step_id(n), verdict="allow", enforced=False, **common)
        tape.event("approval", t=T0, item=step_id(n), status="waiting", **common)
        tape.event("score", t=T0, value=1.0, text=Text(name="good"), **common)
    with read.open(path) as store:
        run = store.run(run_id(1))
        for ask in (
            store.handoffs, store.llm_calls, store.tool_calls, store.accesses, store.decisions, store.approvals, store.scores,
        ):  # fmt: skip
            assert [one.run_id for one in ask(run)] == [run_id(1)]
            assert sorted(one.run_id for one in ask()) == [run_id(1), run_id(2)]
        assert store.decisions(run)[0].enforced is False
        assert len(store.steps(run)) == 3
        assert [agent.agent for agent in store.agents()] == ["a"]
        assert store.processes()[0].alive is True
        assert store.findings() == []


def test_cost_is_summed_in_total_and_by_what_is_asked(path):
    tape = Tape(path)
    for n, (model, cost) in enumerate([("m1", 5), ("m1", 6), ("m2", None)], 1):
        tape.start(run_id(n), step_id(n), t=T0, kind="llm", agent=f"agent {model}")
        tape.end(
            run_id(n),
            step_id(n),
            t=T0 + 1,
            model=model,
            provider="ours",
            cost_nano=cost,
            input_tokens=1,
            output_tokens=1,
        )
    with read.open(path) as store:
        (total,) = store.cost()
        assert (total.calls, total.cost_nano, total.unpriced_calls) == (3, 11, 1)
        assert [(one.key, one.calls, one.cost_nano) for one in store.cost("model")] == [
            ("m1", 2, 11),
            ("m2", 1, None),
        ]
        assert [one.key for one in store.cost("agent")] == ["agent m1", "agent m2"]
        assert [one.key for one in store.cost("day")] == ["2023-11-14"]
        assert store.cost(run=run_id(1))[0].cost_nano == 5
        with pytest.raises(StoreError, match="choose one of"):
            store.cost("colour")


def test_troubles_and_quarantine_are_shown_with_where_they_come_from(path):
    tape = Tape(path)
    for count in (1, 3, 2):
        tape.event("trouble", t=T0 + count, count=count, text=Text(place="redact", error_type="KeyError"))
    tape.raw(b"garbage\n")
    with read.open(path) as store:
        (trouble,) = store.troubles()
        assert (trouble.process_id, trouble.place, trouble.count) == (tape.writer, "redact", 3)
        (bad,) = store.quarantine()
        assert (bad.tape, bad.raw) == (tape.path.name, b"garbage")


# -- sql


def test_sql_gives_columns_and_rows(path):
    one_run(Tape(path))
    with read.open(path) as store:
        assert store.sql("SELECT name, status AS s FROM runs WHERE steps = ?", (1,)) == (
            ("name", "s"),
            [("run 1", "ok")],
        )
        assert store.sql("PRAGMA user_version") == (("user_version",), [(schema.VERSION,)])


WRITES = [
    "DELETE FROM t_runs",
    "WITH x AS (SELECT 1) DELETE FROM t_runs",
    "UPDATE t_runs SET steps = 0",
    "INSERT INTO meta VALUES ('a', 1)",
    "CREATE TABLE mine(x)",
    "CREATE TEMP TABLE mine(x)",
    "DROP VIEW runs",
    "ATTACH '{folder}/other.db' AS other",
    "PRAGMA query_only=0",
    "PRAGMA journal_mode=DELETE",
    "PRAGMA writable_schema=1",
    "VACUUM INTO '{folder}/copy.db'",
    "VACUUM",
    "BEGIN",
    "SELECT load_extension('x')",
]


@pytest.mark.parametrize("write", WRITES)
def test_sql_that_would_write_or_reach_outside_is_refused(path, write):
    one_run(Tape(path))
    with read.open(path) as store:
        with pytest.raises(StoreError, match=r"only reading is allowed|^SQL: no such function"):
            store.sql(write.format(folder=path.parent))
        assert len(store.runs()) == 1
    assert files(path) == ["x.db", "x.db.tape"]


@pytest.mark.parametrize(
    "wrong", ["SELEC 1", "SELECT nothing FROM runs", "SELECT 1; SELECT 2", "", "SELECT ?"]
)
def test_wrong_sql_is_one_sentence(path, wrong):
    one_run(Tape(path))
    with read.open(path) as store, pytest.raises(StoreError) as refused:
        store.sql(wrong)
    assert "\n" not in str(refused.value)


def test_a_closed_store_says_so(path):
    one_run(Tape(path))
    store = read.open(path)
    store.close()
    with pytest.raises(StoreError, match="has been closed"):
        store.runs()


def test_the_newest_runs_are_found_without_looking_at_all(path):
    tape = Tape(path)
    one_run(tape)
    with read.open(path) as store:
        plan = [
            row[3]
            for row in store.db.execute(
                "EXPLAIN QUERY PLAN SELECT * FROM runs ORDER BY started_ns DESC LIMIT 50"
            )
        ]
        assert any("SCAN r USING INDEX t_runs_started" in step for step in plan), plan
        assert not any("TEMP B-TREE FOR ORDER BY" in step for step in plan[:3]), plan


def test_a_store_goes_on_being_read_after_a_fork_on_both_sides(path):
    tape = Tape(path)
    one_run(tape)
    with read.open(path) as store:
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if len(store.runs()) == 1 else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert len(store.runs()) == 1


def test_a_forked_child_leaves_a_store_alone_that_was_in_use_when_it_forked(path, monkeypatch):
    monkeypatch.setattr(forks, "SECONDS", 0.05)
    tape = Tape(path)
    one_run(tape)
    with ingest.Drainer(path) as drainer:
        drainer.drain()
        one_run(tape, 2)
        with drainer.lock:
            child = os.fork()
            if child == 0:
                try:
                    os._exit(0 if drainer.drain().busy else 1)
                finally:
                    os._exit(2)
            assert os.waitpid(child, 0)[1] == 0
        assert drainer.drain().events == 2


def test_a_copy_without_its_tapes_is_read_and_nothing_is_put_beside_it(path, tmp_path):
    one_run(Tape(path))
    read.open(path).close()
    copy = tmp_path / "elsewhere" / "copy.db"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    with read.open(copy) as store:
        assert names(store.runs()) == ["run 1"]
    assert files(copy) == ["copy.db"]


def test_names_may_hold_any_character(path):
    odd = 'b\n"\\\u2028\U0001f600'
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0, name="a\0" + odd, agent=odd)
    read.open(path).close()
    tape.end(run_id(1), step_id(1), t=T0 + 1)
    with read.open(path) as store:
        run = store.run("last")
        assert (run.name, run.agent_names, run.status) == ("a\0" + odd, [odd], "ok")
        assert store.runs(agent=odd) == [run]
