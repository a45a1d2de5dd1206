"""Many rows in few statements, each of which SQLite has prepared before."""

from __future__ import annotations

import sqlite3

import pytest

from counterfoil.store import bulk


class Connection(sqlite3.Connection):
    """One that knows which statements it was asked for."""

    asked: list[str]

    def execute(self, sql, *args):
        self.asked.append(sql)
        return super().execute(sql, *args)


@pytest.fixture
def db():
    db = sqlite3.connect(":memory:", factory=Connection, isolation_level=None)
    db.asked = []
    db.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b, c, d)")
    yield db
    db.close()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1_023, 1_024, 1_025, 2_500])
def test_every_row_arrives_in_its_order(db, count):
    rows = [(n, str(n)) for n in range(count)]
    bulk.insert(db, "t", ("a", "b"), rows)
    assert db.execute("SELECT a, b FROM t ORDER BY rowid").fetchall() == rows


def test_rows_of_any_number_go_in_a_handful_of_statements(db):
    db.asked.clear()
    at = 0
    for count in range(1, 200):
        bulk.insert(db, "t", ("a", "b"), [(at + n, None) for n in range(count)])
        at += count
    assert len(set(db.asked)) == 8  # 1, 2, 4, ... 128 rows
    assert db.execute("SELECT count(*) FROM t").fetchone() == (at,)


def test_a_wide_table_keeps_within_what_a_statement_may_bind(db):
    columns = [f"c{n}" for n in range(200)]
    db.execute(f"CREATE TABLE wide({','.join(columns)})")
    bulk.insert(db, "wide", columns, [columns] * 500)
    assert db.execute("SELECT count(*) FROM wide").fetchone() == (500,)


def test_an_upsert_leaves_the_row_where_it_is(db):
    bulk.insert(db, "t", ("a", "b"), [(1, "x"), (2, "x")])
    suffix = bulk.upsert_suffix(("a",), ("a", "b"))
    bulk.insert(db, "t", ("a", "b"), [(2, "y"), (3, "y")], suffix=suffix)
    assert db.execute("SELECT a, b FROM t").fetchall() == [(1, "x"), (2, "y"), (3, "y")]


@pytest.mark.parametrize("count", [0, 1, 3, 1_024, 1_025, 3_000])
def test_each_row_that_is_asked_for_is_given_once(db, count):
    bulk.insert(db, "t", ("a", "b"), [(n, f"row {n}") for n in range(count + 10)])
    found = list(bulk.select_in(db, "t", ("a", "b"), "a", range(count)))
    assert sorted(found) == [[n, f"row {n}"] for n in range(count)]


def test_keys_of_any_number_are_looked_up_in_a_handful_of_statements(db):
    db.asked.clear()
    for count in range(200):
        assert list(bulk.select_in(db, "t", ("a",), "a", range(count))) == []
    assert len(set(db.asked)) == 9  # 1, 2, 4, ... 256 keys


def test_columns_that_no_row_sets_are_not_named(db):
    db.asked.clear()
    bulk.insert_sparse(
        db, "t", ("a", "b", "c", "d"), [(1, None, None, "x"), (2, None, None, None)], like="bare"
    )
    assert db.asked == ["INSERT INTO t(a,d) VALUES (?,?),(?,?)"]
    assert db.execute("SELECT * FROM t").fetchall() == [(1, None, None, "x"), (2, None, None, None)]


def test_columns_that_rows_alike_have_set_before_stay_named(db):
    bulk.insert_sparse(db, "t", ("a", "b", "c", "d"), [(1, "x", None, None)], like="those with b")
    db.asked.clear()
    bulk.insert_sparse(db, "t", ("a", "b", "c", "d"), [(2, None, "y", None)], like="those with b")
    bulk.insert_sparse(db, "t", ("a", "b", "c", "d"), [(3, None, "y", None)], like="others")
    assert db.asked == ["INSERT INTO t(a,b,c) VALUES (?,?,?)", "INSERT INTO t(a,c) VALUES (?,?)"]
    assert db.execute("SELECT a, b, c FROM t").fetchall() == [(1, "x", None), (2, None, "y"), (3, None, "y")]


def test_no_rows_are_no_statement(db):
    db.asked.clear()
    bulk.insert_sparse(db, "t", ("a", "b"), [], like="none")
    bulk.insert(db, "t", ("a", "b"), [])
    bulk.delete_in(db, "t", ("a",), [])
    assert db.asked == []


def test_what_is_named_is_deleted(db):
    bulk.insert(db, "t", ("a", "b"), [(n, n % 2) for n in range(1_500)])
    bulk.delete_in(db, "t", ("a", "b"), [(n, 0) for n in range(1_500)])
    assert db.execute("SELECT count(*), min(b) FROM t").fetchone() == (750, 1)
