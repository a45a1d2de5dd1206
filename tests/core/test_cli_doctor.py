"""`counterfoil doctor`: what is wrong with a store and around it."""

import importlib.metadata
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

import cli_story
from cli_story import environment, hanging, invoke, record
from counterfoil import plugins
from counterfoil.adapters import Adapter
from counterfoil.events import Text
from counterfoil.store import ingest, prune, signing
from handmade_tape import SECOND, T0, Tape, run_id, step_id

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files to another user"
)


def doctor(path, *args):
    result = invoke("doctor", "--db", path, "--json", *args)
    told = json.loads(result.stdout)
    assert result.exit_code == (1 if told["problems"] else 0)
    assert told["problems"] == sum(check["level"] == "problem" for check in told["checks"])
    return {check["name"]: check for check in told["checks"]}


def levels(path, *args):
    """What is not `ok`."""
    return {name: check["level"] for name, check in doctor(path, *args).items() if check["level"] != "ok"}


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch):
    """Whatever frameworks are installed here: each test brings its own."""
    monkeypatch.setenv("COUNTERFOIL_PLUGINS", "")
    plugins.reset()
    yield
    plugins.reset()


@pytest.fixture
def store(tmp_path):
    record(tmp_path / "c.db", "desk")
    return tmp_path / "c.db"


def test_a_sound_store_has_no_problems(store):
    result = invoke("doctor", "--db", store)
    assert result.exit_code == 0
    assert result.stdout.endswith("\nNo problems found.\n")
    assert levels(store) == {}


def test_it_tells_versions_and_where_the_store_is(store):
    checks = doctor(store)
    assert f"SQLite {sqlite3.sqlite_version}" in checks["versions"]["says"]
    assert checks["store"]["says"].startswith(f"{store}, ")
    assert checks["store"]["bytes"] >= store.stat().st_size


def test_where_nothing_was_recorded_is_a_problem(tmp_path):
    assert levels(tmp_path / "c.db") == {"store": "problem"}
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_store_is_a_problem_told_in_a_sentence(tmp_path):
    (tmp_path / "c.db").write_text("no database, but long enough to be looked at " * 100)
    (tmp_path / "c.db").chmod(0o600)
    assert "not a Counterfoil store" in doctor(tmp_path / "c.db")["contents"]["says"]


@pytest.mark.parametrize("name", ["c.db", "c.db.tape"])
def test_files_that_others_may_read_are_a_problem(store, name):
    (store.parent / name).chmod(0o755)
    found = doctor(store)["permissions"]
    assert (found["level"], found["found"]) == ("problem", [f"{store.parent / name} (mode 755)"])


@needs_root
def test_files_of_two_users_are_a_problem(store):
    os.chown(f"{store}.tape", 65534, 65534)
    found = doctor(store)["owner"]
    assert (found["level"], found["found"]) == ("problem", [f"{store}.tape (user 65534)"])


@needs_git
def test_a_store_that_git_would_commit_is_a_problem_until_it_is_ignored(store):
    subprocess.run(["git", "init", "--quiet", store.parent], check=True)
    assert levels(store) == {"git": "problem"}
    (store.parent / ".gitignore").write_text("*.db*\n")
    assert levels(store) == {}
    assert "which ignores it" in doctor(store)["git"]["says"]


@needs_git
def test_a_repository_cannot_have_programs_run(store):
    subprocess.run(["git", "init", "--quiet", store.parent], check=True)
    hook = store.parent / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {store.parent}/ran\n")
    hook.chmod(0o755)
    subprocess.run(["git", "-C", store.parent, "config", "core.fsmonitor", hook], check=True)
    doctor(store)
    assert not (store.parent / "ran").exists()


def test_steps_under_way_are_no_problem(tmp_path):
    with hanging(tmp_path / "c.db"):
        assert levels(tmp_path / "c.db") == {}
        assert doctor(tmp_path / "c.db")["running"]["count"] == 2


def test_runs_whose_process_died_are_noted(tmp_path):
    with hanging(tmp_path / "c.db"):
        pass
    assert levels(tmp_path / "c.db") == {"interrupted": "note"}
    (found,) = doctor(tmp_path / "c.db")["interrupted"]["found"]
    assert found.endswith(": steps 2")


def test_questions_that_wait_for_a_human_are_no_problem(tmp_path):
    record(tmp_path / "c.db", "asks")
    assert levels(tmp_path / "c.db") == {}
    assert doctor(tmp_path / "c.db")["waiting"]["count"] == 2


def test_what_is_on_the_tapes_is_drained_first_or_counted(tmp_path):
    subprocess.run(
        [sys.executable, cli_story.__file__, "desk"],
        check=True,
        env=environment(COUNTERFOIL_DB=str(tmp_path / "c.db"), COUNTERFOIL_DRAIN="off"),
    )
    assert levels(tmp_path / "c.db", "--no-drain") == {"store": "note"}
    assert levels(tmp_path / "c.db") == {}
    with hanging(tmp_path / "c.db"):
        assert levels(tmp_path / "c.db") == {}
    assert levels(tmp_path / "c.db", "--no-drain") == {}


def test_a_line_that_is_no_event_is_a_problem(store):
    tape = Tape(store)
    tape.raw(b"\x1b[2Jgarbage\n")
    tape.let_go()
    found = doctor(store)["quarantine"]
    assert (found["level"], found["count"]) == ("problem", 1)
    assert "\x1b" not in invoke("doctor", "--db", store).stdout


def test_errors_of_our_own_are_a_problem(tmp_path):
    code = "import counterfoil\nfrom counterfoil import guard\nwith counterfoil.run('r'): guard.report('the place', KeyError('x'))"
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env=environment(COUNTERFOIL_DB=str(tmp_path / "c.db")),
        capture_output=True,
    )
    found = doctor(tmp_path / "c.db")["errors"]
    assert (found["level"], found["found"]) == ("problem", ["the place: 1 times, last KeyError: 'x'"])


def test_an_error_of_long_ago_is_a_note(tmp_path):
    tape = Tape(tmp_path / "c.db")
    tape.event("trouble", t=T0, text=Text(place="the place", error_type="KeyError"), count=1)
    tape.event("exit", t=T0 + SECOND)
    tape.let_go()
    assert levels(tmp_path / "c.db") == {"errors": "note"}


def test_a_step_without_its_parent_or_its_start_is_an_orphan(tmp_path):
    tape = Tape(tmp_path / "c.db")
    tape.event("start", t=T0, run=run_id(1), step=step_id(1), parent=step_id(99), kind="agent")
    tape.event("end", t=T0 + 1, run=run_id(1), step=step_id(1), status="ok")
    tape.event("end", t=T0 + 1, run=run_id(1), step=step_id(2), status="ok")
    tape.event("exit", t=T0 + SECOND)
    tape.let_go()
    found = doctor(tmp_path / "c.db")["orphans"]
    assert (found["level"], found["count"]) == ("problem", 2)


def test_what_runs_on_another_host_is_noted_not_judged(tmp_path):
    tape = Tape(tmp_path / "c.db", boot="elsewhere", host="elsewhere", machine="elsewhere")
    tape.event("start", t=T0, run=run_id(1), step=step_id(1), kind="agent")
    tape.let_go()
    assert levels(tmp_path / "c.db") == {"other hosts": "note", "foreign tapes": "note"}


def test_a_tape_of_a_newer_format_is_a_problem(store):
    tape = Tape(store)
    head, rest = tape.path.read_bytes().split(b'"format":', 1)
    tape.path.write_bytes(head + b'"format":9' + rest)
    tape.let_go()
    assert levels(store)["newer tapes"] == "problem"


def test_open_steps_whose_tape_was_taken_away_are_unfinished(tmp_path):
    tape = Tape(tmp_path / "c.db")
    tape.event("start", t=T0, run=run_id(1), step=step_id(1), kind="agent")
    invoke("drain", "--db", tmp_path / "c.db")
    tape.path.unlink()
    tape.let_go()
    assert levels(tmp_path / "c.db") == {"unfinished": "problem"}


def changed_by_hand(path, *statements):
    db = sqlite3.connect(path)
    for trigger in ("events_are_kept", "events_stay_as_they_are"):
        db.execute(f"DROP TRIGGER {trigger}")
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


@pytest.mark.parametrize(
    ("statement", "bad"),
    [
        ("UPDATE events SET head = replace(head, '\"t\":', '\"t\":1') WHERE seq = 20", "20"),
        ("DELETE FROM events WHERE seq = 10", "10"),
        ("DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)", None),
    ],
    ids=["changed", "deleted", "last deleted"],
)
def test_an_event_that_was_changed_or_deleted_breaks_the_chain(store, statement, bad):
    count = doctor(store)["chain"]["count"]
    changed_by_hand(store, "UPDATE events SET commitments = commitments", statement)
    found = doctor(store)["chain"]
    assert (found["level"], found["found"]) == ("problem", [bad or str(count)])


def test_old_runs_that_were_pruned_are_no_gap_in_the_chain(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = tmp_path / "store" / "c.db"
    path.parent.mkdir()
    tape = Tape(path)
    for n in (1, 2, 3):
        tape.start(run_id(n), step_id(n), t=T0 + n * SECOND)
        tape.end(run_id(n), step_id(n), t=T0 + n * SECOND + 1)
    tape.exit(t=T0 + 10 * SECOND)
    with ingest.Drainer(path) as drainer:
        drainer.drain()
    signing.begin(path)
    assert prune.prune(path, T0 + 3 * SECOND, by="ada").runs == (run_id(1), run_id(2))
    for events in ("1", "2", "3", "4", "100"):
        assert doctor(path, "--events", events)["chain"]["level"] == "ok"


def test_whether_the_store_is_signed_and_how_long_ago(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = tmp_path / "store" / "c.db"
    path.parent.mkdir()
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0)
    assert (
        doctor(path)["checkpoints"]["says"] == "The store is not signed; `counterfoil checkpoint` begins to."
    )
    signing.begin(path)
    found = doctor(path)["checkpoints"]
    assert (found["level"], found["count"]) == ("ok", 0)
    assert re.fullmatch(r"The newest checkpoint is of \S+Z, over all events\.", found["says"])
    monkeypatch.setenv("COUNTERFOIL_KEY", str(tmp_path / "none"))
    tape.end(run_id(1), step_id(1), t=T0 + 1)
    found = doctor(path)["checkpoints"]
    assert (found["level"], found["count"]) == ("ok", 1)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE checkpoints SET at_ns = at_ns - {3_700 * SECOND}")
        db.commit()
    found = doctor(path)["checkpoints"]
    assert (found["level"], found["count"]) == ("note", 1)
    assert found["says"].endswith("; 1 event since is not signed: whoever drains has not got the key.")
    with closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM checkpoints")
        db.commit()
    assert doctor(path)["checkpoints"]["level"] == "problem"


def test_of_the_chain_only_the_last_events_are_checked_when_so_asked(store):
    count = doctor(store)["chain"]["count"]
    changed_by_hand(store, "UPDATE events SET head = replace(head, '\"q\":', '\"q\":1') WHERE seq = 10")
    assert levels(store, "--events", str(count - 10)) == {}
    assert levels(store, "--events", str(count - 9)) == {"chain": "problem"}


# -- frameworks


def adapters(monkeypatch, *given):
    monkeypatch.setattr(plugins, "collect_adapters", lambda: given)


def test_a_framework_that_is_installed_is_named_with_its_version(store, monkeypatch):
    adapters(monkeypatch, Adapter(name="clickish", requires=("click>=8,<99", "no-such>=1,<2"), attach="none"))
    check = doctor(store)["clickish"]
    assert check["level"] == "ok"
    assert check["says"] == (
        f"click {importlib.metadata.version('click')}: no process that recorded here used it; "
        "counterfoil.install() in a program, or `counterfoil run`, attaches to it."
    )


@pytest.mark.parametrize("supported", ["click>=1,<2", "click>=90,<99"], ids=["too new", "too old"])
def test_a_version_that_is_not_supported_is_a_note(store, monkeypatch, supported):
    adapters(monkeypatch, Adapter(name="clickish", requires=(supported,), attach="none"))
    told = json.loads(invoke("doctor", "--db", store, "--json").stdout)["checks"]
    first, second = [check for check in told if check["name"] == "clickish"]
    assert (first["level"], second["level"]) == ("note", "ok")
    assert f"tested with {supported}" in first["says"]


def test_a_framework_that_is_not_installed_is_said_to_be_so(store, monkeypatch):
    adapters(
        monkeypatch, Adapter(name="other", requires=("no-such>=1,<2",), attach="none", notes=lambda: ["x"])
    )
    check = doctor(store)["other"]
    assert (check["level"], check["says"]) == ("ok", "no-such is not installed for this Python.")


@pytest.mark.parametrize(
    ("state", "level", "says"),
    [
        ("attached", "ok", "is attached to it."),
        ("waiting", "ok", "is to attach to it when it imports clicked, and has not."),
        ("left out", "note", "imported it, but `only` left it out of counterfoil.install()."),
        (
            "unattached",
            "note",
            "imported it, but nothing attached to it; counterfoil.install() in a program, or `counterfoil run`, attaches to it.",
        ),
        ("failed: ImportError: no clicker", "problem", "could not attach to it: ImportError: no clicker"),
    ],
)
def test_what_the_newest_process_says_of_a_framework(store, monkeypatch, state, level, says):
    adapters(
        monkeypatch, Adapter(name="clickish", requires=("click>=8,<99",), attach="none", imported="clicked")
    )
    for told in ("attached", state):
        tape = Tape(store)
        tape.event("attach", t=T0 + SECOND, text=Text(frameworks={"clickish": told}))
        tape.exit(t=T0 + SECOND)
    check = doctor(store)["clickish"]
    version = importlib.metadata.version("click")
    assert check["level"] == level
    assert check["says"] == f"click {version}: process {os.getpid()} of 2023-11-14T22:13:20Z {says}"


def test_who_passes_an_adapter_to_a_framework_himself_is_told_what_that_records(store, monkeypatch):
    adapters(monkeypatch, Adapter(name="clickish", requires=("click>=8,<99",), attach="none"))
    tape = Tape(store)
    tape.start(run_id(1), step_id(1), t=T0, framework="clickish")
    tape.end(run_id(1), step_id(1), t=T0 + 1)
    tape.event("attach", t=T0 + SECOND, text=Text(frameworks={"clickish": "unattached"}))
    tape.exit(t=T0 + SECOND)
    check = doctor(store)["clickish"]
    assert check["level"] == "ok"
    assert "records what it passes the adapter to, and no more" in check["says"]


def test_a_framework_s_own_ways_are_notes(store, monkeypatch):
    notes = lambda: ["It phones home."]  # noqa: E731  # as a plugin gives it
    adapters(monkeypatch, Adapter(name="clickish", requires=("click>=8,<99",), attach="none", notes=notes))
    assert levels(store) == {"clickish": "note"}
    assert doctor(store)["clickish"]["says"] == "It phones home."


def test_notes_that_fail_cost_nothing_else(store, monkeypatch):
    adapters(
        monkeypatch, Adapter(name="clickish", requires=("click>=8,<99",), attach="none", notes=lambda: 1 / 0)
    )
    assert levels(store) == {}
