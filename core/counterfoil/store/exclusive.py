"""A store to oneself: no drainer of any process writes to it meanwhile."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from counterfoil.store import schema, tapes
from counterfoil.store.errors import StoreError
from counterfoil.store.forks import Holder

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["alone", "transaction"]


@contextmanager
def alone(path: str) -> Iterator[sqlite3.Connection]:
    """Give a connection that alone writes to the store at `path`, which is made or brought up to date first.

    Raises StoreError with one sentence, also for what goes wrong in SQLite meanwhile.
    """
    if not os.path.isdir(os.path.dirname(path)):
        raise StoreError(f"{path}: the folder does not exist.")
    if os.path.exists(path) and not os.path.isfile(path):
        raise StoreError(f"{path} is not a file.")
    folder = tapes.folder_of(path)
    try:
        tapes.make_folder(folder)
        lock = FileLock(os.path.join(folder, "drain.lock"), mode=0o600, thread_local=False)
        with lock.acquire(timeout=schema.BUSY_SECONDS):
            holder = Holder(path)
            with holder.lock:
                holder.db = schema.open_writer(path)
                try:
                    yield holder.db
                finally:
                    holder.let_go()
    except Timeout:
        raise StoreError(f"{path}: another process is draining; try again.") from None
    except (OSError, sqlite3.Error) as error:
        raise schema.explain(path, error) from None


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Run a block as one transaction: all of it, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise
