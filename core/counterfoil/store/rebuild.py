"""The built tables, made anew from the events."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from counterfoil.events import Head, Text, decode_head, decode_text
from counterfoil.store import bulk, fold, schema, sealing
from counterfoil.store.errors import StoreError
from counterfoil.store.exclusive import alone, transaction
from counterfoil.store.fold import READ, Event

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

__all__ = ["Changed", "Rebuilt", "rebuild"]

#: Folded at a time.
EVENTS: Final = 5_000

_NO_TEXT: Final = Text()


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
    count = last = 0
    for table in schema.BUILT:
        db.execute(f"DELETE FROM main.{table}")
    writers: dict[int | None, int] = dict(db.execute("SELECT tape_id, writer_id FROM tapes").fetchall())
    while True:
        rows = db.execute(
            "SELECT seq, tape_id, CAST(head AS BLOB) FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
            (last, EVENTS),
        ).fetchall()
        if not rows:
            return count
        try:
            heads = [(int(seq), writers.get(tape_id), decode_head(head)) for seq, tape_id, head in rows]
            events = _events(db, heads)
        except msgspec.DecodeError as error:
            raise StoreError(
                f"{path}: an event from {rows[0][0]} to {rows[-1][0]} cannot be read ({error}); "
                "the store was changed by hand or damaged."
            ) from None
        last = heads[-1][0]
        fold.apply(db, events, sealing.refs_of(db, events, {}))
        count += len(events)


def _events(db: sqlite3.Connection, heads: Sequence[tuple[int, int | None, Head]]) -> list[Event]:
    """Put the events together again with their parts, those that are erased left out."""
    links = db.execute(
        "SELECT seq, slot, payload_id FROM event_payloads WHERE seq BETWEEN ? AND ?",
        (heads[0][0], heads[-1][0]),
    )
    stored: Mapping[tuple[int, int], int] = {(seq, slot): payload_id for seq, slot, payload_id in links}
    wanted = {
        stored[seq, slot]
        for seq, _, head in heads
        for slot, name in enumerate(head.parts)
        if (name == "text" or name in READ) and (seq, slot) in stored
    }
    bodies: dict[int, bytes] = {
        payload_id: body.encode()
        for payload_id, body in bulk.select_in(db, "payloads", ("payload_id", "body"), "payload_id", wanted)
    }
    events = []
    for seq, writer_id, head in heads:
        payloads = {name: stored.get((seq, slot)) for slot, name in enumerate(head.parts)}
        read = {name: bodies[at] for name, at in payloads.items() if at is not None and at in bodies}
        text = read.pop("text", None)
        events.append(
            Event(seq, writer_id, head, _NO_TEXT if text is None else decode_text(text), payloads, read)
        )
    return events
