"""`counterfoil prune`: asks first, says what went."""

from __future__ import annotations

import json

import pytest

from cli_story import invoke
from counterfoil.store import read, signing
from counterfoil.store.ingest import Drainer
from everything import Words, everything_happens
from handmade_tape import T0, Tape, run_id


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A run of 2023."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = tmp_path / "c.db"
    tape = Tape(path)
    everything_happens(tape, 1, Words("old"))
    tape.exit(t=T0 + 10**15)
    with Drainer(path) as drainer:
        drainer.drain()
    return path


def events(path):
    """How many events the run has."""
    with read.open(path) as store:
        return store.sql("SELECT count(*) FROM events WHERE run_id = ?", (run_id(1),))[1][0][0]


def runs(path):
    with read.open(path) as store:
        return [run.run_id for run in store.runs(all=True)]


def test_it_says_what_went(store):
    signing.begin(store)
    count = events(store)
    result = invoke("prune", "--older-than", "365d", "--yes", "--db", store, "--because", "a year is over")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"1 run with {count} events and ")
    assert result.stdout.endswith(" went.\n")
    assert runs(store) == []
    again = invoke("prune", "--older-than", "365d", "--yes", "--db", store)
    assert (again.exit_code, again.stdout) == (0, "No run is that old.\n")


def test_json_names_the_runs(store):
    signing.begin(store)
    count = events(store)
    result = invoke("prune", "--older-than", "365d", "--yes", "--db", store, "--json")
    told = json.loads(result.stdout)
    assert told["runs"] == [run_id(1)]
    assert told["events"] == count
    assert told["notices"] == []


def test_where_nobody_can_be_asked_nothing_goes(store):
    signing.begin(store)
    result = invoke("prune", "--older-than", "365d", "--db", store)
    assert result.exit_code == 2
    assert "there is nobody to ask: give --yes to prune" in result.stderr
    assert runs(store) == [run_id(1)]


def test_without_a_key_it_is_one_sentence(store):
    result = invoke("prune", "--older-than", "365d", "--yes", "--db", store)
    assert result.exit_code == 1
    assert result.stderr == (
        "counterfoil: this store has no key to sign with yet; `counterfoil checkpoint` makes one.\n"
    )
    assert runs(store) == [run_id(1)]


@pytest.mark.parametrize(
    ("args", "said"),
    [([], "Missing option '--older-than'"), (["--older-than", "long ago"], "'long ago' is no time")],
)
def test_what_makes_no_sense_is_one_sentence(store, args, said):
    result = invoke("prune", *args, "--db", store)
    assert result.exit_code == 2
    assert said in result.stderr


def test_there_must_be_a_store(tmp_path):
    result = invoke("prune", "--older-than", "365d", "--db", tmp_path / "none.db", "--yes")
    assert result.exit_code == 1
    assert "nothing has been recorded here" in result.stderr
    assert list(tmp_path.iterdir()) == []
