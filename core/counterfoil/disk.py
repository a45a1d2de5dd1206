"""What outlives a loss of power: on the disk itself, not in the kernel's memory alone."""

from __future__ import annotations

import errno
import itertools
import os
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Syncing", "sync_file", "sync_folder"]

#: The longest that writers are waited for.
SECONDS: Final = 2.0
#: What a file system says that has no such thing as a folder on a disk.
_NO_FOLDERS: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF})

_fdatasync: Final = getattr(os, "fdatasync", os.fsync)


def sync_file(path: str) -> None:
    """Have what was written to the file at `path` on the disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        _fdatasync(fd)
    finally:
        os.close(fd)


def sync_folder(path: str) -> None:
    """Have the names in the folder at `path` on the disk. Raises OSError."""
    if sys.platform == "win32":
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise
    finally:
        os.close(fd)


class Syncing:
    """The writes to one descriptor, and the syncs that threads share: one covers all that was written before it began.

    Both locks are had again by the thread that has them: a signal's handler may record in the midst of a write.
    """

    def __init__(self) -> None:
        self._writing: Final = threading.RLock()
        self._syncing: Final = threading.RLock()
        self._tickets: Final = itertools.count(1)
        self._reached = 0
        self._lost: list[range] = []

    def write(self, fd: int, line: bytes) -> tuple[int, int]:
        """Write `line`; give how many bytes were taken, and the ticket to wait with. Raises OSError."""
        with self._writing:
            return os.write(fd, line), next(self._tickets)

    def wait(self, fd: int, ticket: int) -> None:
        """Return when the write of `ticket` is on the disk, brought there by this thread or by another.

        Raises OSError where it may not be: the kernel tells a failure once, and then forgets what it could not write.
        """
        with self._syncing:
            if any(ticket in lost for lost in self._lost):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            if ticket <= self._reached:
                return
            # A ticket is taken after its write: all that are below this one are in the file.
            upto = next(self._tickets)
            try:
                _fdatasync(fd)
            except OSError:
                self._lose(range(self._reached, upto))
                raise
            finally:
                self._reached = max(self._reached, upto)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let nobody write in this block."""
        # At its worst: a signal's handler interrupted a write, and waits for a lock of this block's caller.
        had = self._writing.acquire(timeout=SECONDS)
        try:
            yield
        finally:
            if had:
                self._writing.release()

    def finish(self, fd: int) -> None:
        """Bring to the disk all that was written, before another file comes behind `fd`: in a `paused` block.

        Whoever waits is told whether that failed.
        """
        with suppress(OSError):
            self.wait(fd, next(self._tickets))

    def _lose(self, tickets: range) -> None:
        if self._lost and self._lost[-1].stop == tickets.start:
            tickets = range(self._lost.pop().start, tickets.stop)
        self._lost.append(tickets)
