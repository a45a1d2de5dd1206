"""Many rows in few statements.

One statement per row (`executemany`) starves in a thread beside a busy interpreter: each one waits for the GIL.
Hundreds of rows a statement give ten times the rate.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["delete_in", "insert", "select_in", "upsert_suffix"]

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


def upsert_suffix(key: Sequence[str], columns: Sequence[str]) -> str:
    """Give the clause that replaces every column but those of `key` and leaves the row where it is."""
    sets = ",".join(f"{name}=excluded.{name}" for name in columns if name not in key)
    return f" ON CONFLICT({','.join(key)}) DO UPDATE SET {sets}"


def select_in(
    db: sqlite3.Connection, select: str, keys: Iterable[Any], *, tail: str = ""
) -> Iterator[tuple[Any, ...]]:
    """Give the rows of `select ... IN (keys) tail`."""
    wanted = list(keys)
    for at in range(0, len(wanted), ROWS):
        part = wanted[at : at + ROWS]
        yield from db.execute(f"{select} IN ({','.join('?' * len(part))}){tail}", part)


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
