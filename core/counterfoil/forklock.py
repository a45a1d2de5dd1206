"""Locks that a fork waits for, so that no child inherits what another thread had half done."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["ForkLock", "importing"]

#: The longest that a fork waits: a disk may hang.
SECONDS: Final = 2.0


class ForkLock:
    """A lock, had again by the thread that has it, which a fork waits for and which is free in the child."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._forking = threading.local()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before, after_in_parent=self._after, after_in_child=self._in_child
            )

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def _before(self) -> None:
        self._forking.had = self._lock.acquire(timeout=SECONDS)

    def _after(self) -> None:
        # Not had where this lock was made in the midst of another thread's fork.
        if getattr(self._forking, "had", False):
            self._forking.had = False
            self._lock.release()

    def _in_child(self) -> None:
        if not getattr(self._forking, "had", False):
            self._lock = threading.RLock()  # whoever has it is not here
        self._after()


#: For imports that happen late, in whatever thread. A child inherits the lock of a module that another thread was
#: importing, and nobody unlocks it there: the child's own import of that module would never end.
#: https://github.com/python/cpython/issues/50970
importing: Final = ForkLock()
