"""Runs in a store of their own, whole, and back again."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from counterfoil.events import Text
from counterfoil.store import ingest, read, seal, sources
from counterfoil.store.errors import StoreError
from counterfoil.store.export import Exported, export
from counterfoil.store.merge import merge
from handmade_tape import T0, Tape, run_id, step_id
from outline import outline
from worlds import dump


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "x.db"


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "out" / "one.db"


@pytest.fixture(autouse=True)
def _folder(file):
    file.parent.mkdir()


def take(path: Path, file: Path, *runs: str, **options) -> Exported:
    with read.open(path) as store:
        return export(store, runs, file, **options)


def rows(path: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def tables(path: Path) -> dict[str, list[tuple]]:
    with closing(sqlite3.connect(path)) as db:
        return dump(db)


def said(text: str) -> dict:
    return {"role": "user", "parts": [{"type": "text", "content": text}]}


def inputs(path: Path) -> list[list[str]]:
    """What each model call was sent, in whole."""
    found = rows(path, "SELECT input FROM steps WHERE kind = 'llm' ORDER BY step_id")
    return [[one["parts"][0]["content"] for one in json.loads(value)] for (value,) in found]


def turn(
    tape: Tape, n: int, *messages: str, base: int | None = None, keep: int | None = None, **given
) -> None:
    """A run of one agent with one model call, which goes on with the call of an earlier run."""
    agent, call = step_id(10 * n), step_id(10 * n + 1)
    tape.start(run_id(n), agent, t=T0 + 10 * n, name="chat", agent="chat", **given)
    before = {} if base is None else {"base": step_id(10 * base + 1), "keep": keep}
    tape.start(
        run_id(n),
        call,
        t=T0 + 10 * n + 1,
        kind="llm",
        parent=agent,
        agent="chat",
        messages=[said(one) for one in messages],
        **before,
    )
    tape.end(run_id(n), call, t=T0 + 10 * n + 2, input_tokens=n, output_tokens=1)
    tape.end(run_id(n), agent, t=T0 + 10 * n + 3, output=f"answer {n}")


def conversation(path: Path) -> Tape:
    """Three runs of one process; each goes on with what was said before."""
    tape = Tape(path)
    turn(tape, 1, "system", "one", labels={"tier": "gold"}, session="s")
    turn(tape, 2, "two", base=1, keep=2)
    turn(tape, 3, "three", base=2, keep=3)
    return tape


def test_a_run_is_there_whole_and_no_other(path, file):
    conversation(path)
    done = take(path, file, run_id(1))
    assert (done.file, done.runs) == (str(file), (run_id(1),))
    assert outline(str(file)) == outline(str(path), run_id(1))
    assert rows(file, "SELECT run_id, labels, session_id, output FROM runs") == [
        (run_id(1), '{"tier":"gold"}', "s", '"answer 1"')
    ]
    assert sorted(one.name for one in file.parent.iterdir()) == ["one.db"]


def test_the_file_is_for_its_owner_alone_and_needs_no_other_beside_it(path, file):
    conversation(path)
    take(path, file, "last")
    assert file.stat().st_mode & 0o777 == 0o600
    assert rows(file, "PRAGMA journal_mode") == [("delete",)]


def test_messages_that_an_earlier_run_said_are_there_also_after_a_rebuild_and_an_import(path, file, tmp_path):
    conversation(path)
    take(path, file, run_id(3))
    whole = [["system", "one", "two", "three"]]
    assert inputs(file) == whole
    ingest.rebuild(file)
    assert inputs(file) == whole
    assert rows(file, "SELECT run_id FROM runs") == [(run_id(3),)]
    other = tmp_path / "other.db"
    merge(other, [file])
    assert inputs(other) == whole


def test_a_message_once_is_there_once_when_the_earlier_run_comes_later(path, file, tmp_path):
    conversation(path)
    other = tmp_path / "other.db"
    for n in (3, 1, 2):
        one = file.with_name(f"{n}.db")
        take(path, one, run_id(n))
        merge(other, [one])
    assert (
        inputs(other)
        == inputs(path)
        == [["system", "one"], ["system", "one", "two"], ["system", "one", "two", "three"]]
    )
    ingest.rebuild(other)
    assert inputs(other) == inputs(path)


def test_a_message_and_a_tool_that_another_run_named_first_are_there(path, file):
    tape = Tape(path)
    turn(tape, 1, "hello")
    turn(tape, 2, "hello")
    take(path, file, run_id(2))
    assert inputs(file) == [["hello"]]


def test_the_process_that_recorded_is_there_as_it_was(path, file):
    tape = conversation(path)
    tape.exit(t=T0 + 100)
    take(path, file, run_id(2))
    processes = "SELECT process_id, pid, host, started_ns, ended_ns, alive FROM processes"
    assert rows(file, processes) == rows(path, processes)


def test_a_process_that_was_found_dead_is_dead_there_too(path, file):
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0 + 1)
    tape.let_go()
    ingest.Drainer(path).drain()
    take(path, file, run_id(1))
    assert rows(file, "SELECT alive, gone FROM processes") == [(0, 1)]
    assert rows(file, "SELECT status FROM runs") == [("interrupted",)]


def resumed(path: Path) -> None:
    tape = Tape(path)
    for n in (1, 2, 3):
        tape.start(
            run_id(n),
            step_id(n),
            t=T0 + n * 10,
            kind="workflow",
            session="s",
            resuming=True if n > 1 else None,
        )
        tape.end(run_id(n), step_id(n), t=T0 + n * 10 + 5, status="waiting" if n < 3 else "ok")
    turn(tape, 5, "another task")


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_other_runs_of_the_task_come_with_a_run(path, file, n):
    resumed(path)
    done = take(path, file, run_id(n))
    assert done.runs == tuple(run_id(one) for one in (1, 2, 3))
    assert rows(file, "SELECT run_id, resumes, first_run_id, status FROM runs ORDER BY 1") == rows(
        path,
        f"SELECT run_id, resumes, first_run_id, status FROM runs WHERE run_id <> '{run_id(5)}' ORDER BY 1",
    )


def test_with_only_they_do_not(path, file):
    resumed(path)
    assert take(path, file, run_id(2), only=True).runs == (run_id(2),)
    assert rows(file, "SELECT run_id, resumes FROM runs") == [(run_id(2), run_id(1))]


def test_runs_exported_one_by_one_and_imported_are_as_if_merged(path, file, tmp_path):
    resumed(path)
    tape = Tape(path)
    turn(tape, 11, "system", "one")
    turn(tape, 12, "two", base=11, keep=2)
    tape.event("trouble", t=T0 + 999, text=Text(place="somewhere"), count=1)
    parts = []
    with read.open(path) as store:
        for run in store.runs(limit=None, all=True):
            parts.append(file.with_name(f"{run.run_id}.db"))
            export(store, [run.run_id], parts[-1])
    into, merged = tmp_path / "into.db", tmp_path / "merged.db"
    merge(into, parts)
    merge(merged, [path])
    of_processes = {"t_processes", "t_troubles"}
    assert {name: table for name, table in tables(into).items() if name not in of_processes} == {
        name: table for name, table in tables(merged).items() if name not in of_processes
    }
    # The whole store afterwards brings what belongs to no run.
    merge(into, [path])
    assert tables(into) == tables(merged)
    with closing(sqlite3.connect(into)) as db:
        assert seal.verify_chain(db) is None
        assert set(sources.verify_sources(db).values()) == {None}


def test_a_tape_that_is_drained_after_one_of_its_runs_was_imported_adds_the_others(path, file, tmp_path):
    conversation(path)
    take(path, file, run_id(2))
    other = tmp_path / "other.db"
    merge(other, [file])
    Path(f"{other}.tape").mkdir(exist_ok=True)
    for tape in Path(f"{path}.tape").glob("*.tape"):
        Path(f"{other}.tape", tape.name).write_bytes(tape.read_bytes())
    ingest.Drainer(other).drain()
    on_tapes = "SELECT count(*), count(DISTINCT offset) FROM events WHERE tape_id IS NOT NULL"
    assert rows(other, on_tapes) == rows(path, on_tapes)
    assert inputs(other) == inputs(path)


def test_the_sources_chain_can_be_verified_for_the_events_that_are_there(path, file):
    conversation(path)
    take(path, file, run_id(2))
    with closing(sqlite3.connect(file)) as db:
        assert list(sources.verify_sources(db).values()) == [None]
        db.execute("DROP TRIGGER events_stay_as_they_are")
        db.execute("UPDATE events SET head = replace(head, 'agent', 'human') WHERE kind = 'start'")
        (bad,) = sources.verify_sources(db).values()
        assert bad is not None


# -- trouble


def test_a_file_that_exists_is_left_alone(path, file):
    conversation(path)
    file.write_text("mine")
    with pytest.raises(StoreError, match="exists already"):
        take(path, file, "last")
    assert file.read_text() == "mine"


def test_no_such_run_leaves_no_file(path, file):
    conversation(path)
    with pytest.raises(StoreError, match="No run begins with 'ffff'"):
        take(path, file, "last", "ffff")
    assert list(file.parent.iterdir()) == []


def test_no_such_folder_is_one_sentence(path, tmp_path):
    conversation(path)
    with pytest.raises(StoreError, match="the folder does not exist"):
        take(path, tmp_path / "no" / "x.db", "last")


FULL = """
import resource, signal, sys
from counterfoil.store import read
from counterfoil.store.errors import StoreError
from counterfoil.store.export import export
with read.open(sys.argv[1]) as store:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
    try:
        export(store, ["last"], sys.argv[2])
    except StoreError as error:
        print(error)
"""


def test_no_room_leaves_no_file_and_is_one_sentence(path, file):
    conversation(path)
    ingest.Drainer(path).drain()
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", FULL, path, file], env=env, timeout=120, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(str(file))
    assert done.stdout.count("\n") == 1
    assert list(file.parent.iterdir()) == []
