"""The built tables, made anew from the events."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from counterfoil.store import refold, schema
from counterfoil.store.errors import StoreError
from counterfoil.store.exclusive import alone, transaction

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Changed", "Rebuilt", "rebuild"]


class Changed(NamedTuple):
    """Rows of one built table that were not as the events say: how many went, and how many came."""

    table: str
    gone: int
    new: int


class Rebuilt(NamedTuple):
    """What a rebuild found: how many events there are, and the tables that were not what they say."""

    events: int
    changed: tuple[Changed, ...]


def rebuild(path: str | os.PathLike[str]) -> Rebuilt:
    """Empty the built tables and fill them again from the events; tell what that changed.

    Nothing, unless somebody wrote to them: the result is what draining built. Raises StoreError where the store cannot
    be written.
    """
    path = os.path.realpath(os.fspath(path))
    if not os.path.exists(path):
        raise StoreError(f"{path}: nothing has been recorded here; name another file with --db.")
    with alone(path) as db:
        for table in schema.BUILT:
            db.execute(f"CREATE TEMP TABLE was_{table} AS SELECT * FROM main.{table}")
        with transaction(db):
            events = _refill(db, path)
            changed = [_changed(db, table) for table in schema.BUILT]
    return Rebuilt(events, tuple(one for one in changed if one.gone or one.new))


def _changed(db: sqlite3.Connection, table: str) -> Changed:
    was, now = f"SELECT * FROM temp.was_{table}", f"SELECT * FROM main.{table}"
    (gone,) = db.execute(f"SELECT count(*) FROM ({was} EXCEPT {now})").fetchone()
    (new,) = db.execute(f"SELECT count(*) FROM ({now} EXCEPT {was})").fetchone()
    return Changed(table, gone, new)


def _refill(db: sqlite3.Connection, path: str) -> int:
    for table in schema.BUILT:
        db.execute(f"DELETE FROM main.{table}")
    return refold.fold_again(db, path)
