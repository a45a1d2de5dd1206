"""A store that is somebody else's, or no store at all: what a reader is told, and what is left behind."""

import sqlite3

import pytest

from cli_story import command, environment, invoke, of_another_user, record

READERS = [["runs"], ["show"], ["tail", "--no-follow"], ["cost"], ["sql", "SELECT 1"]]
COMMANDS = [*READERS, ["drain"]]


def undrained(path):
    record(path, "greet")
    import subprocess
    import sys

    import cli_story

    subprocess.run(
        [sys.executable, cli_story.__file__, "desk"],
        check=True,
        env=environment(COUNTERFOIL_DB=str(path), COUNTERFOIL_DRAIN="off"),
    )


@pytest.mark.slow
@pytest.mark.parametrize("args", READERS, ids=" ".join)
def test_who_may_not_write_reads_is_told_what_is_missing_and_leaves_no_files(tmp_path, args):
    undrained(tmp_path / "c.db")
    of_another_user(tmp_path / "c.db")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    result = invoke(*args, "--db", tmp_path / "c.db")
    assert result.exit_code == 0, result.output
    assert result.stdout
    assert "support desk" not in result.stdout
    assert all(line.startswith("counterfoil: ") for line in result.stderr.splitlines())
    assert "tapes are not drained" in result.stderr
    assert "bytes of tape are not in the store" in result.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nothing.db", "nothing has been recorded here"),
        ("no/such/folder.db", "the folder does not exist"),
        ("text.db", "not a Counterfoil store"),
        ("foreign.db", "another program"),
        ("newer.db", "newer Counterfoil"),
        ("folder.db", "folder"),
    ],
)
def test_what_is_no_store_is_one_sentence_and_exit_code_1(tmp_path, args, name, sentence):
    (tmp_path / "text.db").write_text("no database " * 1_000)
    (tmp_path / "folder.db").mkdir()
    foreign = sqlite3.connect(tmp_path / "foreign.db")
    foreign.execute("CREATE TABLE mine(a)")
    foreign.close()
    if name == "newer.db":
        record(tmp_path / "newer.db", "greet")
        newer = sqlite3.connect(tmp_path / "newer.db")
        newer.execute("PRAGMA user_version=99")
        newer.close()
    result = invoke(*args, "--db", tmp_path / name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("counterfoil: ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_store_is_named_by_db_else_by_the_environment_else_it_is_here(tmp_path):
    for name in ("counterfoil.db", "other.db", "named.db"):
        record(tmp_path / name, "greet")
    env = environment(COUNTERFOIL_DB="other.db")
    stores = [
        command("doctor", "--json", *args, cwd=tmp_path, env=env).stdout
        for args, env in (((), environment()), ((), env), (("--db", "named.db"), env))
    ]
    for text, name in zip(stores, ("counterfoil.db", "other.db", "named.db"), strict=True):
        assert f'"store": "{tmp_path / name}"' in text
