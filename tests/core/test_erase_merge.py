"""What was erased, in stores that are merged, exported and imported."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from counterfoil.store import ingest, read, seal, sources
from counterfoil.store.erase import Selection, erase
from counterfoil.store.export import export
from counterfoil.store.merge import merge
from everything import Words, all_bytes, everything_happens, outside_of_runs, said
from handmade_tape import T0, Tape, run_id, step_id
from worlds import dump

RUN, OTHER = run_id(1), run_id(2)


@pytest.fixture
def a(tmp_path) -> Path:
    return folder(tmp_path, "a") / "x.db"


@pytest.fixture
def b(tmp_path) -> Path:
    return folder(tmp_path, "b") / "x.db"


def folder(tmp_path: Path, name: str) -> Path:
    made = tmp_path / name
    made.mkdir(exist_ok=True)
    return made


def drain(path: Path) -> None:
    with ingest.Drainer(path) as drainer:
        drainer.drain()


def take(path: Path, file: Path, *runs: str) -> None:
    with read.open(path) as store:
        export(store, runs, file)


def assert_it_is_whole(path: Path) -> None:
    assert ingest.rebuild(path).changed == ()
    with closing(sqlite3.connect(path)) as db:
        assert seal.verify_chain(db) is None
        assert set(sources.verify_sources(db).values()) <= {None}


def tables(path: Path) -> dict[str, list[tuple]]:
    with closing(sqlite3.connect(path)) as db:
        return dump(db)


def inputs(path: Path, *steps: str) -> list[list[str]]:
    with read.open(path) as store:
        return [[one["parts"][0]["content"] for one in store.messages(step).input] for step in steps]


@pytest.fixture
def talk(a):
    """Two runs: the second goes on from the first, and says once more what that one said."""
    tape = Tape(a)
    tape.start(RUN, step_id(1), t=T0 + 1, kind="llm", name="first", messages=[said("one"), said("two")])
    tape.event("end", t=T0 + 2, run=RUN, step=step_id(1), status="ok", messages=[said("two")])
    tape.start(
        OTHER,
        step_id(2),
        t=T0 + 3,
        kind="llm",
        name="second",
        base=step_id(1),
        keep=2,
        messages=[said("two")],
    )
    tape.end(OTHER, step_id(2), t=T0 + 4)
    tape.exit(t=T0 + 5)
    drain(a)


@pytest.mark.parametrize("runs", [(RUN,), (OTHER,), (RUN, OTHER)])
def test_a_copy_of_a_store_in_which_runs_were_erased_has_the_same_tables(a, b, talk, runs):
    for run in runs:
        erase(a, Selection("run", run), by="ada")
    merge(b, [a])
    assert tables(b) == tables(a)
    assert inputs(b, step_id(1), step_id(2)) == inputs(a, step_id(1), step_id(2))
    assert_it_is_whole(b)


def test_what_was_erased_stays_erased_when_a_store_that_has_it_is_merged_again(a, b, talk):
    merge(b, [a])
    erase(b, Selection("run", RUN), by="ada")
    before = tables(b)
    (merged,) = merge(b, [a])
    assert merged.copied.events == 0
    assert tables(b) == before
    assert_it_is_whole(b)


def test_what_was_matched_stays_erased_too_also_among_lines_that_were_no_events(a, b):
    tape, mine = Tape(a), Words("mine")
    outside_of_runs(tape, mine)
    everything_happens(tape, 1, mine)
    tape.exit(t=T0 * 2)
    drain(a)
    merge(b, [a])
    erase(b, Selection("match", "mineword"), by="ada")
    merge(b, [a])
    assert mine.found_in(all_bytes(b)) == {}
    assert mine.all_in(all_bytes(a))
    assert_it_is_whole(b)


def test_what_a_source_erased_later_stays_where_it_was_copied_to_and_the_record_comes(a, b, talk):
    merge(b, [a])
    before = inputs(b, step_id(1), step_id(2))
    erase(a, Selection("run", RUN), by="ada", because="asked")
    merge(b, [a])
    assert inputs(b, step_id(1), step_id(2)) == before
    with read.open(b) as store:
        assert [one.reason for one in store.erasures(RUN)] == ["asked"]
        assert store.run(RUN).name == "first"
    assert_it_is_whole(b)


def test_what_new_events_of_another_store_say_is_new_though_the_same_was_erased_here(a, b):
    for path, n in ((a, 1), (b, 2)):
        tape = Tape(path)
        tape.start(run_id(n), step_id(n), t=T0 + n, kind="llm", name=f"n{n}", messages=[said("Smith")])
        tape.exit(t=T0 + 9)
        drain(path)
    erase(a, Selection("match", "Smith"), by="ada")
    merge(a, [b])
    assert inputs(a, step_id(2)) == [["Smith"]]
    with read.open(a) as store:
        assert store.messages(step_id(1)).input == [None]
    assert_it_is_whole(a)


def test_an_erased_run_that_is_exported_takes_nothing_along_that_another_holds(a, b, talk):
    erase(a, Selection("run", RUN), by="ada", because="asked")
    take(a, b, RUN)
    assert b'"content":' not in b"".join(all_bytes(b).values())
    with read.open(b) as store:
        assert [one.reason for one in store.erasures()] == ["asked"]
        assert store.run("last").run_id == RUN
    assert_it_is_whole(b)


def test_a_run_that_goes_on_from_an_erased_one_is_exported_with_its_whole_input(a, b, tmp_path, talk):
    before = inputs(a, step_id(2))
    erase(a, Selection("run", RUN), by="ada")
    take(a, b, OTHER)
    assert inputs(b, step_id(2)) == before
    back = folder(tmp_path, "c") / "x.db"
    merge(back, [b])
    merge(back, [a])
    assert inputs(back, step_id(1), step_id(2)) == [[], *before]
    assert_it_is_whole(back)


def test_what_was_erased_outside_of_runs_is_told_with_every_export(a, b):
    tape, words = Tape(a), Words("words")
    outside_of_runs(tape, words)
    tape.start(RUN, step_id(1), t=T0 + 1, name="n")
    tape.event("open", t=T0 + 2, text=words.text("open"), format=1)
    tape.exit(t=T0 + 9)
    drain(a)
    erase(a, Selection("match", "wordsword"), by="ada")
    take(a, b, RUN)
    with read.open(b) as store:
        assert [one.run_id for one in store.erasures()] == [None, None]  # events, and a line that was none
    assert_it_is_whole(b)
