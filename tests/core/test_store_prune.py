"""Pruning: old runs go whole; what stays is as it was, still verifies, and says what went."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from counterfoil.events import message, text_part
from counterfoil.store import audit, ingest, read
from counterfoil.store.errors import StoreError
from counterfoil.store.merge import merge
from counterfoil.store.prune import foresee, prune
from counterfoil.store.signing import begin
from everything import Words, all_bytes, everything_happens
from handmade_tape import SECOND, T0, Tape, run_id, step_id

#: Run n of `everything_happens` begins then.
BEGINS = [T0 + n * 1_000 * SECOND for n in range(10)]


@pytest.fixture(autouse=True)
def own_key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("COUNTERFOIL_ANCHOR", raising=False)
    monkeypatch.delenv("COUNTERFOIL_KEY", raising=False)


@pytest.fixture
def path(tmp_path) -> Path:
    """Three runs of one process that has ended, 1 to 3, told alternately, and signed; words of run 1 are `old`."""
    folder = tmp_path / "store"
    folder.mkdir()
    return folder / "x.db"


def recorded(path: Path, *runs: int) -> dict[int, Words]:
    words = {n: Words(f"run{n}") for n in runs}
    tape = Tape(path)
    for n in runs:
        everything_happens(tape, n, words[n])
    tape.exit(t=BEGINS[9])
    return words


def drained(path: Path) -> None:
    with ingest.Drainer(path) as drainer:
        drainer.drain()


def is_sound(path: Path) -> None:
    assert ingest.rebuild(path).changed == ()
    verified = audit.verify(path)
    assert verified.broken == ()
    assert audit.verify(path).events > 0


def runs(path: Path) -> list[str]:
    with read.open(path) as store:
        return sorted(run.run_id for run in store.runs(all=True, limit=None))


def test_an_old_run_goes_without_a_trace_and_the_others_stay_as_they_were(path):
    words = recorded(path, 1, 2, 3)
    drained(path)
    begin(path)
    with read.open(path) as store:
        before = [store.run(run_id(n)) for n in (2, 3)]
    done = prune(path, BEGINS[2], by="ada", because="a year is over")
    assert done.runs == (run_id(1),)
    assert done.notices == ()
    assert runs(path) == [run_id(2), run_id(3)]
    with read.open(path) as store:
        assert [store.run(run_id(n)) for n in (2, 3)] == before
    files = all_bytes(path)
    assert words[1].found_in(files) == {}
    assert words[2].all_in(files)
    assert words[3].all_in(files)
    is_sound(path)


def test_what_went_is_on_record_and_signed(path):
    recorded(path, 1, 2)
    drained(path)
    begin(path)
    done = prune(path, BEGINS[2], by="ada", because="a year is over")
    with read.open(path) as store:
        (erasure,) = store.erasures()
        assert (erasure.kind, erasure.erased_by, erasure.reason) == ("prune", "ada", "a year is over")
        assert (erasure.events, erasure.texts) == (done.events, done.texts)
    checks = {check.name: check for check in audit.verify(path).checks}
    assert checks["unsigned"].level == "ok"
    assert f"{done.events:,} more were dropped" in checks["events"].says


def test_without_a_key_nothing_is_dropped(path):
    recorded(path, 1)
    drained(path)
    with pytest.raises(StoreError, match="counterfoil checkpoint"):
        prune(path, BEGINS[2], by="ada")
    assert runs(path) == [run_id(1)]


def test_to_foresee_changes_nothing(path):
    recorded(path, 1, 2)
    drained(path)
    begin(path)
    found = foresee(path, BEGINS[2])
    assert runs(path) == [run_id(1), run_id(2)]
    assert found == prune(path, BEGINS[2], by="ada")


def test_where_no_run_is_old_nothing_is_done(path):
    recorded(path, 2)
    drained(path)
    begin(path)
    assert prune(path, BEGINS[1], by="ada").runs == ()
    with read.open(path) as store:
        assert store.erasures() == []


def test_all_runs_may_go(path):
    recorded(path, 1, 2)
    drained(path)
    begin(path)
    assert len(prune(path, BEGINS[9], by="ada").runs) == 2
    assert runs(path) == []
    is_sound(path)
    recorded(path, 3)
    drained(path)
    assert runs(path) == [run_id(3)]
    is_sound(path)


def test_a_second_time_goes_on_from_the_first(path):
    recorded(path, 1, 2, 3)
    drained(path)
    begin(path)
    prune(path, BEGINS[2], by="ada")
    prune(path, BEGINS[3], by="ada")
    assert runs(path) == [run_id(3)]
    is_sound(path)


def test_a_run_stays_with_the_one_that_it_resumes_until_both_are_old(path):
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=BEGINS[1], session="s")
    tape.start(run_id(1), step_id(2), t=BEGINS[1] + 1, kind="human", parent=step_id(1))
    tape.end(run_id(1), step_id(1), t=BEGINS[1] + 2, status="waiting")
    tape.start(run_id(2), step_id(3), t=BEGINS[3], session="s", resuming=True)
    tape.end(run_id(2), step_id(3), t=BEGINS[3] + 1)
    tape.exit(t=BEGINS[9])
    drained(path)
    begin(path)
    with read.open(path) as store:
        assert store.run(run_id(2)).resumes == run_id(1)
    assert prune(path, BEGINS[2], by="ada").runs == ()
    assert prune(path, BEGINS[4], by="ada").runs == (run_id(1), run_id(2))


def test_a_run_that_goes_on_from_messages_of_one_that_went_still_shows_its_whole_input(path):
    said = [message("user", [text_part(f"message {n}")]) for n in range(3)]
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=BEGINS[1], kind="llm", messages=said[:2])
    tape.end(run_id(1), step_id(1), t=BEGINS[1] + 1)
    tape.start(run_id(2), step_id(2), t=BEGINS[2], kind="llm", base=step_id(1), keep=2, messages=said[2:])
    tape.end(run_id(2), step_id(2), t=BEGINS[2] + 1)
    tape.exit(t=BEGINS[9])
    drained(path)
    begin(path)
    prune(path, BEGINS[2], by="ada")
    with read.open(path) as store:
        assert store.messages(step_id(2)).input == said
    is_sound(path)
    prune(path, BEGINS[3], by="ada")
    assert b"message 0" not in b"".join(all_bytes(path).values())


def test_the_tape_of_a_process_that_lives_loses_what_went_and_goes_on(path):
    words = Words("old")
    tape = Tape(path)
    everything_happens(tape, 1, words)
    tape.start(run_id(2), step_id(901), t=BEGINS[5])
    drained(path)
    begin(path)
    assert prune(path, BEGINS[2], by="ada").runs == (run_id(1),)
    assert words.found_in(all_bytes(path)) == {}
    tape.end(run_id(2), step_id(901), t=BEGINS[5] + 1)
    tape.exit(t=BEGINS[9])
    drained(path)
    with read.open(path) as store:
        assert store.run(run_id(2)).status == "ok"
    is_sound(path)


def test_a_store_that_still_has_it_does_not_bring_it_back(path, tmp_path):
    recorded(path, 1, 2)
    drained(path)
    begin(path)
    other = tmp_path / "other.db"
    merge(other, [path])
    prune(path, BEGINS[2], by="ada")
    merge(path, [other])
    assert runs(path) == [run_id(2)]
    is_sound(path)


def test_the_tape_of_what_came_from_another_store_does_not_bring_it_back(path, tmp_path):
    """Its folder of tapes turns up later, where its events had been merged, and pruned."""
    recorded(path, 1, 2)
    kept = {file.name: file.read_bytes() for file in Path(f"{path}.tape").glob("*.tape")}
    drained(path)
    other = tmp_path / "store" / "other.db"
    merge(other, [path])
    begin(other)
    prune(other, BEGINS[2], by="ada")
    for name, data in kept.items():
        (Path(f"{other}.tape") / name).write_bytes(data)
    drained(other)
    assert runs(other) == [run_id(2)]
    is_sound(other)


def test_a_pruned_store_can_be_merged_into_another_whose_copy_of_its_chain_still_holds(path, tmp_path):
    recorded(path, 1, 2, 3)
    drained(path)
    begin(path)
    prune(path, BEGINS[2], by="ada")
    other = tmp_path / "other.db"
    merge(other, [path])
    assert runs(other) == [run_id(2), run_id(3)]
    is_sound(other)


def test_what_came_from_other_stores_may_be_pruned_and_their_chains_still_hold(path, tmp_path):
    recorded(path, 1, 2)
    drained(path)
    other = tmp_path / "other.db"
    merge(other, [path])
    begin(other)
    assert prune(other, BEGINS[2], by="ada").runs == (run_id(1),)
    is_sound(other)
    checks = {check.name: check.level for check in audit.verify(other).checks}
    assert checks["sources"] == "ok"


@pytest.mark.parametrize(
    "deed",
    [
        "DELETE FROM pruned WHERE seq = (SELECT min(seq) FROM pruned)",
        "UPDATE pruned SET leaf = zeroblob(32) WHERE seq = (SELECT min(seq) FROM pruned)",
        """DROP TRIGGER events_are_kept; INSERT INTO pruned(seq, leaf)
        SELECT max(seq) - 1, zeroblob(32) FROM events; DELETE FROM events WHERE seq IN (SELECT seq FROM pruned)""",
    ],
    ids=["a leaf removed", "a leaf changed", "an event passed off as pruned"],
)
def test_what_is_left_of_the_pruned_is_checked(path, deed):
    recorded(path, 1, 2)
    drained(path)
    begin(path)
    prune(path, BEGINS[2], by="ada")
    with closing(sqlite3.connect(path)) as db:
        db.executescript(deed)
    assert audit.verify(path).broken
