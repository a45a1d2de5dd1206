"""Many rows in few statements.

One statement per row (`executemany`) starves in a thread beside a busy interpreter: each one waits for the GIL.
Hundreds of rows a statement give ten times the rate. Preparing one costs as much as carrying it out: rows go by powers
of two, so that the statements are few and SQLite's module has them ready.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain, compress
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

_rows = msgspec.json.Decoder(list[list[Any]]).decode

__all__ = ["delete_in", "insert", "insert_sparse", "select_in", "upsert_suffix"]

#: SQLite takes at most 32 766 bound values a statement.
VARIABLES: Final = 32_000
ROWS: Final = 1_024


#: The columns that rows alike have ever set, by table and by what they are like.
_set: dict[tuple[str, str], set[str]] = {}


@lru_cache(maxsize=256)
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
    most = min(ROWS, VARIABLES // width)
    head = f"{verb} INTO {table}({','.join(columns)}) VALUES "
    at = 0
    while at < len(rows):
        size = _power_of_two(min(most, len(rows) - at))
        part = rows[at : at + size]
        db.execute(head + _values(size, width) + suffix, list(chain.from_iterable(part)))
        at += size


def _power_of_two(most: int) -> int:
    return 1 << (most.bit_length() - 1)


def insert_sparse(
    db: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, like: str
) -> None:
    """Put new `rows` into `table`, naming only columns that one of them sets: most of a wide table's are NULL.

    Also those that rows set before which were `like` these, so that the statement is the same.
    """
    if not rows:
        return
    named = _set.setdefault((table, like), set())
    named.update(
        name
        for name, values in zip(columns, zip(*rows, strict=True), strict=True)
        if values.count(None) < len(rows)
    )
    used = [name in named for name in columns]
    insert(db, table, list(compress(columns, used)), [list(compress(row, used)) for row in rows])


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
        # To a power of two, too: one that is asked for twice is given once.
        part += part[-1:] * (_power_of_two(2 * len(part) - 1) - len(part))
        row = db.execute(
            f"SELECT json_group_array(json_array({','.join(columns)})) FROM {table} WHERE {key} IN ({','.join('?' * len(part))})",
            part,
        ).fetchone()
        yield from _rows(row[0])


def delete_in(
    db: sqlite3.Connection, table: str, columns: Sequence[str], keys: Sequence[Sequence[Any]]
) -> None:
    """Delete the rows of `table` whose `columns`, the first of which has an index, are one of `keys`."""
    step = ROWS // len(columns)
    for at in range(0, len(keys), step):
        part = keys[at : at + step]
        # By the first alone SQLite uses the index; by several at once it reads the whole table.
        db.execute(
            f"""DELETE FROM {table} WHERE {columns[0]} IN ({",".join("?" * len(part))})
            AND ({",".join(columns)}) IN (VALUES {_values(len(part), len(columns))})""",
            [*(key[0] for key in part), *chain.from_iterable(part)],
        )
