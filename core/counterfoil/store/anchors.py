"""Anchors: where checkpoints are kept that whoever can write the store cannot change.

A file named by `$COUNTERFOIL_ANCHOR`, and whatever plugins bring (`register_anchors`). Which note came last is kept for
each, so that one that could not be reached gets what it missed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from counterfoil import disk, plugins
from counterfoil.anchor import Anchor
from counterfoil.guard import report
from counterfoil.store import checkpoints
from counterfoil.store.errors import StoreError
from counterfoil.store.exclusive import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from counterfoil.store.checkpoints import Note

__all__ = ["append", "catch_up", "read", "send"]

_LAST: Final = "anchored:"


def send(db: sqlite3.Connection) -> None:
    """Give every anchor the notes that it has not had. One that fails is reported, and asked again with the next note."""
    (newest,) = db.execute("SELECT coalesce(max(checkpoint_id), 0) FROM checkpoints").fetchone()
    for anchor in _all():
        key = _LAST + anchor.name
        row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        # Nobody has had what is to come, whatever the store was made to say.
        sent = int(row[0]) if row is not None and int(row[0]) <= newest else 0
        try:
            _keep(db)
            for checkpoint_id, note in checkpoints.notes(db, sent):
                anchor.append(note)
                sent = checkpoint_id
        except Exception as error:
            report(f"anchor {anchor.name}", error)
        if row is None or sent != row[0]:
            with transaction(db):
                db.execute("INSERT OR REPLACE INTO meta(key, value) VALUES (?, ?)", (key, sent))


def _keep(db: sqlite3.Connection) -> None:
    """Have on the disk what is told elsewhere: after a loss of power the tapes would be sealed again, with other salts."""
    (path,) = db.execute("SELECT file FROM pragma_database_list WHERE name = 'main'").fetchone()
    with suppress(FileNotFoundError):  # where SQLite cannot have one, each commit is a sync
        disk.sync_file(f"{path}-wal")


def _all() -> Iterable[Anchor]:
    path = os.environ.get("COUNTERFOIL_ANCHOR")
    if path:
        path = os.path.realpath(path)
        yield Anchor(f"file {path}", lambda note: append(path, [note]))
    yield from plugins.collect_anchors()


def catch_up(db: sqlite3.Connection, path: str) -> int:
    """Append the notes that the file `path` does not hold yet; give how many. Raises StoreError with one sentence."""
    held = {note.note for note in read(path)[0]} if os.path.exists(path) else set()
    missing = [note for _, note in checkpoints.notes(db) if note not in held]
    try:
        _keep(db)
        append(path, missing)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}.") from None
    return len(missing)


def append(path: str, some: list[str]) -> None:
    """Append notes to a file, each with an empty line after it: in one write, and on the disk on return."""
    if not some:
        return
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        data = "".join(f"{note}\n" for note in some).encode()
        if os.write(fd, data) != len(data):
            raise OSError(28, "No space left on device")
        os.fsync(fd)
    finally:
        os.close(fd)


def read(path: str) -> tuple[list[Note], bool]:
    """Give the checkpoints in the file `path`, of whatever stores, in their order, and whether there is anything else.

    Raises StoreError with one sentence, also for a file that holds something else alone.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    found, rest = checkpoints.parse_all(text)
    if rest and not found:
        raise StoreError(f"{path} holds no checkpoint.")
    return found, rest
