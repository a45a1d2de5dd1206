"""From tapes to the store: one drainer at a time, every event exactly once.

How far each tape has been read is stored in the transaction that stores its events. A segment is deleted only
after the commit that took its last line, once nobody can write to it any more.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import msgspec
from filelock import FileLock, Timeout

from counterfoil import disk
from counterfoil.events import FORMAT
from counterfoil.forklock import importing
from counterfoil.guard import report
from counterfoil.ids import now_ns
from counterfoil.store import bulk, deaths, fold, forks, pricing, resumption, schema, tapes
from counterfoil.store.errors import StoreError
from counterfoil.store.forks import Holder
from counterfoil.store.rebuild import rebuild
from counterfoil.store.sealing import Sealing
from counterfoil.store.tapes import Bad, Line, Segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from counterfoil.store.made import Made

__all__ = ["Drained", "Drainer", "drain_all", "rebuild"]

#: Tape taken into one transaction. Fewer, larger ones starve less beside a busy interpreter.
BATCH_BYTES: Final = 2 << 20
#: No line is longer: what is, is garbage, and is set aside in pieces of this size.
LINE_BYTES: Final = 128 << 20
#: After a large backlog the rest of the prices is left to the next reader.
PRICE_SECONDS: Final = 10.0
#: To sign takes this long, where OpenSSL is to be imported first: not begun with less time left.
SIGN_SECONDS: Final = 0.3


class Drained(NamedTuple):
    """What a drain did: events stored, bytes of tape left, whether another was at it; what stood in the way."""

    events: int
    left_bytes: int
    busy: bool
    notices: tuple[str, ...] = ()


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


class Drainer(Holder):
    """Drains the tapes of the store at `path`. A context manager; threads and forked children may share it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(os.path.realpath(os.fspath(path)))
        self.folder: Final = tapes.folder_of(self.path)
        self._key = b""
        self._draining = threading.Lock()

    def drain(
        self, *, wait: float = 0.0, deadline: float | None = None, price: bool = False, sign: bool = True
    ) -> Drained:
        """Move what the tapes hold into the store.

        Waits at most `wait` seconds for another drainer, stops at `deadline` (of time.monotonic) with what is
        stored by then, finds prices afterwards if `price`, and signs, where this is wanted of the store, unless `sign` is
        False. Raises StoreError where the store cannot be written.
        """
        wait = max(0.0, wait)
        if forks.is_tainted(self.path) or not self._draining.acquire(timeout=wait):
            return self._busy()
        try:
            return self._alone(wait, deadline, price=price, sign=sign)
        finally:
            self._draining.release()

    def _alone(self, wait: float, until: float | None, *, price: bool, sign: bool) -> Drained:
        """Drain with the lock that keeps other processes' drainers out."""
        if not os.path.isdir(os.path.dirname(self.path)):
            raise StoreError(
                f"{self.path}: the folder does not exist; make it, or name another file with --db."
            )
        if os.path.exists(self.path) and not os.path.isfile(self.path):
            raise StoreError(f"{self.path} is not a file; name another with --db.")
        if not os.path.isdir(self.folder) and not os.path.exists(self.path):
            raise StoreError(f"{self.path}: nothing has been recorded here; name another file with --db.")
        try:
            tapes.make_folder(self.folder)
            alone = FileLock(os.path.join(self.folder, "drain.lock"), mode=0o600, thread_local=False)
            alone.acquire(timeout=wait, poll_interval=0.02)
        except Timeout:
            return self._busy()
        except OSError as error:
            raise schema.explain(self.path, error) from None
        try:
            with self.lock:
                return self._guarded_pass(until, price=price, sign=sign)
        finally:
            alone.release()

    def _guarded_pass(self, until: float | None, *, price: bool, sign: bool) -> Drained:
        try:
            return self._pass(until, price=price, sign=sign)
        except sqlite3.OperationalError as error:
            self.let_go()
            if "locked" in str(error) or "busy" in str(error):
                return self._busy()
            raise schema.explain(self.path, error) from None
        except sqlite3.DatabaseError as error:
            self.let_go()
            raise schema.explain(self.path, error) from None

    def _busy(self) -> Drained:
        return Drained(0, tapes.left_bytes(self.folder, None), busy=True)

    def close(self) -> None:
        """Let go of the database."""
        with self.lock:
            self.let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def after_fork(self) -> None:
        """In a forked child: no thread of the parent drains here."""
        self._draining = threading.Lock()

    def _connect(self, until: float | None) -> sqlite3.Connection:
        patience = schema.BUSY_SECONDS
        if until is not None:
            patience = max(0.0, min(patience, until - time.monotonic()))
        if self.db is not None and not os.path.exists(self.path):
            self.let_go()  # deleted under us: begin a new one
        if self.db is None:
            self.db = schema.open_writer(self.path, timeout=patience)
            self._key = bytes(self.db.execute("SELECT value FROM meta WHERE key = 'store_key'").fetchone()[0])
        self.db.execute(f"PRAGMA busy_timeout={int(patience * 1000)}")
        return self.db

    # -- one pass over the tapes

    def _pass(self, until: float | None, *, price: bool, sign: bool) -> Drained:
        db = self._connect(until)
        began = now_ns()
        notices: list[str] = []
        segments = tapes.listing(self.folder)
        newest = {segment.writer: segment.number for segment in segments}
        pending: list[_Piece] = []
        pending_bytes = events = 0
        seen: list[_Tape] = []
        complete = True
        held: set[str] = set()
        for segment in segments:
            if segment.writer in held:  # what is written before must be read before: it may be referred to
                continue
            held.add(segment.writer)
            try:
                fd = tapes.open_to_read(segment.path)
            except FileNotFoundError:
                held.discard(segment.writer)
                continue
            except OSError as error:
                notices.append(f"{segment.path}: {error.strerror}; its events are not in the store.")
                continue
            try:
                # Had before reading: then nothing is written to it after.
                released = tapes.lock(fd)
                writer_id, tape_id, offset = self._place(db, segment)
                if offset == 0 and _is_newer(fd):
                    notices.append(
                        f"{segment.path} was written by a newer Counterfoil; upgrade to see its events."
                    )
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
                        self.pause()
                        db = self._connect(until)
                if drained and (released or deaths.is_old(segment.path)):
                    held.discard(segment.writer)
                seen.append(
                    _Tape(
                        segment,
                        writer_id,
                        released,
                        offset,
                        drained,
                        segment.number == newest[segment.writer],
                    )
                )
            except OSError as error:
                notices.append(f"{segment.path}: {error.strerror}; its events are not in the store.")
            finally:
                tapes.close(fd)
        if pending:
            events += self._store(db, pending)
        self._finish(db, seen)
        if complete:
            self._make(db, resumption.links(db, before_ns=began))
        tapes.sweep(self.folder)
        if price:
            self._make(
                db, pricing.price_unpriced(db, time.monotonic() + PRICE_SECONDS if until is None else until)
            )
        left = tapes.left_bytes(self.folder, db)  # before a trouble with signing is one more event
        if sign and (until is None or until - time.monotonic() > SIGN_SECONDS):
            self._sign(db, ends=price)
        return Drained(events, left, busy=False, notices=tuple(notices))

    def _sign(self, db: sqlite3.Connection, *, ends: bool) -> None:
        if db.execute("SELECT 1 FROM meta WHERE key = 'audit_key'").fetchone() is None:
            return
        with importing:
            from counterfoil.store import signing  # noqa: PLC0415  # most stores are not signed

        signing.after_drain(db, ends=ends)

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
            writer_id = db.execute(
                "SELECT writer_id FROM writers WHERE writer = ?", (segment.writer,)
            ).fetchone()[0]
            tape_id = db.execute(
                "INSERT INTO tapes(writer_id, segment) VALUES (?, ?) RETURNING tape_id",
                (writer_id, segment.number),
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
        except Exception as error:
            if (
                isinstance(error, (sqlite3.OperationalError, MemoryError))
                or type(error) is sqlite3.DatabaseError
            ):
                raise  # the store's trouble, not the line's
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
            sealed = Sealing(db, self._key)
            now = now_ns()
            bad: list[tuple[int, int, int, str, bytes]] = []
            for piece in pieces:
                known = _known(db, "events", piece) | _known(db, "pruned", piece)
                for line in piece.lines:
                    if line.offset not in known:
                        sealed.add(line, piece.tape_id, piece.writer_id)
                if piece.bad:
                    known = _known(db, "quarantine", piece)
                    bad += [
                        (piece.tape_id, one.offset, now, one.reason, one.raw)
                        for one in piece.bad
                        if one.offset not in known
                    ]
            sealed.write()
            fold.apply(db, sealed.events, sealed.refs())
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
                sealed = Sealing(db, self._key)
                for one in made:
                    sealed.add_made(one)
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
                if tape.drained
                and (over if tape.newest else tape.released or deaths.is_old(tape.segment.path))
            ]
        self._make(db, deaths.events(db, ended))
        if not done:
            return
        try:
            # What is committed may still be in the system's memory: on the disk first, then the tape may go. A
            # checkpoint would not do: beside a reader it does nothing.
            with suppress(FileNotFoundError):  # where SQLite cannot have one, each commit is a sync
                disk.sync_file(self.path + "-wal")
            disk.sync_folder(os.path.dirname(self.path))
        except OSError as error:
            report("counterfoil.store.ingest", error)
            return
        for tape in done:
            with suppress(OSError):
                # Shorter than it was: a loss of power took from the tape what the store had kept.
                if os.stat(tape.segment.path).st_size <= tape.offset:
                    os.unlink(tape.segment.path)


def drain_all(path: str) -> list[str]:
    """Bring in all that the tapes of the store at `path` hold, priced; give the notices.

    Raises StoreError where nothing was recorded, or another process is at it.
    """
    if not os.path.exists(path) and not os.path.isdir(tapes.folder_of(path)):
        raise StoreError(f"{path}: nothing has been recorded here; name another file with --db.")
    with Drainer(path) as drainer:
        drained = drainer.drain(wait=schema.BUSY_SECONDS, price=True)
    if drained.busy:
        raise StoreError(f"{path}: another process is draining; try again.")
    return list(drained.notices)


def _known(db: sqlite3.Connection, table: str, piece: _Piece) -> set[int]:
    """Give the offsets in `piece` whose lines came already, copied from another store; or came, and were dropped."""
    rows = db.execute(
        f"SELECT offset FROM {table} WHERE tape_id = ? AND offset >= ? AND offset < ?",
        (piece.tape_id, piece.offset, piece.end),
    )
    return {offset for (offset,) in rows}


def _rollback(db: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        if db.in_transaction:
            db.execute("ROLLBACK")


def _is_newer(fd: int) -> bool:
    first = os.pread(fd, 4096, 0).split(b"\n", 1)[0].split(b"\t", 1)[0]
    if b'"format"' not in first:
        return False
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
                offset=border,
                lines=piece.lines[middle:],
                bad=[bad for bad in piece.bad if bad.offset >= border],
            )
        ],
    ]


def _without_lines(piece: _Piece, reason: str) -> _Piece:
    raw = [
        Bad(line.offset, b"\t".join([line.raw_head, *line.bodies]), f"it broke the store: {reason}")
        for line in piece.lines
    ]
    return piece._replace(lines=[], bad=piece.bad + raw)
