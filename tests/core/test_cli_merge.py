"""`counterfoil merge`, `export`, `import` and `rebuild`: what people are told, also of their mistakes."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from filelock import FileLock

import cli_story
from cli_story import command, environment, invoke, record
from counterfoil.store import schema


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Two stores, each recorded by a process of its own."""
    folder = tmp_path_factory.mktemp("recorded")
    record(folder / "a.db", "desk", "greet")
    record(folder / "b.db", "desk")
    for name in ("a.db", "b.db"):  # a slow machine does not get it done within a process's last second
        invoke("drain", "--db", folder / name)
    return folder


@pytest.fixture
def stores(recorded, tmp_path):
    for name in ("a.db", "b.db"):
        (tmp_path / name).write_bytes((recorded / name).read_bytes())
        (tmp_path / name).chmod(0o600)
    return tmp_path


def leave_on_tape(path, story):
    """Record as `record` does, with nobody draining."""
    env = environment(COUNTERFOIL_DB=str(path), COUNTERFOIL_DRAIN="off")
    subprocess.run([sys.executable, cli_story.__file__, story], check=True, env=env, timeout=120)


def names(path):
    result = invoke("runs", "--db", path, "--json")
    return sorted(run["name"] for run in json.loads(result.stdout))


def sentence(result, code=1):
    """The one sentence that was said, and nothing else."""
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("counterfoil: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("counterfoil: ").rstrip("\n")


# -- merge


def test_merge_says_what_came_from_where_and_a_second_time_that_nothing_did(stores):
    a, b = stores / "a.db", stores / "b.db"
    first = invoke("merge", a, b)
    assert first.exit_code == 0, first.output
    assert first.stdout.startswith(f"{b}: ")
    assert first.stdout.endswith(" events copied, 0 known already.\n")
    assert names(a) == ["greeter", "support desk", "support desk"]
    assert invoke("merge", a, b).stdout == f"{b}: no events copied, 0 known already.\n"


def test_merge_makes_a_store_of_several(stores):
    result = invoke("merge", stores / "all.db", stores / "a.db", stores / "b.db", "--json")
    told = json.loads(result.stdout)
    assert told["store"] == str(stores / "all.db")
    assert [(one["path"], one["known"], one["contradicting"]) for one in told["from"]] == [
        (str(stores / name), 0, 0) for name in ("a.db", "b.db")
    ]
    assert names(stores / "all.db") == ["greeter", "support desk", "support desk"]
    assert (stores / "all.db").stat().st_mode & 0o777 == 0o600


def test_merge_drains_a_source_first(tmp_path):
    leave_on_tape(tmp_path / "b.db", "greet")
    assert invoke("merge", tmp_path / "a.db", tmp_path / "b.db").exit_code == 0
    assert names(tmp_path / "a.db") == ["greeter"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own what another user made")
def test_what_a_source_of_another_user_still_has_on_its_tapes_is_said_with_exit_code_1(tmp_path):
    record(tmp_path / "b.db", "greet")
    invoke("drain", "--db", tmp_path / "b.db")
    leave_on_tape(tmp_path / "b.db", "desk")
    for file in (tmp_path / "b.db", tmp_path / "b.db.tape", *(tmp_path / "b.db.tape").iterdir()):
        os.chown(file, 65534, 65534)
    before = sorted(tmp_path.rglob("b.db*"))
    result = invoke("merge", tmp_path / "a.db", tmp_path / "b.db")
    assert result.exit_code == 1
    assert "bytes of tape are not in the store" in result.stderr
    assert names(tmp_path / "a.db") == ["greeter"]
    assert sorted(tmp_path.rglob("b.db*")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own what another user made")
def test_merge_into_the_store_of_another_user_is_refused(stores):
    os.chown(stores / "a.db", 65534, 65534)
    assert "you may not write to it" in sentence(invoke("merge", stores / "a.db", stores / "b.db"))
    assert sorted(path.name for path in stores.iterdir()) == ["a.db", "b.db"]


def mistakes(folder):
    (folder / "text.db").write_text("no store " * 1_000)
    (folder / "folder.db").mkdir()
    with closing(sqlite3.connect(folder / "foreign.db")) as db:
        db.execute("CREATE TABLE mine(a)")
    (folder / "newer.db").write_bytes((folder / "b.db").read_bytes())
    with closing(sqlite3.connect(folder / "newer.db")) as db:
        db.execute("PRAGMA user_version=99")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.db", "named twice"),
        ("nothing.db", "nothing has been recorded here"),
        ("no/such.db", "the folder does not exist"),
        ("text.db", "not a Counterfoil store"),
        ("foreign.db", "another program"),
        ("newer.db", "newer Counterfoil"),
        ("folder.db", "is a folder"),
    ],
)
@pytest.mark.parametrize("into", ["merge", "import"])
def test_a_source_that_cannot_be_one_is_one_sentence_and_nothing_is_written(stores, into, name, said):
    mistakes(stores)
    before = sorted(stores.rglob("*")), (stores / "a.db").read_bytes()
    args = (
        ("merge", stores / "a.db", stores / name)
        if into == "merge"
        else ("import", stores / name, "--db", stores / "a.db")
    )
    told = sentence(invoke(*args))
    assert said in told
    assert "--db" not in told
    assert before == (sorted(stores.rglob("*")), (stores / "a.db").read_bytes())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no/such.db", "the folder does not exist"),
        ("text.db", "not a Counterfoil store"),
        ("foreign.db", "another program"),
        ("newer.db", "newer Counterfoil"),
        ("folder.db", "is not a file"),
    ],
)
def test_a_store_that_cannot_be_merged_into_is_one_sentence_and_left_as_it_is(stores, name, said):
    mistakes(stores)
    path = stores / name
    before = path.read_bytes() if path.is_file() else None
    assert said in sentence(invoke("merge", path, stores / "b.db"))
    assert before == (path.read_bytes() if path.is_file() else None)


def test_no_source_is_a_mistake_in_what_was_typed(stores):
    assert "Missing argument" in sentence(invoke("merge", stores / "a.db"), code=2)


def test_merge_while_another_process_drains_is_said(stores, monkeypatch):
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.05)
    (stores / "a.db.tape").mkdir()
    with FileLock(stores / "a.db.tape" / "drain.lock"):
        assert "another process is draining" in sentence(invoke("merge", stores / "a.db", stores / "b.db"))


# -- export, import


def test_export_writes_a_file_that_every_command_reads_and_import_takes(stores):
    file = stores / "greet.db"
    result = invoke("export", "last", file, "--db", stores / "a.db", "--json")
    told = json.loads(result.stdout)
    assert (told["store"], told["file"], len(told["runs"])) == (str(stores / "a.db"), str(file), 1)
    assert names(file) == ["greeter"]
    assert invoke("doctor", "--db", file).exit_code == 0
    before = file.read_bytes()
    assert invoke("import", file, "--db", stores / "b.db").exit_code == 0
    assert names(stores / "b.db") == ["greeter", "support desk"]
    assert invoke("import", file, "--db", stores / "new.db").exit_code == 0
    assert names(stores / "new.db") == ["greeter"]
    assert file.read_bytes() == before


def test_export_of_several_runs_names_them(stores):
    runs = [run["run_id"] for run in json.loads(invoke("runs", "--json", "--db", stores / "a.db").stdout)]
    result = invoke("export", *runs, stores / "two.db", "--db", stores / "a.db")
    first, *listed = result.stdout.splitlines()
    assert first.startswith(f"{stores / 'two.db'}: 2 runs, ")
    assert sorted(listed) == sorted(runs)


@pytest.mark.parametrize(
    ("run", "file", "said"),
    [
        ("ffff", "x.db", "No run begins with 'ffff'."),
        ("my run", "x.db", "give the beginning of a run's id"),
        ("last", "b.db", "exists already"),
        ("last", "no/x.db", "the folder does not exist"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence_and_leaves_nothing(stores, run, file, said):
    before = sorted(stores.rglob("*"))
    assert said in sentence(invoke("export", run, stores / file, "--db", stores / "a.db"))
    assert [path for path in sorted(stores.rglob("*")) if path not in before] == [
        path for path in (stores / "a.db.tape",) if path.exists() and path not in before
    ]


def test_no_file_is_a_mistake_in_what_was_typed(stores):
    assert "Missing argument" in sentence(invoke("export", "last", "--db", stores / "a.db"), code=2)


# -- rebuild


def test_rebuild_changes_nothing(stores):
    result = invoke("rebuild", "--db", stores / "a.db")
    assert result.exit_code == 0
    assert result.stdout.endswith("; nothing changed.\n")
    told = json.loads(invoke("rebuild", "--db", stores / "a.db", "--json").stdout)
    assert (told["store"], told["changed"]) == (str(stores / "a.db"), [])


def test_rebuild_puts_right_what_was_written_to_the_tables_and_says_so_with_exit_code_1(stores):
    with closing(sqlite3.connect(stores / "a.db")) as db:
        db.execute("UPDATE t_steps SET agent = 'somebody else' WHERE kind = 'tool'")
        db.execute("DELETE FROM t_handoffs")
        db.execute("INSERT INTO t_findings(finding_id) VALUES ('made up')")
        db.commit()
    told = command("rebuild", "--db", stores / "a.db", "--json")
    assert (told.returncode, told.stderr) == (1, "")
    assert json.loads(told.stdout)["changed"] == [
        {"table": "t_steps", "gone": 2, "new": 2},
        {"table": "t_handoffs", "gone": 0, "new": 2},
        {"table": "t_findings", "gone": 1, "new": 0},
    ]
    again = invoke("rebuild", "--db", stores / "a.db")
    assert (again.exit_code, "nothing changed" in again.stdout) == (0, True)


def test_rebuild_where_nothing_is_is_one_sentence(tmp_path):
    assert "nothing has been recorded here" in sentence(invoke("rebuild", "--db", tmp_path / "x.db"))
    assert list(tmp_path.iterdir()) == []


def test_rebuild_of_a_damaged_event_is_one_sentence_and_changes_nothing(stores):
    with closing(sqlite3.connect(stores / "a.db")) as db:
        db.execute("DROP TRIGGER events_stay_as_they_are")
        db.execute("UPDATE events SET head = '{\"k\":7}' WHERE seq = 3")
        db.commit()
    assert "cannot be read" in sentence(invoke("rebuild", "--db", stores / "a.db"))
    assert names(stores / "a.db") == ["greeter", "support desk"]
