"""Who holds which text: what goes with whom, what stays because another run holds it, and by what.

A run holds a text by the link of an event of its own; by number, where an event refers to a message that another one
brought; by going on from a step's messages. Temporary tables of ids, inside one transaction: `chosen` runs and their
`chosen_events`; `candidates` to go; what is `taken` from whoever holds it; the `struck` events that lose something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from counterfoil.store import bulk, erasures
from counterfoil.store.views import LISTED

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

__all__ = [
    "OWN", "Left", "choose", "collect", "forget_taken", "lend", "referring_runs", "struck_runs", "take_matching",
    "take_of_runs",
]  # fmt: skip

_TABLES: Final = (
    "chosen(run_id TEXT PRIMARY KEY) WITHOUT ROWID",
    "chosen_events(run_id TEXT, seq INTEGER, is_linked INTEGER, PRIMARY KEY(run_id, seq)) WITHOUT ROWID",
    "candidates(payload_id INTEGER PRIMARY KEY)",
    "taken(payload_id INTEGER PRIMARY KEY)",
    # The run is '' outside of runs.
    "struck(run_id TEXT, seq INTEGER, PRIMARY KEY(run_id, seq)) WITHOUT ROWID",
    "continued(step_id TEXT, direction INTEGER, run_id TEXT, keep INTEGER)",
    "held(payload_id INTEGER, run_id TEXT, PRIMARY KEY(payload_id, run_id)) WITHOUT ROWID",
)

#: What the store itself said is nobody's words, and tells what must stay true: prices, deaths, erasures.
OWN: Final = ("amend", "price", "gone", "erasure", "prune")
#: As `erasures.refers` has it.
_REFERS: Final = " OR ".join(
    f"json_extract(head, '$.{name}') IS NOT NULL" for name in ("refs", "offers", "base")
)
_OWN: Final = f"tape_id IS NULL AND kind IN ({','.join(repr(kind) for kind in OWN)})"

#: Which step goes on from which: run, and of which messages (0 input, 1 output) of which step, how many.
_CONTINUED: Final = """SELECT in_base, coalesce(in_base_output, 0), run_id, in_keep FROM t_steps
    WHERE in_base IS NOT NULL AND in_keep > 0
  UNION ALL SELECT out_base, coalesce(out_base_output, 0), run_id, out_keep FROM t_steps
    WHERE out_base IS NOT NULL AND out_keep > 0"""
#: Every way but by link in which steps hold texts: the payload and the run.
_REFERRED: Final = """SELECT m.payload_id, s.run_id FROM t_messages m JOIN t_steps s USING (step_id)
  UNION ALL SELECT o.value, s.run_id FROM t_steps s, json_each(s.offers) o WHERE s.offers IS NOT NULL
  UNION ALL SELECT b.payload_id, c.run_id FROM temp.continued c JOIN borrowed b USING (step_id, direction)
    WHERE b.position < c.keep"""


class Left(NamedTuple):
    """What became of the candidates: texts and bytes that went; how many stay, and how many each run holds."""

    texts: int
    bytes: int
    kept: int
    holders: tuple[tuple[str | None, int], ...]


def choose(db: sqlite3.Connection, runs: Sequence[str]) -> None:
    """Begin: with these runs, all of whose texts are to go where nobody else holds them.

    `chosen_events` are those of their events that hold or refer to any.
    """
    for table in _TABLES:
        db.execute(f"DROP TABLE IF EXISTS temp.{table.partition('(')[0]}")
        db.execute(f"CREATE TEMP TABLE {table}")
    db.execute("CREATE INDEX temp.continued_step ON continued(step_id, direction)")
    db.execute(f"INSERT INTO temp.continued {_CONTINUED}")
    if not runs:
        return
    bulk.insert(db, "temp.chosen", ("run_id",), [(run,) for run in runs])
    db.execute(
        f"""INSERT INTO temp.chosen_events SELECT run_id, seq, is_linked FROM (
          SELECT run_id, seq, EXISTS (SELECT 1 FROM event_payloads l WHERE l.seq = events.seq) AS is_linked, head
          FROM events WHERE run_id IN (SELECT run_id FROM temp.chosen) AND NOT ({_OWN}))
        WHERE is_linked OR {_REFERS}"""
    )
    _leave_out_erased(db)


def _leave_out_erased(db: sqlite3.Connection) -> None:
    """Leave out events that lost all before: what they refer to is not theirs any more."""
    whole = erasures.whole(db.execute(erasures.BODIES))
    if not whole:
        return
    rows = db.execute(
        """SELECT c.run_id, c.seq, CAST(e.head AS BLOB), e.commitments
        FROM temp.chosen_events c JOIN events e USING (seq) WHERE NOT c.is_linked"""
    )
    erased = [
        (run_id, seq)
        for run_id, seq, head, commitments in rows
        if erasures.leaf_name(head, commitments) in whole
    ]
    db.executemany("DELETE FROM temp.chosen_events WHERE run_id = ? AND seq = ?", erased)


def take_of_runs(db: sqlite3.Connection, *, everywhere: bool) -> None:
    """Name what the chosen runs hold as candidates; `everywhere` takes all but short strings from other runs too."""
    db.execute("INSERT INTO temp.struck SELECT run_id, seq FROM temp.chosen_events")
    db.execute(
        f"""INSERT OR IGNORE INTO temp.candidates SELECT payload_id FROM ({_REFERRED})
        WHERE run_id IN (SELECT run_id FROM temp.chosen) AND payload_id IS NOT NULL"""
    )
    if everywhere:
        db.execute("INSERT INTO temp.taken SELECT payload_id FROM temp.candidates")
        db.execute(
            """INSERT OR IGNORE INTO temp.taken SELECT l.payload_id FROM temp.chosen_events
            JOIN events e USING (seq) JOIN event_payloads l USING (seq)
            WHERE json_extract(e.head, '$.parts[' || l.slot || ']') <> 'text'"""
        )
        _strike_holders(db)
    db.execute(
        """INSERT OR IGNORE INTO temp.candidates SELECT payload_id FROM temp.chosen_events
        JOIN event_payloads USING (seq)"""
    )


def take_matching(db: sqlite3.Connection, forms: Sequence[str]) -> None:
    """Take every text that holds one of `forms` from whoever holds it."""
    condition = " OR ".join(["instr(body, ?) > 0"] * len(forms))
    db.execute(f"INSERT INTO temp.taken SELECT payload_id FROM payloads WHERE {condition}", forms)
    db.execute("INSERT INTO temp.candidates SELECT payload_id FROM temp.taken")
    _strike_holders(db)


def _strike_holders(db: sqlite3.Connection) -> None:
    db.execute(
        """INSERT OR IGNORE INTO temp.struck SELECT coalesce(e.run_id, ''), e.seq FROM event_payloads l
        JOIN events e USING (seq) WHERE l.payload_id IN (SELECT payload_id FROM temp.taken)"""
    )


def struck_runs(db: sqlite3.Connection) -> list[str | None]:
    """Give the runs of struck events; None is what is outside of runs."""
    return [run_id or None for (run_id,) in db.execute("SELECT DISTINCT run_id FROM temp.struck ORDER BY 1")]


def referring_runs(db: sqlite3.Connection) -> list[str]:
    """Give the runs that hold what is taken otherwise than by a link."""
    rows = db.execute(
        f"""SELECT DISTINCT run_id FROM ({_REFERRED})
        WHERE payload_id IN (SELECT payload_id FROM temp.taken) AND run_id IS NOT NULL ORDER BY 1"""
    )
    return [run_id for (run_id,) in rows]


def lend(db: sqlite3.Connection) -> None:
    """Keep the messages of chosen steps that other runs' steps go on from, so that these still show their whole input."""
    bases = db.execute(
        """SELECT y.step_id, c.direction, max(c.keep) FROM temp.continued c JOIN t_steps y USING (step_id)
        WHERE y.run_id IN (SELECT run_id FROM temp.chosen) AND c.run_id NOT IN (SELECT run_id FROM temp.chosen)
          AND iif(c.direction, y.out_count, y.in_count) IS NOT NULL GROUP BY 1, 2"""
    ).fetchall()
    for step_id, direction, keep in bases:
        listed = db.execute(LISTED, (step_id, direction, keep)).fetchall()
        bulk.insert(
            db,
            "borrowed",
            ("step_id", "direction", "position", "payload_id"),
            [(step_id, direction, *row) for row in listed],
            verb="INSERT OR REPLACE",
        )


def forget_taken(db: sqlite3.Connection) -> None:
    """Have nobody refer to what is taken; before rows are built anew."""
    db.execute("DELETE FROM refs WHERE payload_id IN (SELECT payload_id FROM temp.taken)")
    db.execute(
        "UPDATE borrowed SET payload_id = NULL WHERE payload_id IN (SELECT payload_id FROM temp.taken)"
    )


def collect(db: sqlite3.Connection) -> Left:
    """Delete the candidates that nobody holds any more; after rows are built anew."""
    if db.execute("SELECT 1 FROM temp.candidates").fetchone() is None:
        return Left(0, 0, 0, ())
    db.execute("DELETE FROM temp.continued")
    db.execute(f"INSERT INTO temp.continued {_CONTINUED}")
    db.execute(
        """DELETE FROM borrowed WHERE (step_id, direction, position) NOT IN (
        SELECT b.step_id, b.direction, b.position FROM temp.continued c JOIN borrowed b USING (step_id, direction)
        WHERE b.position < c.keep)"""
    )
    db.execute(
        f"""INSERT OR IGNORE INTO temp.held SELECT payload_id, coalesce(run_id, '') FROM (
        SELECT payload_id, run_id FROM event_payloads JOIN events USING (seq) UNION ALL {_REFERRED})
        WHERE payload_id IN (SELECT payload_id FROM temp.candidates)"""
    )
    holders = db.execute("SELECT run_id, count(*) FROM temp.held GROUP BY 1 ORDER BY 2 DESC, 1").fetchall()
    (kept,) = db.execute("SELECT count(DISTINCT payload_id) FROM temp.held").fetchone()
    db.execute("DELETE FROM temp.candidates WHERE payload_id IN (SELECT payload_id FROM temp.held)")
    gone = "payload_id IN (SELECT payload_id FROM temp.candidates)"
    texts, size = db.execute(
        f"SELECT count(*), coalesce(sum(length(CAST(body AS BLOB))), 0) FROM payloads WHERE {gone}"
    ).fetchone()
    db.execute(f"DELETE FROM payloads WHERE {gone}")
    db.execute(f"DELETE FROM refs WHERE {gone}")
    return Left(texts, size, kept, tuple((run_id or None, count) for run_id, count in holders))
