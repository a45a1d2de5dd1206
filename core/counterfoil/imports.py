"""Imports that happen late, in whatever thread, and never at the moment that the process forks.

A child inherits the lock of a module that another thread was importing, and nobody unlocks it there: the child's
own import of that module would never end. https://github.com/python/cpython/issues/50970
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["importing"]

#: The longest that a fork waits for an import under way.
SECONDS: Final = 2.0

_lock = threading.RLock()
_forking = threading.local()


@contextmanager
def importing() -> Iterator[None]:
    """Import inside of this block what is imported late: a fork waits for its end."""
    with _lock:
        yield


def _before_fork() -> None:
    _forking.waited = _lock.acquire(timeout=SECONDS)


def _in_parent() -> None:
    if _forking.waited:
        _lock.release()


def _in_child() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
