"""Damaged files: what a tape lost costs itself alone, and a store that is broken says so and costs no tape."""

import os
import random
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import counterfoil
from counterfoil.store import ingest, schema
from counterfoil.store.errors import StoreError
from counterfoil.store.seal import verify_chain
from handmade_tape import T0, Tape, run_id, step_id

pytestmark = pytest.mark.slow

RUNS = 12
PAGE = 4096


def drain(db):
    with ingest.Drainer(db) as drainer:
        return drainer.drain()


def record(tape, first=1, last=RUNS):
    for n in range(first, last + 1):
        tape.start(run_id(n), step_id(n), t=T0 + 10 * n, name="agent", input="x" * 30)
        tape.end(run_id(n), step_id(n), t=T0 + 10 * n + 5)


def heads(db):
    with closing(sqlite3.connect(db)) as connection:
        assert verify_chain(connection) is None
        rows = connection.execute(
            "SELECT CAST(head AS BLOB) FROM events WHERE tape_id IS NOT NULL ORDER BY offset"
        )
        return [head for (head,) in rows]


# -- tapes

damages = st.lists(
    st.tuples(
        st.sampled_from(["flipped", "cut out", "put in", "zeroed", "twice"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(1, 300),
        st.binary(min_size=1, max_size=40),
    ),
    min_size=1,
    max_size=4,
)


def damaged(whole, deeds):
    for deed, where, size, noise in deeds:
        at = int(where * len(whole))
        before, there, after = whole[:at], whole[at : at + size], whole[at + size :]
        there = {
            "flipped": bytes(byte ^ 0x55 for byte in there),
            "cut out": b"",
            "put in": there + noise,
            "zeroed": b"\0" * len(there),
            "twice": there + there,
        }[deed]
        whole = before + there + after
    return whole


@settings(max_examples=40, deadline=None)
@given(deeds=damages, alive=st.booleans())
def test_every_line_of_a_damaged_tape_that_is_still_whole_is_there_and_the_others_are_kept(deeds, alive):
    folder = Path(tempfile.mkdtemp())
    try:
        db = folder / "x.db"
        shutil.copy(empty_store(), db)
        tape = Tape(db)
        record(tape)
        whole = tape.path.read_bytes()
        lines = set(whole.splitlines())
        content = damaged(whole, deeds)
        tape.path.write_bytes(content)
        if not alive:
            tape.let_go()
        drain(db)
        assert drain(db).events == 0
        ends = content.split(b"\n")[:-1]
        kept = [line for line in lines for one in ends if one.endswith(line)]
        stored = heads(db)
        for line in kept:
            assert stored.count(line.split(b"\t")[0]) >= kept.count(line) > 0
        with closing(sqlite3.connect(db)) as connection:
            aside = b"".join(
                raw + b"\n" for (raw,) in connection.execute("SELECT raw FROM quarantine ORDER BY offset")
            )
            rows = connection.execute("SELECT count(*) FROM events WHERE tape_id IS NOT NULL").fetchone()[0]
        # Each line that says something is an event or set aside; the last, without its end, waits for its writer.
        said = [line for line in content.split(b"\n")[:-1] if line.strip()]
        torn = bool(content.split(b"\n")[-1]) and not alive
        assert rows + aside.count(b"\n") >= len(said) + torn
        if alive:
            tape.let_go()
    finally:
        shutil.rmtree(folder)


_empty = []


def empty_store():
    """Making a store takes longer than all of an example."""
    if not _empty:
        _empty.append(Path(tempfile.mkdtemp()) / "empty.db")
        schema.open_writer(str(_empty[0])).close()
    return _empty[0]


# -- the store


@pytest.fixture
def backed_up(tmp_path):
    """A store, a copy of it, and a tape with events that came after, its writer alive."""
    db = tmp_path / "x.db"
    tape = Tape(db)
    record(tape, 1, 60)
    drain(db)
    copy = tmp_path / "copy.db"
    shutil.copy(db, copy)
    record(tape, 61, 100)
    yield db, copy, tape
    tape.let_go()


def put_back(copy, db):
    for leftover in ("-wal", "-shm"):
        db.with_name(db.name + leftover).unlink(missing_ok=True)
    shutil.copy(copy, db)


def test_a_corrupted_page_costs_no_tape_and_is_told_in_a_sentence(backed_up):
    db, copy, tape = backed_up
    pages = copy.stat().st_size // PAGE
    written = tape.path.read_bytes()
    chance = random.Random(5)
    told = {}
    for page in range(1, pages + 1):
        put_back(copy, db)
        with db.open("r+b") as file:
            file.seek((page - 1) * PAGE)
            file.write(chance.randbytes(PAGE))
        try:
            with ingest.Drainer(db) as drainer:
                drainer.drain()
        except StoreError as error:
            told[page] = str(error)
        try:
            with counterfoil.open(db) as store:
                for run in store.runs(all=True, limit=None):
                    store.steps(run)
        except StoreError:
            pass
        assert tape.path.read_bytes() == written
    assert len(told) > pages // 3
    del told[1]  # without its first page it is no database at all
    assert {"is damaged" in sentence for sentence in told.values()} == {True}
    assert not any("\n" in sentence for sentence in told.values())
    put_back(copy, db)
    drain(db)
    assert len(heads(db)) == 1 + 200
    with counterfoil.open(db) as store:
        assert {run.status for run in store.runs(all=True, limit=None)} == {"ok"}


def test_a_store_cut_short_costs_no_tape_and_is_told_in_a_sentence(backed_up):
    db, copy, tape = backed_up
    written = tape.path.read_bytes()
    os.truncate(db, 3 * PAGE + 100)
    with pytest.raises(StoreError, match="is damaged"):
        drain(db)
    assert tape.path.read_bytes() == written
    put_back(copy, db)
    drain(db)
    assert len(heads(db)) == 1 + 200
