"""`counterfoil verify`: what it says, its exit codes, and what it is given wrongly."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cli_story import invoke, of_another_user, record
from counterfoil.store import signing
from handmade_tape import T0, Tape, run_id, step_id

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def store(tmp_path):
    record(tmp_path / "x.db", "desk", "greet")
    return tmp_path / "x.db"


@pytest.fixture
def signed(store, monkeypatch):
    """The store, signed by us; its anchor stands beside it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(store.parent / "config"))
    for name in ("COUNTERFOIL_KEY", "COUNTERFOIL_ANCHOR"):
        monkeypatch.delenv(name, raising=False)
    return signing.begin(store, anchor=store.parent / "anchor")


def verify(store, *args, **env):
    env = {
        "XDG_CONFIG_HOME": str(store.parent / "config"),
        "COUNTERFOIL_KEY": None,
        "COUNTERFOIL_ANCHOR": None,
    } | env
    return invoke("verify", "--db", store, *args, env=env)


def checks(result):
    return {one["name"]: one["level"] for one in json.loads(result.stdout)["checks"]}


def changed(store, statement):
    with closing(sqlite3.connect(store)) as db:
        db.execute("DROP TRIGGER events_stay_as_they_are")
        db.execute(statement)
        db.commit()


def first_event(store, name):
    """Give the id of the run of that name, and the number of its first event."""
    with closing(sqlite3.connect(store)) as db:
        return db.execute(
            "SELECT run_id, min(seq) FROM events WHERE run_id = (SELECT run_id FROM runs WHERE name = ?)",
            (name,),
        ).fetchone()


def one_sentence(result, sentence, *, code=1):
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("counterfoil: ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


# -- exit codes


def test_a_store_that_its_anchor_agrees_with_is_ok(store, signed):
    result = verify(store, "--anchor", store.parent / "anchor")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-2:] == [
        "",
        "The store is what was recorded, as far as its anchor goes.",
    ]
    assert {line.split()[0] for line in result.stdout.splitlines()[:-2]} == {"ok"}


def test_without_an_anchor_it_is_consistent_and_no_more(store, signed):
    result = verify(store)
    assert result.exit_code == 2
    assert result.stdout.splitlines()[-1].startswith("Consistent, but not anchored: ")


def test_a_store_that_nobody_signed_is_never_ok(store):
    result = verify(store, "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["verdict"] == "not anchored"
    assert checks(result)["checkpoints"] == "open"


def test_a_changed_store_is_broken_and_the_first_bad_event_is_named(store, signed):
    changed(store, "UPDATE events SET head = replace(head, 'ok', 'no') WHERE seq IN (7, 9) OR kind = 'end'")
    result = verify(store, "--anchor", store.parent / "anchor")
    assert result.exit_code == 1
    first = json.loads(verify(store, "--json").stdout)["checks"][0]
    assert (first["name"], first["level"]) == ("events", "broken")
    assert result.stdout.splitlines()[-1] == f"Broken; the first bad event is {first['seq']}."


def test_a_store_of_no_event_is_consistent(tmp_path):
    (tmp_path / "x.db.tape").mkdir()
    result = verify(tmp_path / "x.db")
    assert result.exit_code == 2
    assert result.stdout.splitlines()[0] == "ok      events       0 events, each sealed to the one before."


def test_the_environment_names_the_anchor_too(store, signed):
    assert verify(store, COUNTERFOIL_ANCHOR=str(store.parent / "anchor")).exit_code == 0


# -- what is looked at


def test_what_lies_on_tapes_is_drained_first_and_signed_by_nobody(store, signed):
    tape = Tape(store)
    tape.start(run_id(9), step_id(9), t=T0)
    tape.exit(t=T0 + 1)
    result = verify(store, "--json", "--anchor", store.parent / "anchor")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["events"] > signed.events
    assert checks(result)["unsigned"] == "open"


def test_of_one_run_its_own_events_are_shown_to_be_under_a_signed_root(store, signed):
    result = verify(store, "--json", "--run", "last", "--anchor", store.parent / "anchor")
    assert result.exit_code == 0
    assert checks(result) == {"since": "open", "events": "ok", "texts": "ok", "tables": "ok"}


def test_a_run_whose_event_was_changed_is_broken_and_the_event_named(store, signed):
    bad, seq = first_event(store, "greeter")
    changed(store, f"UPDATE events SET head = replace(head, '\"t\":1', '\"t\":2') WHERE seq = {seq}")
    result = verify(store, "--run", bad, "--anchor", store.parent / "anchor")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == f"Broken; the first bad event is {seq}."


def test_a_run_whose_neighbours_were_changed_cannot_be_shown_and_is_not_blamed(store, signed):
    _, seq = first_event(store, "greeter")
    good, _ = first_event(store, "support desk")
    changed(store, f"UPDATE events SET head = replace(head, '\"t\":1', '\"t\":2') WHERE seq = {seq}")
    result = verify(store, "--run", good, "--anchor", store.parent / "anchor")
    assert result.exit_code == 1
    assert "nothing shows that these are what was signed, as others are not" in result.stdout
    assert result.stdout.splitlines()[-1] == "Broken."


def test_since_begins_at_the_last_checkpoint_before(store, signed):
    whole = verify(store, "--json", "--since", "2000-01-01")
    assert json.loads(whole.stdout)["events"] == signed.events
    assert "since" not in checks(whole)
    later = verify(store, "--json", "--since", "2100-01-01", "--anchor", store.parent / "anchor")
    said = json.loads(later.stdout)["checks"]
    assert said[0]["says"].startswith(f"Only what came after the {signed.events} events of ")
    assert said[1]["says"] == "0 events, each sealed to the one before."
    assert later.exit_code == 0


def test_a_key_that_is_named_must_have_signed(store, signed):
    (store.parent / "key").write_text(signed.public_key + "\n")
    assert verify(store, "--key", signed.public_key, "--anchor", store.parent / "anchor").exit_code == 0
    assert verify(store, "--key", store.parent / "key", "--anchor", store.parent / "anchor").exit_code == 0
    record(store.with_name("y.db"), "greet")
    other = signing.begin(store.with_name("y.db")).public_key
    result = verify(store, "--key", other, "--anchor", store.parent / "anchor")
    assert result.exit_code == 1
    assert f"checkpoint 1 is not signed by {other}" in result.stdout


def test_whoever_has_no_key_is_told_whose_word_is_taken(store, signed):
    result = verify(store, XDG_CONFIG_HOME=str(store.parent / "nothing"))
    assert result.exit_code == 2
    assert (
        "the key that the store itself names: whoever can write the file can put another there"
        in result.stdout
    )


def test_a_key_of_ones_own_that_others_may_read_is_not_used(store, signed):
    os.chmod(signed.key_file, 0o644)
    result = verify(store)
    assert result.exit_code == 2
    assert "Your own key was not used: " in result.stdout


# -- what is given wrongly


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none.db", "nothing has been recorded here"),
        ("no/such/folder.db", "nothing has been recorded here"),
        ("text.db", "not a Counterfoil store"),
        ("foreign.db", "another program"),
        ("folder.db", "not a file"),
    ],
)
def test_what_is_no_store_is_one_sentence(tmp_path, name, sentence):
    (tmp_path / "text.db").write_text("no database " * 1_000)
    (tmp_path / "folder.db").mkdir()
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as foreign:
        foreign.execute("CREATE TABLE mine(a)")
    before = sorted(tmp_path.rglob("*"))
    result = verify(tmp_path / name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert sentence in result.stderr.splitlines()[-1]
    assert all(line.startswith("counterfoil: ") for line in result.stderr.splitlines())
    assert [one for one in sorted(tmp_path.rglob("*")) if "tape" not in one.parent.name + one.name] == before


@pytest.mark.parametrize("key", ["words", "name+00000000+AAAA", ""])
def test_what_is_no_key_is_one_sentence(store, key):
    one_sentence(verify(store, "--key", key), "key")


def test_a_key_file_that_is_none_is_one_sentence(store):
    (store.parent / "key").write_bytes(b"\xff\x00words")
    one_sentence(verify(store, "--key", store.parent / "key"), "is no key")


def test_a_private_key_is_not_taken_for_a_public_one(store, signed):
    one_sentence(verify(store, "--key", signed.key_file), "is no")


def test_an_anchor_that_is_not_there_is_one_sentence(store):
    one_sentence(verify(store, "--anchor", store.parent / "none"), "none cannot be read: No such file")


def test_an_anchor_that_is_a_folder_is_one_sentence(store):
    one_sentence(verify(store, "--anchor", store.parent), "cannot be read: Is a directory")


def test_an_anchor_that_is_something_else_is_one_sentence(store):
    (store.parent / "words").write_text("words")
    one_sentence(verify(store, "--anchor", store.parent / "words"), "words holds no checkpoint")


def test_the_anchor_of_another_store_is_told(store, signed):
    record(store.with_name("y.db"), "greet")
    signing.begin(store.with_name("y.db"), anchor=store.with_name("other"))
    result = verify(store, "--anchor", store.with_name("other"))
    assert result.exit_code == 1
    assert "The anchor holds no checkpoint of this store." in result.stdout


def test_an_empty_anchor_says_nothing(store, signed):
    store.with_name("empty").touch()
    result = verify(store, "--json", "--anchor", store.with_name("empty"))
    assert result.exit_code == 2
    assert checks(result)["anchor"] == "open"


def test_a_run_that_is_not_there_is_one_sentence(store):
    one_sentence(verify(store, "--run", "ffff"), "ffff")


def test_a_run_and_a_time_together_make_no_sense(store):
    result = verify(store, "--run", "last", "--since", "1d")
    assert result.exit_code == 2
    assert "give --run or --since, not both" in result.stderr


def test_the_store_of_another_user_is_verified_as_it_is_and_no_file_is_left(store, signed):
    of_another_user(store)
    before = sorted(store.parent.rglob("*"))
    result = verify(store, "--anchor", store.parent / "anchor")
    assert result.exit_code == 0
    assert result.stderr == "counterfoil: You may not write to this store: tapes are not drained.\n"
    assert sorted(store.parent.rglob("*")) == before


def test_a_store_of_an_older_version_that_may_not_be_written_is_one_sentence(tmp_path):
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript((DATA / "store_1.sql").read_text())
    of_another_user(path)
    result = verify(path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is of an older Counterfoil" in result.stderr


def test_a_store_of_an_older_version_is_brought_up_to_date_and_verified(tmp_path):
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript((DATA / "store_1.sql").read_text())
    assert verify(path).exit_code == 2
