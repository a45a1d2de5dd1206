"""`counterfoil settings`, and what `drain --watch` does about them."""

from __future__ import annotations

import json
import signal

import pytest

from cli_story import begin, invoke, record
from counterfoil.store import read, retention, settings, signing
from counterfoil.store.errors import StoreError
from counterfoil.store.ingest import Drainer
from everything import Words, all_bytes, everything_happens
from handmade_tape import T0, Tape, run_id


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Two runs of 2023."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = tmp_path / "c.db"
    tape = Tape(path)
    for n in (1, 2):
        everything_happens(tape, n, Words(f"old{n}"))
    tape.exit(t=T0 + 10**15)
    with Drainer(path) as drainer:
        drainer.drain()
    return path


def test_a_setting_is_shown_and_taken_back(store):
    assert invoke("settings", "--db", store).stdout == (
        "erase-after off: erase the content of runs that ended so long ago\n"
        "prune-after off: drop runs that ended so long ago\n"
    )
    assert invoke("settings", "erase-after", "90d", "--db", store).exit_code == 0
    assert json.loads(invoke("settings", "--db", store, "--json").stdout)["settings"] == {
        "erase-after": "90d",
        "prune-after": None,
    }
    assert invoke("settings", "erase-after", "off", "--db", store).stdout.startswith("erase-after off")
    assert settings.made(store) == {}


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["erase-after", "soon"], 2, "'soon' is no length of time: give 12h, 90d, 52w, or off"),
        (["erase-after", "0d"], 2, "no length of time"),
        (["erase-after", "1s"], 2, "no length of time"),
        (["forget-after", "90d"], 2, "'forget-after' is not one of 'erase-after', 'prune-after'"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(store, args, code, said):
    result = invoke("settings", *args, "--db", store)
    assert result.exit_code == code
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_there_must_be_a_store(tmp_path):
    result = invoke("settings", "erase-after", "90d", "--db", tmp_path / "none.db")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing has been recorded here" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_python_refuses_a_setting_that_there_is_not(store):
    with pytest.raises(StoreError, match="there is no setting 'x'"):
        settings.put(store, "x", "90d")


def test_content_that_is_older_is_erased_and_the_record_says_by_what(store):
    settings.put(store, settings.ERASE_AFTER, "90d")
    assert list(retention.apply(store)) == ["the content of 2 runs erased, as erase-after 90d says."]
    with read.open(store) as opened:
        assert {(one.erased_by, one.reason) for one in opened.erasures()} == {("settings", "erase-after 90d")}
    assert not any(b"old1word" in data for data in all_bytes(store).values())
    assert list(retention.apply(store)) == []


def test_runs_that_are_older_are_dropped(store):
    signing.begin(store)
    settings.put(store, settings.PRUNE_AFTER, "52w")
    assert list(retention.apply(store)) == ["2 runs dropped, as prune-after 52w says."]
    with read.open(store) as opened:
        assert opened.runs(all=True) == []


def test_what_is_younger_stays(store):
    record(store.with_name("new.db"), "greet")
    settings.put(store.with_name("new.db"), settings.ERASE_AFTER, "12h")
    assert list(retention.apply(store.with_name("new.db"))) == []


@pytest.mark.slow
def test_a_drainer_that_watches_does_it(store):
    settings.put(store, settings.ERASE_AFTER, "90d")
    with begin("drain", "--watch", "--every", "0.1", "--db", store) as watching:
        assert "nothing left on the tapes" in watching.stdout.readline()
        assert watching.stdout.readline() == "the content of 2 runs erased, as erase-after 90d says.\n"
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=60) == 0
    with read.open(store) as opened:
        assert opened.run(run_id(1)).input is None


@pytest.mark.slow
def test_a_drainer_that_watches_says_what_stands_in_the_way_and_goes_on(store):
    settings.put(store, settings.PRUNE_AFTER, "90d")
    with begin("drain", "--watch", "--every", "0.1", "--db", store) as watching:
        watching.stdout.readline()
        assert "`counterfoil checkpoint` makes one" in watching.stderr.readline()
        assert watching.poll() is None
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=60) == 0
