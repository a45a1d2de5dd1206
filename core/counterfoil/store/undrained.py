"""What lies on tapes, against the store: lines that were read are as they were, and what was not read yet."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from counterfoil.store import seal, tapes
from counterfoil.store.check import Check

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from counterfoil.store.tapes import Line

__all__ = ["on_tapes"]

#: How many events processes numbered that never came; of those that are here in part because of a copy or a pruning,
#: nothing can be told.
_GAPS: Final = """SELECT coalesce(sum(high - count), 0) FROM (
    SELECT max(q) AS high, count(*) AS count FROM (
      SELECT t.writer_id, json_extract(e.head, '$.q') AS q FROM events e JOIN tapes t USING (tape_id)
      WHERE t.writer_id NOT IN (SELECT t.writer_id FROM pruned p JOIN tapes t USING (tape_id))
        AND e.seq NOT IN (SELECT seq FROM copies)
      UNION ALL SELECT t.writer_id, NULL FROM quarantine JOIN tapes t USING (tape_id))
    GROUP BY writer_id HAVING max(q) > count(*))"""


def on_tapes(db: sqlite3.Connection, path: str) -> Iterator[Check]:
    """Check the tapes that still lie beside the store at `path`, and whether all that was numbered came."""
    folder = tapes.folder_of(path)
    left = tapes.left_bytes(folder, db)
    compared = 0
    for segment in tapes.listing(folder):
        row = db.execute(
            "SELECT tape_id, offset FROM tapes JOIN writers USING (writer_id) WHERE writer = ? AND segment = ?",
            (segment.writer, segment.number),
        ).fetchone()
        if row is None:
            continue
        trouble, lines = _compared(db, segment.path, *row)
        compared += lines
        if trouble is not None:
            yield Check("tapes", "broken", f"{segment.path}: {trouble}.")
    if left:
        says = f"{left:,} bytes on the tapes are not in the store yet: nothing protects them."
        yield Check("tapes", "open", says)
    elif compared:
        yield Check("tapes", "ok", f"{compared:,} lines that still lie on tapes are as they were stored.")
    (gaps,) = db.execute(_GAPS).fetchone()
    if gaps:
        # A full disk, a kill between the number and the write, or somebody's hand: the number alone does not tell.
        says = f"{gaps:,} events that processes numbered never came: cut off by a kill, no room to write, or taken from a tape."
        yield Check("numbers", "open", says)


def _compared(db: sqlite3.Connection, path: str, tape_id: int, upto: int) -> tuple[str | None, int]:
    """Give what is wrong with what was read of a tape, and how many lines were compared."""
    try:
        fd = tapes.open_to_read(path)
    except OSError:
        return None, 0
    try:
        data = os.read(fd, upto)
        while len(data) < upto and (more := os.read(fd, upto - len(data))):
            data += more
    finally:
        tapes.close(fd)
    if len(data) < upto:
        return f"it is {upto - len(data):,} bytes shorter than what was read of it", 0
    stored = {
        offset: (seq, head, commitments)
        for seq, offset, head, commitments in db.execute(
            "SELECT seq, offset, CAST(head AS BLOB), coalesce(commitments, x'') FROM events WHERE tape_id = ?",
            (tape_id,),
        )
    }
    lines = 0
    known = {
        offset
        for (offset,) in db.execute(
            "SELECT offset FROM pruned WHERE tape_id = :tape UNION SELECT offset FROM quarantine WHERE tape_id = :tape",
            {"tape": tape_id},
        )
    }
    for line in tapes.parse(data, 0):
        if not isinstance(line, tapes.Line):
            continue
        if line.offset in stored:
            lines += 1
            if not _is_as_stored(db, line, *stored[line.offset]):
                return f"the line at {line.offset} was changed after it was read", lines
        elif line.offset not in known:
            return f"the line at {line.offset} was passed over", lines
    return None, lines


def _is_as_stored(db: sqlite3.Connection, line: Line, seq: int, head: bytes, commitments: bytes) -> bool:
    if line.raw_head != head:
        return False
    salts = dict(db.execute("SELECT slot, salt FROM event_payloads WHERE seq = ?", (seq,)).fetchall())
    return all(
        seal.commitment(salts[slot], seal.content_digest(body))
        == commitments[slot * seal.COMMITMENT : (slot + 1) * seal.COMMITMENT]
        for slot, body in enumerate(line.bodies)
        if slot in salts
    )
