"""What no leaf commits to, held against what the events themselves say.

Sealed are an event's head and its parts. Beside them stand on which line of which tape it was, which text a number of
a process's means, and how tables and views are made: whoever turns these has the store say something else, and every
seal holds.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Final, NamedTuple

from counterfoil.store import schema, views

__all__ = ["Wrong", "definitions", "lines", "numbers", "uncommitted"]

#: Named of what was made otherwise.
NAMED: Final = 5

#: Which event gave a process's message its number, and the text that it gave; NULL where that link is gone.
_GIVEN: Final = """INSERT OR IGNORE INTO temp.given
  SELECT t.writer_id, CAST(substr(p.value, 2) AS INTEGER), e.seq, l.payload_id
  FROM events e JOIN tapes t USING (tape_id), json_each(e.head, '$.parts') p
  LEFT JOIN event_payloads l ON l.seq = e.seq AND l.slot = p.key
  WHERE instr(e.head, '"m') AND p.value GLOB 'm[0-9]*' AND NOT substr(p.value, 2) GLOB '*[^0-9]*'
  ORDER BY e.seq"""
#: Processes of which some events never came, or went: numbers may be of these.
_PARTLY_HERE: Final = """SELECT t.writer_id FROM pruned p JOIN tapes t USING (tape_id)
  UNION SELECT t.writer_id FROM copies c JOIN events e ON e.seq = c.seq JOIN tapes t USING (tape_id)"""
_TURNED: Final = """SELECT g.seq, g.n, r.payload_id IS NULL FROM temp.given g LEFT JOIN refs r USING (writer_id, n)
  WHERE g.payload_id IS NOT NULL AND r.payload_id IS NOT g.payload_id ORDER BY g.seq LIMIT 1"""
_NEVER_GIVEN: Final = f"""SELECT w.writer, r.n FROM refs r LEFT JOIN writers w USING (writer_id)
  WHERE NOT EXISTS (SELECT 1 FROM temp.given g WHERE (g.writer_id, g.n) = (r.writer_id, r.n))
    AND r.writer_id NOT IN ({_PARTLY_HERE}) LIMIT 1"""
_UNCOMMITTED: Final = """SELECT (SELECT count(*) FROM refs r WHERE NOT EXISTS (SELECT 1 FROM temp.given g
    WHERE (g.writer_id, g.n) = (r.writer_id, r.n) AND g.payload_id IS NOT NULL)) + (SELECT count(*) FROM borrowed)"""

#: Events of which it is not told any more who recorded them.
_OF_NOBODY: Final = """SELECT e.seq FROM events e LEFT JOIN tapes t USING (tape_id) LEFT JOIN writers w USING (writer_id)
  WHERE e.tape_id IS NOT NULL AND w.writer IS NULL ORDER BY e.seq LIMIT 1"""
#: What each tape says of itself in its first line, where that is not what it is filed as.
_MISFILED: Final = """SELECT e.seq, w.writer FROM events e JOIN tapes t USING (tape_id) JOIN writers w USING (writer_id)
    LEFT JOIN event_payloads l ON l.seq = e.seq AND json_extract(e.head, '$.parts[' || l.slot || ']') = 'text'
    LEFT JOIN payloads p USING (payload_id)
  WHERE e.kind = 'open' AND (json_extract(e.head, '$.segment') <> t.segment
    OR (json_valid(p.body) AND coalesce(json_extract(p.body, '$.writer'), w.writer) <> w.writer))
  ORDER BY e.seq LIMIT 1"""
#: A process numbers its events, each once.
_TWICE: Final = """SELECT max(e.seq), w.writer FROM events e JOIN tapes t USING (tape_id) JOIN writers w USING (writer_id)
  GROUP BY t.writer_id, json_extract(e.head, '$.q') HAVING count(*) > 1 ORDER BY 1 LIMIT 1"""
#: Found, or decided, by a store itself: on no tape.
_MADE: Final = (
    "amend", "answer", "approval", "end", "erasure", "gone", "handoff", "price", "prune", "resume",
)  # fmt: skip
_NOT_MADE: Final = f"""SELECT seq FROM events WHERE tape_id IS NULL AND kind NOT IN ({",".join(map(repr, _MADE))})
  ORDER BY seq LIMIT 1"""

_DEFINED: Final = """SELECT type, name, sql FROM {schema}.sqlite_schema
  WHERE name NOT LIKE 'sqlite@_%' ESCAPE '@' AND tbl_name NOT LIKE '@_sqlite@_%' ESCAPE '@'"""


class Wrong(NamedTuple):
    """What is not as the events say, in a sentence; `seq` is the event that says otherwise, where one does."""

    says: str
    seq: int | None = None


def numbers(db: sqlite3.Connection) -> Wrong | None:
    """Give the first number of a message's that does not mean the text which the event that gave it brought."""
    _gather(db)
    row = db.execute(_TURNED).fetchone()
    if row is not None:
        seq, n, is_gone = row
        means = "no text any more" if is_gone else "another text"
        return Wrong(f"the message that event {seq} gave the number {n} means {means}", seq)
    row = db.execute(_NEVER_GIVEN).fetchone()
    if row is not None:
        return Wrong(
            f"no event of process {row[0] or 'unknown'} gave a message the number {row[1]}, which means a text"
        )
    return None


def uncommitted(db: sqlite3.Connection) -> int:
    """Give how many messages are shown whose own event was erased, dropped, or never came: nothing commits to them.

    After `numbers`, on the same connection.
    """
    return int(db.execute(_UNCOMMITTED).fetchone()[0])


def _gather(db: sqlite3.Connection) -> None:
    db.execute("DROP TABLE IF EXISTS temp.given")
    db.execute(
        """CREATE TEMP TABLE given(writer_id INTEGER, n INTEGER, seq INTEGER, payload_id INTEGER,
        PRIMARY KEY(writer_id, n)) WITHOUT ROWID"""
    )
    db.execute(_GIVEN)


def lines(db: sqlite3.Connection) -> Wrong | None:
    """Give the first event that stands as a line of a tape that it was not on, or that a process wrote once and is twice."""
    row = db.execute(_OF_NOBODY).fetchone()
    if row is not None:
        return Wrong(f"event {row[0]} is of a tape, or a process, that is not known any more", row[0])
    row = db.execute(_MISFILED).fetchone()
    if row is not None:
        return Wrong(
            f"event {row[0]} begins another tape than the one of process {row[1]} that it is filed under",
            row[0],
        )
    row = db.execute(_TWICE).fetchone()
    if row is not None:
        return Wrong(
            f"event {row[0]} has a number that process {row[1]} gave to another: a line was read twice",
            row[0],
        )
    row = db.execute(_NOT_MADE).fetchone()
    if row is not None:
        return Wrong(f"event {row[0]} is on no tape, and none that a store makes by itself", row[0])
    return None


def definitions(db: sqlite3.Connection, name: str = "main") -> Wrong | None:
    """Tell which tables, views, indexes and triggers of the store attached as `name` are not as this version makes them.

    What somebody added is left alone, but for triggers: these could change what is written.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as new:
        for migration in schema.MIGRATIONS:
            migration(new)
        views.recreate(new)
        wanted = {row[:2]: row[2] for row in new.execute(_DEFINED.format(schema="main"))}
    there = {row[:2]: row[2] for row in db.execute(_DEFINED.format(schema=name))}
    other = [key for key, sql in wanted.items() if there.get(key) != sql]
    other += [key for key in there if key[0] == "trigger" and key not in wanted]
    if not other:
        return None
    more = f" and {len(other) - NAMED} more" if len(other) > NAMED else ""
    said = ", ".join(f"{kind} {one}" for kind, one in sorted(other)[:NAMED])
    return Wrong(f"not as this version makes them: {said}{more}")
