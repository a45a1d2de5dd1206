"""Checkpoints: signed notes in C2SP's form, each naming the one before it, made whenever it is time."""

from __future__ import annotations

import base64
import os
import re
import sqlite3
from contextlib import closing
from hashlib import sha256

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import child
from counterfoil import guard
from counterfoil.store import checkpoints, keys, signing, tree
from counterfoil.store.ingest import Drainer
from handmade_tape import SECOND, T0, Tape, run_id, step_id

#: https://c2sp.org/tlog-checkpoint: origin, size, root, other lines, an empty one, signatures.
FORM = re.compile(
    r"(?P<text>(?P<origin>.+)\n(?P<size>\d+)\n(?P<root>\S+)\n(?P<more>(?:.+\n)*))\n— (?P<name>\S+) (?P<sig>\S+)\n"
)
STORE_ID = "SELECT value FROM meta WHERE key = 'store_id'"


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("COUNTERFOIL_KEY", "COUNTERFOIL_ANCHOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "x.db"


@pytest.fixture
def tape(path):
    """The tape of a process that lives."""
    tape = Tape(path)
    happen(tape, 1)
    return tape


def happen(tape, n, *, ends=True):
    tape.start(run_id(n), step_id(n), t=T0 + n * SECOND)
    if ends:
        tape.end(run_id(n), step_id(n), t=T0 + n * SECOND + 1)


def drain(path, *, ends=False):
    with Drainer(path) as drainer:
        drainer.drain(price=ends)


def notes(path):
    with closing(sqlite3.connect(path)) as db:
        return [note for (note,) in db.execute("SELECT note FROM checkpoints ORDER BY checkpoint_id")]


def sizes(path):
    return [int(FORM.fullmatch(note)["size"]) for note in notes(path)]


def ask(path, query):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchone()[0]


def age(path, seconds):
    """Have the newest checkpoint been made so long ago."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "UPDATE checkpoints SET at_ns = at_ns - ? WHERE checkpoint_id = (SELECT max(checkpoint_id) FROM checkpoints)",
            (seconds * SECOND,),
        )
        db.commit()


# -- their form


def test_a_note_says_of_which_store_how_many_events_and_their_root(path, tape):
    signing.begin(path)
    (note,) = notes(path)
    said = FORM.fullmatch(note)
    with closing(sqlite3.connect(path)) as db:
        leaves = list(tree.leaves(db, 1, 3))
    assert said["origin"] == "counterfoil/" + ask(path, STORE_ID)
    assert said["size"] == "3"
    assert base64.b64decode(said["root"]) == tree.root_of(leaves)
    assert re.fullmatch(r"time \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\nprevious A{43}=\n", said["more"])


def test_anybody_can_check_the_signature_with_the_public_key_alone(path, tape):
    name, key_id, encoded = signing.begin(path).public_key.split("+", 2)
    said = FORM.fullmatch(notes(path)[0])
    signature = base64.b64decode(said["sig"])
    assert said["name"] == name == said["origin"]
    assert signature[:4].hex() == key_id
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded)[1:])
    public.verify(signature[4:], said["text"].encode())
    with pytest.raises(InvalidSignature):
        public.verify(signature[4:], said["text"].replace("3", "4", 1).encode())


def test_each_names_the_whole_note_before_it(path, tape):
    for n in (2, 3):
        signing.begin(path)
        happen(tape, n)
    signing.begin(path)
    all_notes = notes(path)
    before = [re.search("previous (.+)", note)[1] for note in all_notes]
    assert before[1:] == [
        base64.b64encode(sha256(note.encode()).digest()).decode() for note in all_notes[:-1]
    ]
    assert sizes(path) == [3, 5, 7]


def test_a_note_is_read_as_it_was_written(path, tape):
    key = keys.parse_public(signing.begin(path).public_key)
    (note,) = notes(path)
    read = checkpoints.parse(note)
    assert (read.note, read.size, read.store) == (
        note,
        3,
        ask(path, STORE_ID),
    )
    assert read.is_by(key)
    assert abs(read.time_ns - ask(path, "SELECT at_ns FROM checkpoints")) < SECOND


@pytest.mark.parametrize(
    ("what", "by"),
    [
        ("counterfoil/", "other/"),
        ("\n3\n", "\n03\n"),
        ("\n\n", "\n"),
        ("— ", "- "),
        ("time ", "Time "),
        ("=\n", "\n"),
    ],
)
def test_what_is_not_in_that_form_is_no_note(path, tape, what, by):
    signing.begin(path)
    (note,) = notes(path)
    assert what in note
    assert checkpoints.parse(note.replace(what, by)) is None


def test_an_empty_store_can_be_signed(path):
    path.with_name("x.db.tape").mkdir()
    assert signing.begin(path).events == 0
    assert base64.b64decode(FORM.fullmatch(notes(path)[0])["root"]) == sha256(b"").digest()


# -- when


@pytest.mark.parametrize(
    ("under_way", "new", "ends", "seconds", "due"),
    [
        # While runs go on: a minute. When all have ended: ten seconds. At the end of a drainer: one.
        (True, True, False, 59, False),
        (True, True, False, 60, True),
        (False, True, False, 9, False),
        (False, True, False, 10, True),
        (True, True, True, 0.5, False),
        (True, True, True, 1, True),
        # Nothing new: an hour, whoever asks.
        (False, False, True, 3_599, False),
        (False, False, False, 3_600, True),
        # The clock went back.
        (False, False, False, -1, True),
    ],
)
def test_one_is_due(path, tape, under_way, new, ends, seconds, due):
    signing.begin(path)
    if new:
        happen(tape, 2, ends=not under_way)
        with Drainer(path) as drainer:
            drainer.drain(sign=False)
    at = ask(path, "SELECT at_ns FROM checkpoints")
    with closing(sqlite3.connect(path)) as db:
        assert checkpoints.is_due(db, ends=ends, now=at + int(seconds * SECOND)) is due


def test_a_drain_signs_by_itself_where_the_key_is(path, tape):
    signing.begin(path)
    happen(tape, 2)
    drain(path)
    assert sizes(path) == [3]
    age(path, 10)
    happen(tape, 3)
    drain(path)
    assert sizes(path) == [3, 7]


def test_where_the_key_is_not_a_drain_signs_nothing_and_says_nothing(path, tape, monkeypatch):
    signing.begin(path)
    age(path, 10)
    happen(tape, 2)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    drain(path)
    assert ask(path, "SELECT count(*) FROM events") == 5
    assert sizes(path) == [3]


def test_a_store_that_nobody_began_to_sign_is_not_signed(path, tape):
    drain(path, ends=True)
    assert notes(path) == []


def test_a_key_that_cannot_be_read_is_said_once_and_events_go_on(path, tape, monkeypatch, caplog):
    monkeypatch.setenv("COUNTERFOIL_RAISE", "0")
    monkeypatch.setattr(guard, "_counts", counts := {})
    key = signing.begin(path).key_file
    os.chmod(key, 0o644)
    age(path, 10)
    for n in (2, 3):
        happen(tape, n)
        drain(path)
    assert ask(path, "SELECT count(*) FROM events") == 7
    assert counts == {"counterfoil.store.signing": 2}
    assert [record.getMessage().count("may be read by others") for record in caplog.records] == [1]


def test_an_event_that_is_missing_is_signed_by_nobody(path, tape, monkeypatch):
    monkeypatch.setenv("COUNTERFOIL_RAISE", "0")
    monkeypatch.setattr(guard, "_counts", counts := {})
    signing.begin(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TRIGGER events_are_kept")
        db.execute("DELETE FROM events WHERE seq = 2")
        db.commit()
    age(path, 10)
    happen(tape, 2)
    drain(path)
    assert sizes(path) == [3]
    assert counts == {"counterfoil.store.signing": 1}


WITHOUT_CRYPTOGRAPHY = """
    import sys
    class Blocked:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] == "cryptography":
                raise ImportError(name)
    sys.meta_path.insert(0, Blocked())
"""
SCRIPT = """
    import counterfoil
    with counterfoil.run("desk"):
        pass
"""


def test_the_exit_of_a_script_signs(path, tape):
    signing.begin(path)
    age(path, 1)
    child.run(SCRIPT, db=path, COUNTERFOIL_DRAIN="on")
    assert sizes(path) == [3, ask(path, "SELECT max(seq) FROM events")]


def test_flush_signs(path, tape):
    signing.begin(path)
    age(path, 1)
    child.run(SCRIPT + "\n    assert counterfoil.flush()\n    import os; os._exit(0)", db=path)
    assert len(notes(path)) == 2


def test_a_process_without_cryptography_drains_and_signs_nothing(path, tape):
    signing.begin(path)
    age(path, 10)
    child.run(
        WITHOUT_CRYPTOGRAPHY + SCRIPT + "\n    assert counterfoil.flush()", db=path, COUNTERFOIL_RAISE="0"
    )
    assert ask(path, "SELECT count(*) FROM t_runs") == 2
    assert sizes(path) == [3]
