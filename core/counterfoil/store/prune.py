"""Pruning: old runs go whole, events and all, and a signed note says which.

Of each event its leaf stays, so that chain, tree and proofs hold; what is said of the runs that stay is as before.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from counterfoil.events import Head, Text
from counterfoil.ids import now_ns
from counterfoil.store import ages, bulk, fold, holders, ingest, refold, schema, seal, signing, traces
from counterfoil.store.exclusive import alone, transaction
from counterfoil.store.made import Made
from counterfoil.store.sealing import Sealing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

__all__ = ["PART", "Pruned", "foresee", "prune"]

#: The part of a prune event that says what went: `runs`, and `seqs` as pairs of first and last.
PART: Final = "pruned"
#: Events moved at a time.
EVENTS: Final = 2_000

#: The runs of tasks all of whose runs are old.
_WHOLE: Final = """SELECT run_id FROM t_runs WHERE coalesce(first_run_id, run_id) NOT IN (
    SELECT coalesce(first_run_id, run_id) FROM t_runs WHERE run_id NOT IN (SELECT run_id FROM temp.old))
  ORDER BY started_ns, run_id"""
#: Second reports of model calls that runs which go told better.
_FOLDED: Final = """SELECT DISTINCT s.run_id FROM t_steps s JOIN t_steps b ON b.step_id = s.folded_into
  WHERE b.run_id IN (SELECT run_id FROM temp.chosen) AND s.run_id NOT IN (SELECT run_id FROM temp.chosen)"""


class Pruned(NamedTuple):
    """What went: the runs, the oldest first, their events, texts and bytes; `notices` say what could not be removed."""

    runs: tuple[str, ...]
    events: int
    texts: int
    bytes: int
    notices: tuple[str, ...] = ()


def foresee(path: str | os.PathLike[str], before_ns: int) -> Pruned:
    """Give what `prune` would do, and do nothing but drain. Raises StoreError with one sentence."""
    path = os.path.realpath(os.fspath(path))
    ingest.drain_all(path)
    with alone(path) as db:
        signing.require_key(db)
        db.execute("BEGIN IMMEDIATE")
        try:
            return _prune(db, path, before_ns, Text())
        finally:
            db.execute("ROLLBACK")


def prune(path: str | os.PathLike[str], before_ns: int, *, by: str, because: str | None = None) -> Pruned:
    """Drop the tasks all of whose runs ended, or were last heard of, before `before_ns`, and sign what is left.

    Raises StoreError with one sentence, also where there is no key to sign with: nothing is dropped then.
    """
    path = os.path.realpath(os.fspath(path))
    notices = ingest.drain_all(path)
    with alone(path) as db:
        signing.require_key(db)
        with transaction(db):
            done = _prune(db, path, before_ns, Text(erased_by=by, reason=because))
        if done.runs:
            signing.sign_now(db, path)
        notices += traces.remove(db, path)
    return done._replace(notices=tuple(notices))


def _prune(db: sqlite3.Connection, path: str, before_ns: int, text: Text) -> Pruned:
    runs = _old(db, path, before_ns)
    if not runs:
        return Pruned((), 0, 0, 0)
    # Now, while the last event is there: the chain goes on from it.
    sealing = Sealing(db, bytes(db.execute("SELECT value FROM meta WHERE key = 'store_key'").fetchone()[0]))
    holders.choose(db, runs)
    holders.take_of_runs(db, everywhere=False)
    db.execute(
        """INSERT OR IGNORE INTO temp.candidates SELECT payload_id FROM events JOIN event_payloads USING (seq)
        WHERE run_id IN (SELECT run_id FROM temp.chosen)"""
    )
    holders.lend(db)
    recounted = [run_id for (run_id,) in db.execute(_FOLDED)]
    seqs = list(_move(db))
    refold.drop(db, runs)
    _recall_processes(db)
    if recounted:
        refold.refold(db, path, recounted)
    left = holders.collect(db)
    body = msgspec.json.encode({"runs": runs, "seqs": list(_stretches(seqs))})
    head = Head(k="prune", t=now_ns(), q=0, count=len(seqs), texts=left.texts, what="older-than")
    sealing.add_made(Made(head, text, body, PART))
    sealing.write()
    fold.apply(db, sealing.events, {})
    traces.mark(db)
    return Pruned(tuple(runs), len(seqs), left.texts, left.bytes)


def _old(db: sqlite3.Connection, path: str, before_ns: int) -> list[str]:
    db.execute("CREATE TEMP TABLE IF NOT EXISTS old(run_id TEXT PRIMARY KEY) WITHOUT ROWID")
    db.execute("DELETE FROM temp.old")
    bulk.insert(db, "temp.old", ("run_id",), [(run,) for run in ages.runs_before(db, path, before_ns)])
    return [run_id for (run_id,) in db.execute(_WHOLE)]


def _move(db: sqlite3.Connection) -> Iterator[int]:
    """Take the events of the chosen runs away and keep their leaves; give their numbers, in order."""
    db.execute("DROP TABLE IF EXISTS temp.going")
    db.execute("CREATE TEMP TABLE going(seq INTEGER PRIMARY KEY)")
    db.execute(
        "INSERT INTO temp.going SELECT seq FROM events WHERE run_id IN (SELECT run_id FROM temp.chosen)"
    )
    last = 0
    while True:
        rows = db.execute(
            f"""SELECT g.seq, tape_id, offset, CAST(head AS BLOB), commitments,
              iif(EXISTS (SELECT 1 FROM temp.going n WHERE n.seq = g.seq + 1), NULL, chain)
            FROM temp.going g JOIN events USING (seq) WHERE g.seq > ? ORDER BY g.seq LIMIT {EVENTS}""",
            (last,),
        ).fetchall()
        if not rows:
            break
        last = rows[-1][0]
        leaves = [(seq, seal.leaf(head, commitments or b"")) for seq, _, _, head, commitments, _ in rows]
        bulk.insert(
            db,
            "pruned",
            ("seq", "tape_id", "offset", "leaf", "chain"),
            [(seq, row[1], row[2], leaf, row[5]) for row, (seq, leaf) in zip(rows, leaves, strict=True)],
        )
        yield from (seq for seq, _ in leaves)
    gone = "seq IN (SELECT seq FROM temp.going)"
    # A source's chain goes through them too.
    db.execute(
        f"""UPDATE copies SET leaf = (SELECT p.leaf FROM pruned p WHERE p.seq = copies.seq)
        WHERE leaf IS NULL AND {gone}"""
    )
    db.execute(f"DELETE FROM event_payloads WHERE {gone}")
    with schema.unguarded(db):
        db.execute(f"DELETE FROM events WHERE {gone}")


def _recall_processes(db: sqlite3.Connection) -> None:
    """When a process was last heard of is what its events say that are left."""
    db.execute(
        """UPDATE t_processes SET last_ns = (SELECT max(e.t_ns) FROM tapes t JOIN events e USING (tape_id)
          WHERE t.writer_id = t_processes.writer_id)
        WHERE writer_id IN (SELECT t.writer_id FROM temp.going JOIN pruned p USING (seq)
          JOIN tapes t ON t.tape_id = p.tape_id)"""
    )


def _stretches(seqs: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Give the ascending numbers `seqs` as pairs of first and last."""
    first = last = seqs[0]
    for seq in seqs[1:]:
        if seq != last + 1:
            yield first, last
            first = seq
        last = seq
    yield first, last
