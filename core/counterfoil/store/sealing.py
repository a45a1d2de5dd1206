"""Putting events into the store: each sealed into the chain, its parts stored once by content."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import msgspec

from counterfoil.events import Text, encode
from counterfoil.store import bulk, seal
from counterfoil.store.fold import READ, Event
from counterfoil.store.made import Made
from counterfoil.store.tapes import Line

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

__all__ = ["Made", "Sealing", "refs_of", "store_bodies"]

_NO_TEXT: Final = Text()
_NOTHING: Final[dict[str, bytes]] = {}


class Sealing:
    """One transaction's events on their way into `events` and `payloads`. Made, and written, inside of it."""

    def __init__(self, db: sqlite3.Connection, store_key: bytes) -> None:
        self._db = db
        self._content_key = seal.ContentKey(store_key)
        tip = db.execute("SELECT seq, chain FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        self._seq, self._chain = (int(tip[0]), bytes(tip[1])) if tip is not None else (0, seal.GENESIS)
        self._lines: list[tuple[Line, int | None, int | None]] = []
        self._new_refs: dict[tuple[int, int], int] = {}
        self.events: list[Event] = []

    def add(self, line: Line, tape_id: int | None, writer_id: int | None) -> None:
        """Take a line of a tape along."""
        self._lines.append((line, tape_id, writer_id))

    def add_made(self, made: Made) -> None:
        """Take an event of our own along."""
        names: list[str] = []
        bodies: list[bytes] = []
        if made.text is not None:
            names.append("text")
            bodies.append(encode(made.text))
        if made.body is not None:
            names.append(made.part)
            bodies.append(made.body)
        head = msgspec.structs.replace(made.head, parts=tuple(names))
        self.add(Line(0, encode(head), head, made.text or _NO_TEXT, bodies), None, None)

    def write(self) -> None:
        """Seal and store what was taken along; `events` is then what there is to fold."""
        content_key = self._content_key.of
        salts = _salts(sum(len(line.bodies) for line, _, _ in self._lines))
        next_salts = iter(salts)
        digests: dict[bytes, tuple[bytes, bytes]] = {}
        keys: list[bytes] = []
        rows: list[tuple[Any, ...]] = []
        seq, chain = self._seq, self._chain
        for line, tape_id, _ in self._lines:
            seq += 1
            commitments = b""
            # The salts go on with the next line: the shorter of the two stops it, and is asked first.
            for body, salt in zip(line.bodies, next_salts, strict=False):
                known = digests.get(body)
                if known is None:
                    digest = seal.content_digest(body)
                    known = digests[body] = digest, content_key(digest)
                commitments += seal.commitment(salt, known[0])
                keys.append(known[1])
            chain = seal.chained(chain, seq, seal.leaf(line.raw_head, commitments))
            offset = None if tape_id is None else line.offset
            rows.append((seq, tape_id, offset, line.raw_head.decode(), commitments or None, chain))
        ids = store_bodies(self._db, {key: body for body, (_, key) in digests.items()})
        bulk.insert(self._db, "events", ("seq", "tape_id", "offset", "head", "commitments", "chain"), rows)
        self._link(zip([ids[key] for key in keys], salts, strict=True))

    def _link(self, stored: Iterator[tuple[int, bytes]]) -> None:
        """Tie events to their parts, make them for the fold, and note the numbers that writers gave to messages."""
        links: list[tuple[int, int, int, bytes]] = []
        refs = self._new_refs
        seq = self._seq
        for line, _, writer_id in self._lines:
            seq += 1
            payloads: dict[str, int | None] = {}
            read = _NOTHING
            for slot, (name, (payload_id, salt)) in enumerate(zip(line.head.parts, stored, strict=False)):
                payloads[name] = payload_id
                links.append((seq, slot, payload_id, salt))
                if name[0:1] == "m":
                    if writer_id is not None and name[1:].isdecimal():
                        refs[writer_id, int(name[1:])] = payload_id
                elif name in READ:
                    read = {**read, name: line.bodies[slot]}
            self.events.append(Event(seq, writer_id, line.head, line.text, payloads, read))
        bulk.insert(self._db, "event_payloads", ("seq", "slot", "payload_id", "salt"), links)
        rows = [(writer_id, n, payload_id) for (writer_id, n), payload_id in refs.items()]
        bulk.insert(self._db, "refs", ("writer_id", "n", "payload_id"), rows, verb="INSERT OR REPLACE")

    def refs(self) -> dict[tuple[int, int], int]:
        """Give the payload of every number that these events refer to."""
        return refs_of(self._db, self.events, self._new_refs)


def _salts(count: int) -> list[bytes]:
    drawn = os.urandom(seal.SALT * count)
    return [drawn[at : at + seal.SALT] for at in range(0, len(drawn), seal.SALT)]


def store_bodies(db: sqlite3.Connection, bodies: dict[bytes, bytes]) -> dict[bytes, int]:
    """Store `bodies`, by their content keys, unless they are there; give the payload of each key."""
    known = bulk.select_in(db, "payloads", ("hex(key)", "payload_id"), "key", bodies)
    ids: dict[bytes, int] = {bytes.fromhex(key): payload_id for key, payload_id in known}
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'payloads'").fetchone()
    next_id = (int(row[0]) if row is not None else 0) + 1
    fresh: list[tuple[int, bytes, str]] = []
    for key, body in bodies.items():
        if key not in ids:
            ids[key] = next_id
            fresh.append((next_id, key, body.decode()))
            next_id += 1
    bulk.insert(db, "payloads", ("payload_id", "key", "body"), fresh)
    return ids


def refs_of(
    db: sqlite3.Connection, events: Iterable[Event], known: dict[tuple[int, int], int]
) -> dict[tuple[int, int], int]:
    """Give the payload of every (writer, number) that `events` refer to; `known` need not be looked up."""
    wanted: dict[int, set[int]] = {}
    for event in events:
        head = event.head
        if event.writer_id is not None and (head.refs or head.offers):
            for n in (*head.refs, *head.offers):
                if (event.writer_id, n) not in known:
                    wanted.setdefault(event.writer_id, set()).add(n)
    found = dict(known)
    for writer_id, numbers in wanted.items():
        own = f"(SELECT n, payload_id FROM refs WHERE writer_id = {writer_id})"
        for n, payload_id in bulk.select_in(db, own, ("n", "payload_id"), "n", numbers):
            found[writer_id, n] = payload_id
    return found
