"""What an erased text leaves behind where no query reaches: lines of tape, pages of the file, the log beside it."""

from __future__ import annotations

import bisect
import sqlite3
from typing import TYPE_CHECKING, Final

from counterfoil.store import schema, tapes

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["mark", "remove"]

#: In `meta` from the transaction that erases until nothing is left of what it took.
_MARK: Final = "traces"

#: Drained lines of a tape whose event has lost a text or was dropped, or that were set aside and emptied.
_ERASED: Final = """SELECT e.offset FROM events e WHERE e.tape_id = :tape AND e.offset < :upto
    AND json_array_length(e.head, '$.parts') > (SELECT count(*) FROM event_payloads l WHERE l.seq = e.seq)
  UNION SELECT offset FROM quarantine WHERE tape_id = :tape AND offset < :upto AND length(raw) = 0
  UNION SELECT offset FROM pruned WHERE tape_id = :tape AND offset < :upto"""
_LINES: Final = """SELECT offset FROM events WHERE tape_id = :tape AND offset < :upto
  UNION SELECT offset FROM quarantine WHERE tape_id = :tape AND offset < :upto
  UNION SELECT offset FROM pruned WHERE tape_id = :tape AND offset < :upto ORDER BY 1"""


def mark(db: sqlite3.Connection) -> None:
    """Note that texts go, in the transaction that takes them: whoever comes next knows that traces may be left."""
    db.execute("INSERT OR REPLACE INTO meta(key, value) VALUES (?, 1)", (_MARK,))


def remove(db: sqlite3.Connection, path: str) -> list[str]:
    """Remove what erased texts have left behind; give in sentences what could not be.

    Alone with the store at `path`, outside of a transaction. Does nothing but for the tapes where no text went since.
    """
    _blank_tapes(db, path)
    if db.execute("SELECT 1 FROM meta WHERE key = ?", (_MARK,)).fetchone() is None:
        return []
    tapes.tell_of_erasure(tapes.folder_of(path))
    try:
        # Its copy goes to a file, which has no name: the whole store would not fit into memory.
        db.execute("PRAGMA temp_store=DEFAULT")
        # secure_delete clears what is deleted, but not the copies that stay in a page when its rows are moved to another.
        db.execute("VACUUM")
        # Waits for readers as long as for any lock.
        busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.OperationalError as error:
        return [f"What was erased may still stand in free pages of the file: {schema.explain(path, error)}"]
    if busy:
        said = "may hold what was erased until the program that is reading the store ends; then do the same again."
        return [f"{path}-wal {said}"]
    db.execute("DELETE FROM meta WHERE key = ?", (_MARK,))
    return []


def _blank_tapes(db: sqlite3.Connection, path: str) -> None:
    for segment in tapes.listing(tapes.folder_of(path)):
        row = db.execute(
            "SELECT tape_id, offset FROM tapes JOIN writers USING (writer_id) WHERE writer = ? AND segment = ?",
            (segment.writer, segment.number),
        ).fetchone()
        if row is None:
            continue
        try:
            tapes.blank(segment.path, _stretches(db, *row))
        except FileNotFoundError:
            continue


def _stretches(db: sqlite3.Connection, tape_id: int, upto: int) -> Iterator[tuple[int, int]]:
    """Give where each erased line begins, and where at the latest it ends: what is set aside may have no newline."""
    where = {"tape": tape_id, "upto": upto}
    erased = [offset for (offset,) in db.execute(_ERASED, where).fetchall()]
    if not erased:
        return
    lines = [offset for (offset,) in db.execute(_LINES, where).fetchall()]
    for start in erased:
        after = bisect.bisect_right(lines, start)
        yield start, lines[after] if after < len(lines) else upto
