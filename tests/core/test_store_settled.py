"""A store in which nothing is left to do is read without a drainer; one in which something is, is drained first."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from counterfoil.store import ingest, pricing, read, schema, signing
from handmade_tape import SECOND, T0, Tape, run_id, step_id


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "x.db"


@pytest.fixture
def no_writer(monkeypatch):
    """From when it is called on, nobody may write to a store."""

    def forbid() -> None:
        monkeypatch.setattr(schema, "open_writer", lambda *_, **__: pytest.fail("it was opened to write"))

    return forbid


def desk(tape: Tape, n: int = 1, **given) -> None:
    tape.start(run_id(n), step_id(n), t=T0 + n * SECOND, name="desk", agent="a", session="s", **given)
    tape.start(run_id(n), step_id(100 + n), t=T0 + n * SECOND + 1, kind="llm", parent=step_id(n), model="m")
    tape.end(run_id(n), step_id(100 + n), t=T0 + n * SECOND + 2, input_tokens=3, output_tokens=4)
    tape.end(run_id(n), step_id(n), t=T0 + n * SECOND + 3)


def ended(path: Path, *, price: bool = True) -> None:
    """Record one run, end in good order, and have it drained by another than the reader."""
    tape = Tape(path)
    desk(tape)
    tape.exit(t=T0 + 9 * SECOND)
    with ingest.Drainer(path) as drainer:
        drainer.drain(price=price)
    assert not list(tape.folder.glob("*.tape"))


def test_what_is_settled_is_read_without_writing(path, no_writer):
    ended(path)
    no_writer()
    with read.open(path) as store:
        assert [(run.name, run.status) for run in store.runs()] == [("desk", "ok")]
        assert (store.refresh(), store.notices, store.undrained_bytes) == (0, [], 0)


def test_a_tape_that_comes_while_it_is_read_is_drained(path):
    ended(path)
    with read.open(path) as store:
        tape = Tape(path)
        desk(tape, 2)
        assert store.refresh() == 5
        assert len(store.runs()) == 2


def test_who_died_is_found_though_its_tape_holds_nothing_new(path):
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0, name="desk", agent="a")
    with read.open(path) as store:
        assert store.run("last").status == "running"
        tape.let_go()
        store.refresh()
        assert store.run("last").status == "interrupted"


def test_what_was_drained_without_prices_is_priced(path, monkeypatch):
    monkeypatch.setattr(pricing, "_version", lambda: "1")
    monkeypatch.setattr(pricing, "_pricer", lambda: lambda provider, model, call: 7)
    ended(path, price=False)
    with read.open(path) as store:
        assert store.run("last").cost_nano == 7


def test_a_newer_table_of_prices_is_asked(path, monkeypatch):
    def unknown(*_):
        raise pricing._Unknown

    monkeypatch.setattr(pricing, "_version", lambda: "1")
    monkeypatch.setattr(pricing, "_pricer", lambda: unknown)
    ended(path)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "open_writer", lambda *_, **__: pytest.fail("it was opened to write"))
        read.open(path).close()
    monkeypatch.setattr(pricing, "_version", lambda: "2")
    monkeypatch.setattr(pricing, "_pricer", lambda: lambda provider, model, call: 7)
    with read.open(path) as store:
        assert store.run("last").cost_nano == 7


def test_usage_that_contradicts_itself_is_not_brought_up_each_time(path, monkeypatch, no_writer):
    monkeypatch.setattr(pricing, "_version", lambda: "1")
    monkeypatch.setattr(pricing, "_pricer", lambda: pytest.fail("the table was asked"))
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0, kind="llm", model="m")
    tape.end(run_id(1), step_id(1), t=T0 + 1, input_tokens=3, output_tokens=4, cache_read_tokens=5)
    tape.exit(t=T0 + 2)
    read.open(path).close()
    no_writer()
    with read.open(path) as store:
        assert store.run("last").unpriced_calls == 1


def test_a_run_that_could_not_be_tied_yet_is_tied(path, monkeypatch):
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0, agent="a", session="s")
    tape.start(run_id(1), step_id(2), t=T0 + 1, kind="human", parent=step_id(1))
    tape.end(run_id(1), step_id(1), t=T0 + 2, status="waiting")
    tape.start(run_id(2), step_id(3), t=T0 + 3, agent="a", session="s", resuming=True)
    tape.end(run_id(2), step_id(3), t=T0 + 4)
    tape.exit(t=T0 + 5)
    with monkeypatch.context() as patch, ingest.Drainer(path) as drainer:
        patch.setattr(ingest, "now_ns", lambda: T0)  # the pass began before that run did
        drainer.drain()
    assert not list(tape.folder.glob("*.tape"))
    with read.open(path) as store:
        assert store.run(run_id(2)).resumes == run_id(1)


def checkpoints_of(path):
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT count(*) FROM checkpoints").fetchone()[0]


@pytest.fixture
def unsigned(path, tmp_path, monkeypatch):
    """A store that is to be signed, and of which the newest events are not; no tape is left. Its key's file."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    ended(path)
    key = signing.begin(path).key_file
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE checkpoints SET at_ns = 1")
    tape = Tape(path)
    tape.start(run_id(9), step_id(9), t=T0)
    tape.exit(t=T0 + 1)
    with ingest.Drainer(path) as drainer:
        drainer.drain(sign=False)
    return Path(key)


def test_a_store_that_is_signed_is_signed_by_its_readers_too(path, unsigned):
    read.open(path).close()
    assert checkpoints_of(path) == 2


def test_without_the_key_a_reader_leaves_it_to_others(path, unsigned, no_writer):
    unsigned.unlink()
    no_writer()
    read.open(path).close()
    assert checkpoints_of(path) == 1


def test_a_segment_that_was_never_finished_is_swept(path):
    ended(path)
    left = path.parent / "x.db.tape" / "0.new"
    left.touch()
    old = time.time() - 3_600
    os.utime(left, (old, old))
    read.open(path).close()
    assert not left.exists()


def test_a_store_may_have_any_name(tmp_path):
    path = tmp_path / "a b?c#d%41é.db"
    ended(path)
    with read.open(path) as store:
        assert len(store.runs()) == 1
    assert {file.name for file in tmp_path.iterdir()} == {path.name, f"{path.name}.tape"}


def test_a_table_of_prices_without_a_version_is_none(tmp_path, monkeypatch):
    (tmp_path / "genai_prices").mkdir()
    (tmp_path / "genai_prices" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert pricing._version() is None
    monkeypatch.setattr(sys, "path", [])
    assert pricing._version() is None
    (tmp_path / "genai_prices-1.2.3.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert pricing._version() == "1.2.3"
