"""The built tables, made anew from the events."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from counterfoil.events import Head, Text, decode_head, decode_text
from counterfoil.store import bulk, fold, schema, sealing, tapes
from counterfoil.store.errors import StoreError
from counterfoil.store.fold import READ, Event
from counterfoil.store.forks import Holder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["rebuild"]

#: Folded at a time.
EVENTS: Final = 5_000

_NO_TEXT: Final = Text()


def rebuild(path: str | os.PathLike[str]) -> int:
    """Empty the built tables and fill them again from the events; give how many events there are.

    The result is what draining built. Raises StoreError where the store cannot be written.
    """
    path = os.path.realpath(os.fspath(path))
    folder = tapes.folder_of(path)
    if not os.path.exists(path):
        raise StoreError(f"{path}: nothing has been recorded here; name another file with --db.")
    try:
        tapes.make_folder(folder)
        lock = FileLock(os.path.join(folder, "drain.lock"), mode=0o600, thread_local=False)
        with lock.acquire(timeout=schema.BUSY_SECONDS):
            holder = Holder(path)
            with holder.lock:
                holder.db = schema.open_writer(path)
                try:
                    return _rebuild(holder.db)
                finally:
                    holder.let_go()
    except Timeout:
        raise StoreError(f"{path}: another process is draining; try again.") from None
    except (OSError, sqlite3.Error) as error:
        raise schema.explain(path, error) from None


def _rebuild(db: sqlite3.Connection) -> int:
    count = last = 0
    db.execute("BEGIN IMMEDIATE")
    try:
        for table in schema.BUILT:
            db.execute(f"DELETE FROM {table}")
        writers: dict[int | None, int] = dict(db.execute("SELECT tape_id, writer_id FROM tapes").fetchall())
        while True:
            rows = db.execute(
                "SELECT seq, tape_id, CAST(head AS BLOB) FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
                (last, EVENTS),
            ).fetchall()
            if not rows:
                break
            heads = [(int(seq), writers.get(tape_id), decode_head(head)) for seq, tape_id, head in rows]
            last = heads[-1][0]
            events = _events(db, heads)
            fold.apply(db, events, sealing.refs_of(db, events, {}))
            count += len(events)
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise
    return count


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
