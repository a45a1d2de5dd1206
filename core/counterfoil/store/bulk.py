"""Many rows in few statements.

One statement per row (`executemany`) starves in a thread beside a busy interpreter: each one waits for the GIL.
Hundreds of rows a statement give ten times the rate.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

_rows = msgspec.json.Decoder(list[list[Any]]).decode

__all__ = ["delete_in", "insert", "insert_sparse", "select_in", "upsert_suffix"]

#: SQLite takes at most 32 766 bound values a statement.
VARIABLES: Final = 32_000
ROWS: Final = 1_000


@lru_cache(maxsize=64)
def _values(rows: int, width: int) -> str:
    return ",".join(["(" + ",".join("?" * width) + ")"] * rows)


def insert(
    db: sqlite3.Connection,
    table: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    verb: str = "INSERT",
    suffix: str = "",
) -> None:
    """Put `rows` into `table`; `suffix` is an ON CONFLICT clause."""
    width = len(columns)
    step = min(ROWS, VARIABLES // width)
    head = f"{verb} INTO {table}({','.join(columns)}) VALUES "
    for at in range(0, len(rows), step):
        part = rows[at : at + step]
        db.execute(head + _values(len(part), width) + suffix, list(chain.from_iterable(part)))


def insert_sparse(
    db: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Put new `rows` into `table`, naming only the columns that one of them sets: most of a wide table's are NULL."""
    if not rows:
        return
    used = [at for at, values in enumerate(zip(*rows, strict=True)) if values.count(None) < len(values)]
    insert(db, table, [columns[at] for at in used], [[row[at] for at in used] for row in rows])


def upsert_suffix(key: Sequence[str], columns: Sequence[str]) -> str:
    """Give the clause that replaces every column but those of `key` and leaves the row where it is."""
    sets = ",".join(f"{name}=excluded.{name}" for name in columns if name not in key)
    return f" ON CONFLICT({','.join(key)}) DO UPDATE SET {sets}"


def select_in(
    db: sqlite3.Connection, table: str, columns: Sequence[str], key: str, keys: Iterable[Any]
) -> Iterator[list[Any]]:
    """Give `columns` (text and whole numbers only) of the rows of `table` whose `key` is one of `keys`.

    As one JSON text a statement: each row fetched by itself would wait for the GIL by itself.
    """
    wanted = list(keys)
    for at in range(0, len(wanted), ROWS):
        part = wanted[at : at + ROWS]
        row = db.execute(
            f"SELECT json_group_array(json_array({','.join(columns)})) FROM {table} WHERE {key} IN ({','.join('?' * len(part))})",
            part,
        ).fetchone()
        yield from _rows(row[0])


def delete_in(
    db: sqlite3.Connection, table: str, columns: Sequence[str], keys: Sequence[Sequence[Any]]
) -> None:
    """Delete the rows of `table` whose `columns` are one of `keys`."""
    step = ROWS // len(columns)
    for at in range(0, len(keys), step):
        part = keys[at : at + step]
        db.execute(
            f"DELETE FROM {table} WHERE ({','.join(columns)}) IN (VALUES {_values(len(part), len(columns))})",
            list(chain.from_iterable(part)),
        )
