"""Events folded again: all of a store's, or those of some runs whose built rows are taken away first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from counterfoil.events import Head, Text, decode_head, decode_text
from counterfoil.store import bulk, erasures, fold, sealing
from counterfoil.store.contribution import contribution
from counterfoil.store.errors import StoreError
from counterfoil.store.fold import READ, Event
from counterfoil.store.rows import StepRow
from counterfoil.store.spending import Spending

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["drop", "fold_again", "refold"]

#: Folded at a time.
EVENTS: Final = 5_000
#: Runs whose steps are held in memory at a time.
RUNS: Final = 50

_NO_TEXT: Final = Text()
_STEP: Final = StepRow.__struct_fields__
_OF_RUN: Final = (
    "t_runs", "t_handoffs", "t_accesses", "t_decisions", "t_approvals", "t_scores", "t_answers", "t_findings",
    "t_erasures",
)  # fmt: skip
#: What can be outside of a run.
_OUTSIDE: Final = ("t_handoffs", "t_accesses", "t_decisions", "t_approvals", "t_scores", "t_erasures")


class _Row(NamedTuple):
    """An event to be folded, as it stands in the store."""

    seq: int
    writer_id: int | None
    head: Head
    raw_head: bytes
    commitments: bytes | None


def drop(db: sqlite3.Connection, runs: Collection[str | None]) -> None:
    """Take the built rows of `runs` away, and what they added to other rows; None is all that is outside of runs."""
    named = [run for run in runs if run is not None]
    for at in range(0, len(named), RUNS):
        some = named[at : at + RUNS]
        marks = ",".join("?" * len(some))
        spending = Spending()
        for row in bulk.select_in(db, "t_steps", _STEP, "run_id", some):
            spending.add(contribution(StepRow(*row)), -1)
        spending.write(db)
        db.execute(
            f"DELETE FROM t_messages WHERE step_id IN (SELECT step_id FROM t_steps WHERE run_id IN ({marks}))",
            some,
        )
        for table in ("t_steps", *_OF_RUN):
            db.execute(f"DELETE FROM {table} WHERE run_id IN ({marks})", some)
    if None in runs:
        for table in _OUTSIDE:
            db.execute(f"DELETE FROM {table} WHERE run_id IS NULL")
        db.execute("DELETE FROM t_troubles")
        # Their times and ends are of all events, which say the same again.
        db.execute(
            "UPDATE t_processes SET host = NULL, boot = NULL, machine = NULL, versions = NULL, frameworks = NULL"
        )


def refold(db: sqlite3.Connection, path: str, runs: Collection[str | None]) -> None:
    """Build the rows of `runs` anew from the events that are there; None is all that is outside of runs.

    In a transaction. The result is what a rebuild of the whole store gives. Raises StoreError with one sentence for an
    event that cannot be read.
    """
    if not runs:
        return
    drop(db, runs)
    db.execute("CREATE TEMP TABLE IF NOT EXISTS refolded(run_id TEXT PRIMARY KEY) WITHOUT ROWID")
    db.execute("DELETE FROM temp.refolded")
    bulk.insert(db, "temp.refolded", ("run_id",), [(run,) for run in runs if run is not None])
    only = "run_id IN (SELECT run_id FROM temp.refolded)"
    fold_again(db, path, f"({only} OR run_id IS NULL)" if None in runs else only)


def fold_again(db: sqlite3.Connection, path: str, only: str = "1") -> int:
    """Fold the events for which the condition `only` holds, in their order; give how many.

    Raises StoreError with one sentence for an event that cannot be read.
    """
    count = last = 0
    writers: dict[int | None, int] = dict(db.execute("SELECT tape_id, writer_id FROM tapes").fetchall())
    try:
        erased = erasures.whole(db.execute(erasures.BODIES))
    except msgspec.DecodeError as error:
        raise StoreError(
            f"{path}: an erasure cannot be read ({error}); the store was changed by hand."
        ) from None
    while True:
        rows = db.execute(
            f"SELECT seq, tape_id, CAST(head AS BLOB), commitments FROM events WHERE seq > ? AND {only} ORDER BY seq LIMIT ?",
            (last, EVENTS),
        ).fetchall()
        if not rows:
            return count
        try:
            heads = [
                _Row(seq, writers.get(tape_id), decode_head(head), head, commitments)
                for seq, tape_id, head, commitments in rows
            ]
            events = _events(db, heads, erased)
        except msgspec.DecodeError as error:
            raise StoreError(
                f"{path}: an event from {rows[0][0]} to {rows[-1][0]} cannot be read ({error}); "
                "the store was changed by hand or damaged."
            ) from None
        last = heads[-1].seq
        fold.apply(db, events, sealing.refs_of(db, events, {}))
        count += len(events)


def _events(db: sqlite3.Connection, rows: Sequence[_Row], erased: Collection[str]) -> list[Event]:
    """Put the events together again with their parts, those that are erased left out."""
    links = bulk.select_in(
        db, "event_payloads", ("seq", "slot", "payload_id"), "seq", [row.seq for row in rows]
    )
    stored: Mapping[int, dict[int, int]] = {row.seq: {} for row in rows}
    for seq, slot, payload_id in links:
        stored[seq][slot] = payload_id
    wanted = {
        stored[row.seq][slot]
        for row in rows
        for slot, name in enumerate(row.head.parts)
        if (name == "text" or name in READ) and slot in stored[row.seq]
    }
    bodies: dict[int, bytes] = {
        payload_id: body.encode()
        for payload_id, body in bulk.select_in(db, "payloads", ("payload_id", "body"), "payload_id", wanted)
    }
    events = []
    for row in rows:
        head, there = row.head, stored[row.seq]
        if (
            erased
            and not there
            and erasures.refers(head)
            and erasures.leaf_name(row.raw_head, row.commitments) in erased
        ):
            head = erasures.emptied(head)
        payloads = {name: there.get(slot) for slot, name in enumerate(head.parts)}
        read = {name: bodies[at] for name, at in payloads.items() if at is not None and at in bodies}
        text = read.pop("text", None)
        events.append(
            Event(
                row.seq, row.writer_id, head, _NO_TEXT if text is None else decode_text(text), payloads, read
            )
        )
    return events
