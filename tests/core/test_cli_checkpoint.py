"""`counterfoil checkpoint`: signs, and says where the key is."""

from __future__ import annotations

import json
import re

import pytest

from cli_story import invoke, record
from counterfoil.store import checkpoints


@pytest.fixture
def store(tmp_path):
    record(tmp_path / "x.db", "greet")
    return tmp_path / "x.db"


def checkpoint(store, *args, **env):
    env = {
        "XDG_CONFIG_HOME": str(store.parent / "config"),
        "COUNTERFOIL_KEY": None,
        "COUNTERFOIL_ANCHOR": None,
    } | env
    return invoke("checkpoint", "--db", store, *args, env=env)


def test_the_first_time_it_says_where_the_key_is(store):
    result = checkpoint(store)
    key, signed = result.stdout.splitlines()
    (file,) = (store.parent / "config" / "counterfoil").iterdir()
    assert result.exit_code == 0
    assert key == f"The key was made in {file}: keep it, and keep it out of the store's reach."
    assert re.fullmatch(r"Signed: \d+ events, by counterfoil/[0-9a-f]{32}\+[0-9a-f]{8}\+\S{44}", signed)


def test_from_then_on_it_only_says_what_was_signed(store):
    checkpoint(store)
    again = checkpoint(store, "--anchor", store.parent / "anchor")
    signed, appended = again.stdout.splitlines()
    assert signed.startswith("Signed: ")
    assert appended == f"{store.parent / 'anchor'}: 2 checkpoints appended."


def test_json_holds_the_note(store):
    told = json.loads(checkpoint(store, "--json").stdout)
    note = checkpoints.parse(told["note"])
    assert (told["store"], told["is_new"], told["appended"]) == (str(store), True, 0)
    assert (note.size, note.name) == (told["events"], told["public_key"].split("+")[0])


def test_where_nothing_was_recorded_it_is_one_sentence_and_no_key(tmp_path):
    result = checkpoint(tmp_path / "none.db")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing has been recorded here" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_anchor_that_cannot_be_written_is_one_sentence(store):
    result = checkpoint(store, "--anchor", store.parent / "no" / "anchor")
    assert result.exit_code == 1
    assert (
        result.stderr
        == f"counterfoil: {store.parent}/no/anchor cannot be written: No such file or directory.\n"
    )


def test_an_anchor_that_is_a_folder_is_one_sentence(store):
    result = checkpoint(store, "--anchor", store.parent)
    assert result.exit_code == 1
    assert result.stderr == f"counterfoil: {store.parent} cannot be read: Is a directory.\n"


def test_a_key_file_that_is_none_is_one_sentence(store):
    (store.parent / "words").write_text("words")
    (store.parent / "words").chmod(0o600)
    result = checkpoint(store, COUNTERFOIL_KEY=str(store.parent / "words"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert (
        result.stderr
        == f"counterfoil: {store.parent}/words is no key; name another file with $COUNTERFOIL_KEY.\n"
    )
