"""SQLite and fork: no connection of ours is open at the moment a process forks.

SQLite keeps in memory what it has locked. A child inherits that memory, but not the locks: it would find the
store locked for ever, or write to a log that another process has deleted, believing itself protected.
https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Holder", "is_tainted"]

#: The longest that a fork waits for a transaction under way.
SECONDS: Final = 2.0

_waiting = 0
_held = threading.local()
_tainted: set[str] = set()
_leaked: list[Any] = []


class Holder:
    """Who holds a connection to the store at `path`: uses it with `lock` held, and opens it anew when it is None."""

    def __init__(self, path: str) -> None:
        self.path: Final = path
        self.lock = threading.Lock()
        self.db: sqlite3.Connection | None = None
        _holders.add(self)

    def let_go(self) -> None:
        """Close the connection."""
        db, self.db = self.db, None
        if db is not None:
            db.close()

    def after_fork(self) -> None:
        """In a forked child: forget what threads of the parent held."""

    def pause(self) -> None:
        """Between two transactions, with `lock` held: let a fork happen that waits. The connection may be gone then."""
        if _waiting:
            self.lock.release()
            while _waiting:
                time.sleep(0.0005)
            self.lock.acquire()


_holders: weakref.WeakSet[Holder] = weakref.WeakSet()


def is_tainted(path: str) -> bool:
    """Tell whether this process inherited a connection to `path` in use, and must leave the store to others."""
    return path in _tainted


def _before() -> None:
    global _waiting  # what threads of this process look at
    _waiting += 1
    _held.holders = []
    until = time.monotonic() + SECONDS
    for holder in list(_holders):
        if holder.lock.acquire(timeout=max(0.0, until - time.monotonic())):
            _held.holders.append(holder)
            holder.let_go()


def _in_parent() -> None:
    global _waiting  # as above
    # None where this hook was registered in the midst of another thread's fork.
    holders = getattr(_held, "holders", None)
    if holders is None:
        return
    for holder in holders:
        holder.lock.release()
    _held.holders = None
    _waiting -= 1


def _in_child() -> None:
    global _waiting  # as above
    _waiting = 0
    _held.holders = []
    for holder in list(_holders):
        holder.lock = threading.Lock()
        holder.after_fork()
        if holder.db is not None:
            # In use when the process forked: never used here, and never closed, which would wait for ever.
            _leaked.append(holder.db)
            holder.db = None
            _tainted.add(holder.path)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
