"""From tapes to the store: one drainer at a time, every event exactly once.

How far each tape has been read is stored in the transaction that stores its events. A segment is deleted only
after the commit that took its last line, once nobody can write to it any more.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from filelock import FileLock, Timeout

from counterfoil.events import FORMAT, Head, Text, encode
from counterfoil.ids import now_ns
from counterfoil.store import bulk, deaths, fold, resumption, schema, seal, tapes
from counterfoil.store.errors import StoreError
from counterfoil.store.fold import Event
from counterfoil.store.tapes import Bad, Line, Segment

__all__ = ["Drained", "Drainer", "Made", "rebuild"]

#: Tape taken into one transaction. Fewer, larger ones starve less beside a busy interpreter.
BATCH_BYTES: Final = 2 << 20
#: No line is longer: what is, is garbage, and is set aside in pieces of this size.
LINE_BYTES: Final = 128 << 20
REBUILD_EVENTS: Final = 5_000

_NO_TEXT: Final = Text()
#: The parts that the fold reads; all other bodies are stored unread.
_READ: Final = frozenset({"items"})


class Drained(NamedTuple):
    """What a drain did: events stored, bytes of tape left, whether another was at it; what stood in the way."""

    events: int
    left_bytes: int
    busy: bool
    notices: tuple[str, ...] = ()


class Made(NamedTuple):
    """An event that ingest itself makes (what is decided later): sealed like any other, on no tape."""

    head: Head
    text: Text | None = None
    body: bytes | None = None
    part: str = "output"


class _Piece(NamedTuple):
    """A stretch of one tape, read and not yet stored."""

    tape_id: int
    writer_id: int
    offset: int
    end: int
    lines: list[Line]
    bad: list[Bad]


class _Tape(NamedTuple):
    """A segment that was read to its end, or as far as there was time."""

    segment: Segment
    writer_id: int
    released: bool  # its writer has let go of it
    offset: int
    drained: bool
    newest: bool


class Drainer:
    """Drains the tapes of the store at `path`. From one thread at a time; a forked child starts anew."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Final = os.path.realpath(os.fspath(path))
        self.folder: Final = tapes.folder_of(self.path)
        self._db: sqlite3.Connection | None = None
        self._key = b""
        self._thread_lock = threading.Lock()
        _drainers.add(self)

    def drain(self, *, wait: float = 0.0, deadline: float | None = None, price: bool = False) -> Drained:
        """Move what the tapes hold into the store.

        Waits at most `wait` seconds for another drainer, stops after `deadline` seconds with what is stored so
        far, and finds prices afterwards if `price`. Raises StoreError where the store cannot be written.
        """
        until = None if deadline is None else time.monotonic() + deadline
        if not self._thread_lock.acquire(timeout=wait or 0.0):
            return Drained(0, self.left_bytes(), busy=True)
        try:
            return self._locked(wait, until, price=price)
        finally:
            self._thread_lock.release()

    def _locked(self, wait: float, until: float | None, *, price: bool) -> Drained:
        if not os.path.isdir(os.path.dirname(self.path)):
            raise StoreError(f"{self.path}: the folder does not exist; make it, or name another file with --db.")
        if not os.path.isdir(self.folder):
            if not os.path.exists(self.path):
                raise StoreError(f"{self.path}: nothing has been recorded here.")
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
        try:
            lock = FileLock(os.path.join(self.folder, "drain.lock"), mode=0o600, thread_local=False)
            lock.acquire(timeout=wait, poll_interval=0.02)
        except Timeout:
            return Drained(0, self.left_bytes(), busy=True)
        except OSError as error:
            raise schema.explain(self.path, error) from None
        try:
            return self._pass(until, price=price)
        except sqlite3.OperationalError as error:
            self._abandon()
            if "locked" in str(error) or "busy" in str(error):
                return Drained(0, self.left_bytes(), busy=True)
            raise schema.explain(self.path, error) from None
        except sqlite3.DatabaseError as error:
            self._abandon()
            raise schema.explain(self.path, error) from None
        finally:
            lock.release()

    def close(self) -> None:
        """Let go of the database."""
        self._abandon()

    def __enter__(self) -> Drainer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _abandon(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()

    def _connect(self) -> sqlite3.Connection:
        if self._db is not None and not os.path.exists(self.path):
            self._abandon()  # deleted under us: begin a new one
        if self._db is None:
            self._db = schema.open_writer(self.path)
            self._key = bytes(self._db.execute("SELECT value FROM meta WHERE key = 'store_key'").fetchone()[0])
        return self._db

    def left_bytes(self) -> int:
        """Give how many bytes of tape are not in the store yet."""
        return left_bytes(self.folder, self._db)

    # -- one pass over the tapes

    def _pass(self, until: float | None, *, price: bool) -> Drained:
        db = self._connect()
        began = now_ns()
        notices: list[str] = []
        segments = tapes.listing(self.folder)
        newest = {segment.writer: segment.number for segment in segments}
        pending: list[_Piece] = []
        pending_bytes = events = 0
        seen: list[_Tape] = []
        complete = True
        for segment in segments:
            try:
                fd = os.open(segment.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0))
            except FileNotFoundError:
                continue
            except OSError as error:
                notices.append(f"{segment.path}: {error.strerror}; its events are not in the store.")
                continue
            try:
                # Had before reading: then nothing is written to it after.
                released = tapes.lock(fd)
                writer_id, tape_id, offset = self._place(db, segment)
                if offset == 0 and _is_newer(fd):
                    notices.append(f"{segment.path} was written by a newer Counterfoil; upgrade to see its events.")
                    continue
                drained = False
                while not drained:
                    if until is not None and time.monotonic() > until:
                        complete = False
                        break
                    piece, drained = _take(fd, tape_id, writer_id, offset, final=released)
                    if piece is not None:
                        pending.append(piece)
                        pending_bytes += piece.end - piece.offset
                        offset = piece.end
                    if pending_bytes >= BATCH_BYTES:
                        events += self._store(db, pending)
                        pending, pending_bytes = [], 0
                seen.append(
                    _Tape(segment, writer_id, released, offset, drained, segment.number == newest[segment.writer])
                )
            except OSError as error:
                notices.append(f"{segment.path}: {error.strerror}; its events are not in the store.")
            finally:
                os.close(fd)
        if pending:
            events += self._store(db, pending)
        self._finish(db, seen)
        if complete:
            self._make(db, resumption.links(db, before_ns=began))
        tapes.sweep(self.folder)
        if price and (until is None or time.monotonic() < until):
            self.price(db, until)
        return Drained(events, self.left_bytes(), busy=False, notices=tuple(notices))

    def price(self, db: sqlite3.Connection, until: float | None) -> None:
        """Find what model calls cost, as far as there is time."""

    def _place(self, db: sqlite3.Connection, segment: Segment) -> tuple[int, int, int]:
        row = db.execute(
            "SELECT writer_id, tape_id, offset FROM tapes JOIN writers USING (writer_id) WHERE writer = ? AND segment = ?",
            (segment.writer, segment.number),
        ).fetchone()
        if row is not None:
            return int(row[0]), int(row[1]), int(row[2])
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute("INSERT OR IGNORE INTO writers(writer) VALUES (?)", (segment.writer,))
            writer_id = db.execute("SELECT writer_id FROM writers WHERE writer = ?", (segment.writer,)).fetchone()[0]
            tape_id = db.execute(
                "INSERT INTO tapes(writer_id, segment) VALUES (?, ?) RETURNING tape_id", (writer_id, segment.number)
            ).fetchone()[0]
            db.execute("COMMIT")
        except BaseException:
            _rollback(db)
            raise
        return int(writer_id), int(tape_id), 0

    # -- storing

    def _store(self, db: sqlite3.Connection, pieces: Sequence[_Piece]) -> int:
        """Store `pieces` in one transaction; where a line breaks it, each on its own, and set that line aside."""
        try:
            return self._transaction(db, pieces)
        except (sqlite3.OperationalError, MemoryError):
            raise
        except Exception as error:
            lines = sum(len(piece.lines) for piece in pieces)
            if lines > 1:
                return sum(self._store(db, part) for part in _halves(pieces))
            return self._transaction(db, [_without_lines(piece, repr(error)) for piece in pieces])

    def _transaction(self, db: sqlite3.Connection, pieces: Sequence[_Piece]) -> int:
        db.execute("BEGIN IMMEDIATE")
        try:
            for piece in pieces:
                moved = db.execute(
                    "UPDATE tapes SET offset = ? WHERE tape_id = ? AND offset = ?",
                    (piece.end, piece.tape_id, piece.offset),
                ).rowcount
                if moved != 1:
                    raise sqlite3.OperationalError("database is locked: another drainer was quicker")
            sealed = _Sealing(db, self._key)
            for piece in pieces:
                for line in piece.lines:
                    sealed.add(line.raw_head, line.head, line.text, line.bodies, piece, line.offset)
            sealed.write()
            fold.apply(db, sealed.events, sealed.refs())
            now = now_ns()
            bad = [
                (piece.tape_id, one.offset, now, one.reason, one.raw) for piece in pieces for one in piece.bad
            ]
            bulk.insert(db, "quarantine", ("tape_id", "offset", "at_ns", "reason", "raw"), bad)
            db.execute("COMMIT")
        except BaseException:
            _rollback(db)
            raise
        return len(sealed.events)

    def _make(self, db: sqlite3.Connection, groups: Iterable[Sequence[Made]]) -> None:
        """Seal and fold events of our own, each group in one transaction. A group is asked for after the one before."""
        for made in groups:
            db.execute("BEGIN IMMEDIATE")
            try:
                sealed = _Sealing(db, self._key)
                for one in made:
                    bodies, names = [], []
                    if one.text is not None:
                        names.append("text")
                        bodies.append(encode(one.text))
                    if one.body is not None:
                        names.append(one.part)
                        bodies.append(one.body)
                    head = _with_parts(one.head, tuple(names))
                    sealed.add(encode(head), head, one.text or _NO_TEXT, bodies, None, None)
                sealed.write()
                fold.apply(db, sealed.events, {})
                db.execute("COMMIT")
            except BaseException:
                _rollback(db)
                raise

    # -- after the commit

    def _finish(self, db: sqlite3.Connection, seen: Sequence[_Tape]) -> None:
        """Find who is dead, then delete what is done."""
        by_writer: dict[str, list[_Tape]] = {}
        for tape in seen:
            by_writer.setdefault(tape.segment.writer, []).append(tape)
        known = deaths.Here(self.folder)
        done: list[_Tape] = []
        ended: list[int] = []
        now_there: dict[str, int] | None = None
        for writer, theirs in by_writer.items():
            all_drained = all(tape.drained for tape in theirs)
            last = theirs[-1]
            process = deaths.process(db, last.writer_id)
            over = False
            if last.newest and all_drained:
                if process is not None and process.exited:
                    over = True
                elif last.released and process is not None and known.can_tell(process):
                    if now_there is None:
                        now_there = {one.writer: one.number for one in tapes.listing(self.folder)}
                    # A writer that has gone on to a new segment let go of this one too.
                    over = now_there.get(writer) == last.segment.number
            if over:
                ended.append(last.writer_id)
            done += [
                tape
                for tape in theirs
                if tape.drained and (over if tape.newest else tape.released or deaths.is_old(tape.segment.path))
            ]
        self._make(db, deaths.events(db, ended))
        for tape in done:
            with suppress(OSError):
                if os.stat(tape.segment.path).st_size == tape.offset:
                    os.unlink(tape.segment.path)


class _Sealing:
    """One transaction's events on their way into `events` and `payloads`."""

    def __init__(self, db: sqlite3.Connection, store_key: bytes) -> None:
        self._db = db
        self._store_key = store_key
        tip = db.execute("SELECT seq, chain FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        self._seq, self._chain = (int(tip[0]), bytes(tip[1])) if tip is not None else (0, seal.GENESIS)
        self._lines: list[tuple[bytes, Head, Text, list[bytes], _Piece | None, int | None]] = []
        self._new_refs: dict[tuple[int, int], int] = {}
        self.events: list[Event] = []

    def add(
        self, raw: bytes, head: Head, text: Text, bodies: list[bytes], piece: _Piece | None, offset: int | None
    ) -> None:
        self._lines.append((raw, head, text, bodies, piece, offset))

    def write(self) -> None:
        db, key = self._db, self._store_key
        content_digest, commitment, content_key = seal.content_digest, seal.commitment, seal.content_key
        salts = os.urandom(seal.SALT * sum(len(line[3]) for line in self._lines))
        at = 0
        rows: list[tuple[Any, ...]] = []
        keyed: dict[bytes, bytes] = {}
        keys: list[list[bytes]] = []
        slots: list[tuple[int, int, bytes, bytes]] = []
        seq, chain = self._seq, self._chain
        for raw, _, _, bodies, piece, offset in self._lines:
            seq += 1
            commitments = b""
            line_keys = []
            for slot, body in enumerate(bodies):
                digest = content_digest(body)
                salt = salts[at : at + seal.SALT]
                at += seal.SALT
                commitments += commitment(salt, digest)
                payload_key = content_key(key, digest)
                keyed[payload_key] = body
                line_keys.append(payload_key)
                slots.append((seq, slot, payload_key, salt))
            keys.append(line_keys)
            chain = seal.chained(chain, seq, seal.leaf(raw, commitments))
            rows.append(
                (seq, piece.tape_id if piece else None, offset, raw.decode(), commitments or None, chain)
            )
        ids = self._payload_ids(keyed)
        bulk.insert(db, "events", ("seq", "tape_id", "offset", "head", "commitments", "chain"), rows)
        bulk.insert(
            db,
            "event_payloads",
            ("seq", "slot", "payload_id", "salt"),
            [(seq, slot, ids[payload_key], salt) for seq, slot, payload_key, salt in slots],
        )
        seq = self._seq
        for (_, head, text, bodies, piece, _), line_keys in zip(self._lines, keys, strict=True):
            seq += 1
            payloads: dict[str, int | None] = {}
            read: dict[str, bytes] = {}
            writer_id = piece.writer_id if piece else None
            for name, body, payload_key in zip(head.parts, bodies, line_keys, strict=True):
                payloads[name] = payload_id = ids[payload_key]
                if name in _READ:
                    read[name] = body
                elif writer_id is not None and name[0:1] == "m" and name[1:].isdecimal():
                    self._new_refs[writer_id, int(name[1:])] = payload_id
            self.events.append(Event(seq, writer_id, head, text, payloads, read))
        bulk.insert(
            db,
            "refs",
            ("writer_id", "n", "payload_id"),
            [(writer, n, payload) for (writer, n), payload in self._new_refs.items()],
            verb="INSERT OR REPLACE",
        )

    def _payload_ids(self, keyed: dict[bytes, bytes]) -> dict[bytes, int]:
        db = self._db
        ids: dict[bytes, int] = {
            bytes(key): int(payload_id)
            for key, payload_id in bulk.select_in(db, "SELECT key, payload_id FROM payloads WHERE key", keyed)
        }
        row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'payloads'").fetchone()
        next_id = (int(row[0]) if row is not None else 0) + 1
        fresh: list[tuple[int, bytes, str]] = []
        for key, body in keyed.items():
            if key not in ids:
                ids[key] = next_id
                fresh.append((next_id, key, body.decode()))
                next_id += 1
        bulk.insert(db, "payloads", ("payload_id", "key", "body"), fresh)
        return ids

    def refs(self) -> dict[tuple[int, int], int]:
        """Give the payload of every number that this batch's events refer to."""
        return refs_of(self._db, self.events, self._new_refs)


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
        select = f"SELECT n, payload_id FROM refs WHERE writer_id = {writer_id} AND n"
        for n, payload_id in bulk.select_in(db, select, numbers):
            found[writer_id, int(n)] = int(payload_id)
    return found


def rebuild(path: str | os.PathLike[str]) -> int:
    """Empty the built tables and fill them again from the events; give how many there are.

    The result is what draining built. Raises StoreError where the store cannot be written.
    """
    drainer = Drainer(path)
    folder = drainer.folder
    if not os.path.exists(drainer.path):
        raise StoreError(f"{drainer.path}: nothing has been recorded here.")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    try:
        lock = FileLock(os.path.join(folder, "drain.lock"), mode=0o600, thread_local=False)
        with lock.acquire(timeout=schema.BUSY_SECONDS):
            db = schema.open_writer(drainer.path)
            try:
                return _rebuild(db)
            finally:
                db.close()
    except Timeout:
        raise StoreError(f"{drainer.path}: another process is draining; try again.") from None
    except (OSError, sqlite3.Error) as error:
        raise schema.explain(drainer.path, error) from None


def _rebuild(db: sqlite3.Connection) -> int:
    from counterfoil.events import decode_head, decode_text  # noqa: PLC0415  # here alone

    count = 0
    db.execute("BEGIN IMMEDIATE")
    try:
        for table in schema.BUILT:
            db.execute(f"DELETE FROM {table}")
        writer_of = dict(db.execute("SELECT tape_id, writer_id FROM tapes"))
        last = 0
        while True:
            rows = db.execute(
                "SELECT seq, tape_id, CAST(head AS BLOB) FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
                (last, REBUILD_EVENTS),
            ).fetchall()
            if not rows:
                break
            first, last = rows[0][0], rows[-1][0]
            stored: dict[tuple[int, int], int] = {
                (seq, slot): payload_id
                for seq, slot, payload_id in db.execute(
                    "SELECT seq, slot, payload_id FROM event_payloads WHERE seq BETWEEN ? AND ?", (first, last)
                )
            }
            heads = [(seq, tape_id, decode_head(head)) for seq, tape_id, head in rows]
            wanted = {
                stored[seq, slot]
                for seq, _, head in heads
                for slot, name in enumerate(head.parts)
                if (name == "text" or name in _READ) and (seq, slot) in stored
            }
            bodies = {
                payload_id: bytes(body)
                for payload_id, body in bulk.select_in(
                    db, "SELECT payload_id, CAST(body AS BLOB) FROM payloads WHERE payload_id", wanted
                )
            }
            events = []
            for seq, tape_id, head in heads:
                payloads = {name: stored.get((seq, slot)) for slot, name in enumerate(head.parts)}
                there = {
                    name: bodies[payload_id]
                    for name, payload_id in payloads.items()
                    if payload_id is not None and payload_id in bodies
                }
                text = decode_text(there["text"]) if "text" in there else _NO_TEXT
                events.append(Event(seq, writer_of.get(tape_id), head, text, payloads, there))
            fold.apply(db, events, refs_of(db, events, {}))
            count += len(events)
        db.execute("COMMIT")
    except BaseException:
        _rollback(db)
        raise
    return count


def left_bytes(folder: str, db: sqlite3.Connection | None) -> int:
    """Give how many bytes of tape in `folder` the store that `db` reads does not hold yet."""
    known: dict[tuple[str, int], int] = {}
    if db is not None:
        with suppress(sqlite3.Error):
            known = {
                (writer, segment): offset
                for writer, segment, offset in db.execute(
                    "SELECT writer, segment, offset FROM tapes JOIN writers USING (writer_id)"
                )
            }
    left = 0
    with suppress(OSError):
        for segment in tapes.listing(folder):
            with suppress(OSError):
                left += max(0, os.stat(segment.path).st_size - known.get((segment.writer, segment.number), 0))
    return left


def _rollback(db: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        if db.in_transaction:
            db.execute("ROLLBACK")


def _with_parts(head: Head, parts: tuple[str, ...]) -> Head:
    import msgspec  # noqa: PLC0415

    return msgspec.structs.replace(head, parts=parts)


def _is_newer(fd: int) -> bool:
    first = os.pread(fd, 4096, 0).split(b"\n", 1)[0].split(b"\t", 1)[0]
    if b'"format"' not in first:
        return False
    import msgspec  # noqa: PLC0415

    try:
        opening = msgspec.json.decode(first)
        return isinstance(opening, dict) and int(opening.get("format", 0)) > FORMAT
    except (ValueError, TypeError):
        return False


def _take(fd: int, tape_id: int, writer_id: int, offset: int, *, final: bool) -> tuple[_Piece | None, bool]:
    """Read on from `offset` up to a batch of whole lines; tell whether that was all there is.

    With `final` nobody writes here any more: what stands after the last newline is torn, and set aside.
    """
    size = BATCH_BYTES
    while True:
        data = _read_at(fd, size, offset)
        cut = data.rfind(b"\n") + 1
        if cut or len(data) < size or size >= LINE_BYTES:
            break
        size *= 4
    at_end = len(data) < size
    bad: list[Bad] = []
    lines: list[Line] = []
    end = offset + cut
    for one in tapes.parse(data[:cut], offset):
        if isinstance(one, Line):
            lines.append(one)
        else:
            bad.append(one)
    if len(data) > cut and ((at_end and final) or (not cut and not at_end)):
        reason = "the last line is torn" if at_end else "no line is that long"
        bad.append(Bad(end, data[cut:], reason))
        end = offset + len(data)
    if end == offset:
        return None, True
    return _Piece(tape_id, writer_id, offset, end, lines, bad), at_end


def _read_at(fd: int, size: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(fd, size, offset)
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, size)


def _halves(pieces: Sequence[_Piece]) -> list[list[_Piece]]:
    if len(pieces) > 1:
        middle = len(pieces) // 2
        return [list(pieces[:middle]), list(pieces[middle:])]
    piece = pieces[0]
    middle = len(piece.lines) // 2
    border = piece.lines[middle].offset
    return [
        [
            piece._replace(
                end=border, lines=piece.lines[:middle], bad=[bad for bad in piece.bad if bad.offset < border]
            )
        ],
        [
            piece._replace(
                offset=border, lines=piece.lines[middle:], bad=[bad for bad in piece.bad if bad.offset >= border]
            )
        ],
    ]


def _without_lines(piece: _Piece, reason: str) -> _Piece:
    raw = [
        Bad(line.offset, b"\t".join([line.raw_head, *line.bodies]), f"it broke the store: {reason}")
        for line in piece.lines
    ]
    return piece._replace(lines=[], bad=piece.bad + raw)


_drainers: weakref.WeakSet[Drainer] = weakref.WeakSet()
_inherited: list[Any] = []


def _in_child() -> None:
    for drainer in list(_drainers):
        # Never used, never closed: closing would meddle with the parent's file.
        _inherited.append(drainer._db)  # noqa: SLF001  # the same module's
        drainer._db = None  # noqa: SLF001
        drainer._thread_lock = threading.Lock()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
