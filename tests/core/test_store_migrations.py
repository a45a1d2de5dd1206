"""A store that any released version wrote opens in this one, whatever else goes on."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from counterfoil.store import ingest, read, schema, seal, views
from counterfoil.store.errors import StoreError
from counterfoil.store.merge import merge
from handmade_tape import T0, Tape, run_id, step_id
from outline import outlines

DATA = Path(__file__).parents[1] / "data"
DUMPS = {int(path.stem.removeprefix("store_")): path for path in DATA.glob("store_*.sql")}

#: What tests/data/make_store.py recorded.
RECORDED = """\
workflow desk waiting
  agent triage
    llm chat [triage]
    tool look_up [triage] error (LookupError)
  human approve
triage -> billing transfer requested native: charged twice
--
workflow desk
--
agent doomed running
run: running"""


def written_by(version: int, path: Path) -> Path:
    """Make the store at `path` as that version wrote it."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(DUMPS[version].read_text())
    return path


def schema_of(db: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Tables, indexes and triggers; views are made anew by every version."""
    return {
        (kind, name, re.sub(r"\s+", " ", sql))
        for kind, name, sql in db.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        if kind != "view" and "sqlite_" not in name
    }


def test_a_new_version_brings_a_store_that_it_wrote():
    """Run tests/data/make_store.py when this fails; keep those of the versions before."""
    assert sorted(DUMPS) == list(range(1, schema.VERSION + 1))


@pytest.mark.parametrize("version", DUMPS)
def test_a_migration_stays_as_it_was_when_its_version_was_written(version, tmp_path):
    """Until the first release: run tests/data/make_store.py. After it: write a new migration instead."""
    with (
        closing(sqlite3.connect(":memory:")) as made,
        closing(sqlite3.connect(written_by(version, tmp_path / "x.db"))) as dumped,
    ):
        for migration in schema.MIGRATIONS[:version]:
            migration(made)
        assert schema_of(made) == schema_of(dumped)


def test_a_view_that_changes_is_made_anew_in_older_stores_by_a_new_version(tmp_path):
    """Until the first release: run tests/data/make_store.py. After it: a new migration, if only for the views."""
    written = written_by(schema.VERSION, tmp_path / "x.db")
    with closing(sqlite3.connect(written)) as db, closing(sqlite3.connect(":memory:")) as made:
        for migration in schema.MIGRATIONS:
            migration(made)
        views.recreate(made)
        query = "SELECT name, sql FROM sqlite_schema WHERE type = 'view' ORDER BY name"
        assert db.execute(query).fetchall() == made.execute(query).fetchall()


@pytest.mark.parametrize("migration", schema.MIGRATIONS, ids=lambda one: one.__name__)
def test_a_migration_says_why_it_is_there_and_its_place_in_the_order(migration):
    assert migration.__doc__
    assert migration.__name__.startswith(f"m{schema.MIGRATIONS.index(migration) + 1:03d}_")


@pytest.mark.parametrize("version", DUMPS)
def test_a_store_of_every_version_opens_in_this_one_with_all_that_was_recorded(version, tmp_path):
    path = written_by(version, tmp_path / "x.db")
    with read.open(path) as store:
        assert outlines(store) == RECORDED
        assert [one.name for one in store.scores()] == ["helpful"]
        assert [one.status for one in store.approvals()] == ["approved"]
        assert [one.item_id for one in store.accesses()] == ["d1"]
        assert [one.raw for one in store.quarantine()] == [b"no event"]
    assert ingest.rebuild(path).changed == ()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        assert seal.verify_chain(db) is None
        with closing(schema.open_writer(str(tmp_path / "new.db"))) as new:
            assert schema_of(db) == schema_of(new)


@pytest.mark.parametrize("version", DUMPS)
def test_a_store_of_every_version_takes_new_events_and_can_be_merged(version, tmp_path):
    path = written_by(version, tmp_path / "x.db")
    Tape(path).start(run_id(9), step_id(9), t=T0 + 9, name="new")
    with read.open(path) as store:
        assert len(store.runs(all=True)) == 4
    copy = written_by(version, tmp_path / "y.db")
    merge(tmp_path / "z.db", [path, copy])
    with read.open(tmp_path / "z.db") as store:
        assert len(store.runs(all=True)) == 4


# -- what the next migration will meet: it is added here, in real processes

NEXT = """
import sys
from counterfoil.store import schema
from counterfoil.store.errors import StoreError

def m_next(db):
    "A table, which cannot be made twice."
    db.execute("CREATE TABLE t_next(pid)")
    db.execute("INSERT INTO t_next VALUES (1)")
    {then}

schema.MIGRATIONS = (*schema.MIGRATIONS, m_next)
schema.VERSION = len(schema.MIGRATIONS)
sys.stdin.readline()
try:
    schema.open_writer(sys.argv[1], timeout=30).close()
except (StoreError, RuntimeError) as error:
    print(error)
"""


def migrating(path: Path, then: str = "") -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", NEXT.format(then=then), path]
    return subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.slow
def test_processes_that_migrate_at_once_migrate_once(tmp_path):
    path = written_by(schema.VERSION, tmp_path / "x.db")
    processes = [migrating(path) for _ in range(4)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=120)[0] for process in processes] == [""] * 4
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT * FROM t_next").fetchall() == [(1,)]
        assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION + 1,)


@pytest.mark.slow
@pytest.mark.parametrize(
    "then", ["raise RuntimeError('it fails')", "import os; os.kill(os.getpid(), 9)"], ids=["fails", "killed"]
)
def test_a_migration_that_fails_or_is_killed_leaves_the_store_as_it_was(tmp_path, then):
    path = written_by(schema.VERSION, tmp_path / "x.db")
    migrating(path, then).communicate("go\n", timeout=120)
    with read.open(path) as store:
        assert outlines(store) == RECORDED
        with pytest.raises(StoreError, match="no such table"):
            store.sql("SELECT * FROM t_next")


def test_who_may_not_write_is_told_to_wait_for_the_owner_of_an_older_store(tmp_path, monkeypatch):
    path = written_by(schema.VERSION, tmp_path / "x.db")
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    monkeypatch.setattr(read, "may_write", lambda _path: False)
    with pytest.raises(StoreError, match="its owner's next command updates it"):
        read.open(path)


def test_a_file_of_an_older_version_is_brought_up_to_date_to_be_imported(tmp_path, monkeypatch):
    path = written_by(schema.VERSION, tmp_path / "x.db")

    def m_next(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE t_next(x)")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, m_next))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    merge(tmp_path / "y.db", [path])
    with read.open(tmp_path / "y.db") as store:
        assert len(store.runs(all=True)) == 3
