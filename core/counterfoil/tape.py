"""The per-process append-only file: what the kernel has accepted here survives the process.

`<db>.tape/` holds, per process, segments `<writer>.<number>.tape`. A line is the head's JSON, a TAB before
each part's JSON, a newline; JSON text never holds a raw TAB or newline. The newest segment is locked as long
as the process lives: that, not a pid, tells readers whether it does.

With `durability="power"` a line is on the disk, too, when its write returns. Lines that several threads wrote
meanwhile share one sync.
"""

from __future__ import annotations

import errno
import itertools
import os
import sys
import time
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from counterfoil import disk, ids
from counterfoil.events import FORMAT, Head, Text, encode
from counterfoil.forklock import ForkLock
from counterfoil.guard import report
from counterfoil.host import origin
from counterfoil.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

if sys.platform != "win32":
    import fcntl

__all__ = ["ERASED", "ROTATE_BYTES", "ROTATE_SECONDS", "Tape", "folder_of"]

ROTATE_BYTES: Final = 8 << 20
ROTATE_SECONDS: Final = 300
RETRY_SECONDS: Final = 5
CHECK_SECONDS: Final = 1
#: In the folder of tapes: grows with every erasure.
ERASED: Final = "erased"

_CLOSED: Final = (-1, "")
#: Out of the way of hosts that close and reuse the low numbers.
_FIRST_NUMBER: Final = 64

# One lock for all tapes of a process, and never for a plain write: a fork waits for it, so that no child comes to
# hold a descriptor that nobody knows of (it would keep the parent's lock for as long as the child lives).
_lock: Final = ForkLock()


def folder_of(store: str) -> str:
    """Give the folder that holds the tapes of the store at path `store`."""
    return store + ".tape"


class Tape:
    """One process's tape. Thread-safe; a forked child finds itself on a new tape.

    `on_new_writer()` is called whenever a new tape begins: at first use, after a fork or a `close`, and where the
    old one was taken from us. Numbers given to messages are only good within one writer. `on_erasure()` is called soon
    after texts were erased from the store: what they stood for may be gone.
    """

    def __init__(
        self, store: str, on_new_writer: Callable[[], None], on_erasure: Callable[[], None] | None = None
    ) -> None:
        self.folder: Final = folder_of(store)
        self._on_new_writer = on_new_writer
        self._on_erasure = on_erasure
        self._erased = 0
        # Read at once, so that no line goes to a writer that it was not made for. Within one writer the
        # descriptor's number stays: rotation puts the next file behind it.
        self._open: tuple[int, str] = _CLOSED
        self._identity: tuple[int, int] | None = None
        self._retired: tuple[int, tuple[int, int] | None] | None = None
        self._segment = 0
        self._size = 0
        self._torn = False
        self._opened_at = self._checked_at = self._retry_at = self._rotate_at = 0.0
        self._said: set[int | None] = set()
        self._sequence = itertools.count(1)
        self._syncing: disk.Syncing | None = None
        _tapes.add(self)

    @property
    def writer(self) -> str:
        """The name of the tape; empty while there is none."""
        return self._open[1]

    @property
    def durability(self) -> str:
        """What a line outlives once it is written: the end of its `process`, or a loss of `power` as well."""
        return "process" if self._syncing is None else "power"

    def outlive_power(self) -> None:
        """Have each line outlive a loss of power from now on."""
        problem: OSError | None = None
        with _lock:
            if self._syncing is None:
                self._syncing = disk.Syncing()
                try:
                    if self._open[1]:
                        self._sync_names()
                except OSError as error:
                    problem = error
        if problem is not None:
            self._complain(problem)

    def next_q(self) -> int:
        """Give the next number of this process's events. Gaps are harmless, order is what counts."""
        return next(self._sequence)

    def begin(self) -> str:
        """Open the tape if it is not, and give its writer; empty where it cannot be written now.

        Before numbers are given to messages, as they belong to a writer.
        """
        now = time.monotonic()
        if now - self._checked_at > CHECK_SECONDS:
            self._check(now)
        return self._open[1] or self._open_first(now)

    def write(self, line: bytes, writer: str) -> bool:
        """Put a line, newline included, on the tape of `writer` at one stroke; tell whether the kernel took it.

        Never raises. Where it is not taken, `writer` may have ended: then number the messages anew. Else the
        reason is logged once.
        """
        syncing = self._syncing
        ticket = 0
        fd, current = self._open
        if current != writer or not writer:
            return False
        torn = self._torn
        if torn:
            # A full disk left half a line: end it, so that it costs no other.
            line = b"\n" + line
        try:
            if syncing is None:
                done = os.write(fd, line)
            else:
                done, ticket = syncing.write(fd, line)
        except OSError as error:
            if error.errno == errno.EBADF:
                self._check(time.monotonic())
            else:
                self._complain(error)
            return False
        if done != len(line):
            self._torn = True
            self._complain(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            return False
        if torn:  # not else: another thread's may be torn since
            self._torn = False
        self._size += done
        if self._size > ROTATE_BYTES:
            self._rotate()
        return syncing is None or self._synced(syncing, fd, ticket)

    def _synced(self, syncing: disk.Syncing, fd: int, ticket: int) -> bool:
        try:
            syncing.wait(fd, ticket)
        except OSError as error:
            self._complain(error)
            return False
        return True

    def close(self) -> None:
        """Say that this process has ended in good order, and let go of the tape. A later event begins another."""
        with _lock:
            fd, writer = self._open
            if writer:
                line = encode(Head(k="exit", t=ids.now_ns(), q=self.next_q())) + b"\n"
                with suppress(OSError):
                    os.write(fd, b"\n" + line if self._torn else line)
                self._retire()

    def _open_first(self, now: float) -> str:
        if now < self._retry_at:
            return ""
        problem: OSError | None = None
        with _lock:
            if self._open[1]:
                return self._open[1]
            writer = ids.process_uid()
            self._segment = 0
            self._sequence = itertools.count(1)
            try:
                fd = self._make_segment(writer)
            except OSError as error:
                self._retry_at = now + RETRY_SECONDS
                problem = error
            else:
                self._on_new_writer()
                self._erased = self._erasures()
                self._identity = _identity_of(fd)
                self._checked_at = now
                self._open = (fd, writer)
        if problem is not None:
            self._complain(problem)
        return self._open[1]

    def _make_segment(self, writer: str) -> int:
        """Make the next segment of `writer`, lock it, and give its descriptor."""
        try:
            os.mkdir(self.folder, mode=0o700)
        except FileExistsError:
            pass
        else:
            with (
                suppress(OSError),
                open(os.path.join(self.folder, ".gitignore"), "w", encoding="ascii") as ignore,
            ):
                ignore.write("*\n")
        self._segment += 1
        final = os.path.join(self.folder, f"{writer}.{self._segment:06d}.tape")
        making = final[:-5] + ".new"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        fd = os.open(making, flags, 0o600)
        try:
            fd = _locked_high(fd)
            opening = Head(
                k="open",
                t=ids.now_ns(),
                q=self.next_q(),
                format=FORMAT,
                pid=os.getpid(),
                segment=self._segment,
                parts=("text",),
            )
            line = encode(opening) + b"\t" + encode(_origin(writer)) + b"\n"
            if os.write(fd, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            # Only a locked segment is ever seen under its own name: none is taken for a dead one.
            os.rename(making, final)
            if self._syncing is not None:
                self._sync_names()
        except BaseException:
            os.close(fd)
            for name in (making, final):
                with suppress(OSError):
                    os.unlink(name)
            raise
        self._size = len(line)
        self._torn = False
        self._opened_at = time.monotonic()
        return fd

    def _rotate(self) -> None:
        problem: OSError | None = None
        with _lock:
            now = time.monotonic()
            fd, writer = self._open
            due = self._size > ROTATE_BYTES or now - self._opened_at > ROTATE_SECONDS
            # Never over a file of the host's: it may have closed our number and been given it.
            if not writer or not due or now < self._rotate_at or _identity_of(fd) != self._identity:
                return
            try:
                new = self._make_segment(writer)
                try:
                    # dup2, not close and assign: a thread between reading the number and write(2) must not
                    # meet a closed or reused one. The old lock goes with the old file.
                    self._put_behind(fd, new)
                finally:
                    os.close(new)
            except OSError as error:  # go on with the old one
                self._rotate_at = now + RETRY_SECONDS
                problem = error
            self._identity = _identity_of(fd)
        if problem is not None:
            self._complain(problem)

    def _check(self, now: float) -> None:
        """Look whether the descriptor is still ours, and the file still in the folder: at most every second."""
        with _lock:
            self._checked_at = now
            fd, writer = self._open
            if not writer:
                return
            if _identity_of(fd) != self._identity:
                # A host that closed every descriptor (to become a daemon) may have given our number to a
                # file of its own: leave that alone. The lock is gone, so this writer counts as dead.
                self._open = _CLOSED
            elif not os.fstat(fd).st_nlink:
                self._retire()
            before, self._erased = self._erased, self._erasures()
            if self._erased != before and self._on_erasure is not None:
                self._on_erasure()
        if now - self._opened_at > ROTATE_SECONDS:
            self._rotate()

    def _erasures(self) -> int:
        try:
            return os.stat(os.path.join(self.folder, ERASED)).st_size
        except OSError:
            return 0

    def _retire(self) -> None:
        """Let go of the file and its lock, but keep the number for a while: a thread may be about to write to it.

        What is written there fails with EBADF, as the file behind it is then read-only.
        """
        fd = self._open[0]
        self._open = _CLOSED
        try:
            null = os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError:
            os.close(fd)
            return
        self._put_behind(fd, null)
        os.close(null)
        before, self._retired = self._retired, (fd, _identity_of(fd))
        if before is not None:
            _close_if(*before)

    def _put_behind(self, fd: int, new: int) -> None:
        syncing = self._syncing
        if syncing is None:
            os.dup2(new, fd, inheritable=False)
            return
        with syncing.paused():
            syncing.finish(fd)
            os.dup2(new, fd, inheritable=False)

    def _sync_names(self) -> None:
        disk.sync_folder(self.folder)
        disk.sync_folder(os.path.dirname(self.folder))

    def _after_fork(self) -> None:
        """In a forked child: let go of the parent's segment (never unlock it: the lock is the parent's)."""
        fd, writer = self._open
        self._open = _CLOSED
        self._retry_at = 0.0
        if self._syncing is not None:  # its locks may be another thread's, which is not here
            self._syncing = disk.Syncing()
        if writer:
            _close_if(fd, self._identity)

    def _complain(self, error: OSError) -> None:
        if error.errno in self._said:
            return
        self._said.add(error.errno)
        report(f"the tape {self.folder}", OSError(error.errno, f"nothing can be recorded: {error.strerror}"))


_tapes: weakref.WeakSet[Tape] = weakref.WeakSet()


def _in_child() -> None:
    for tape in list(_tapes):
        tape._after_fork()  # noqa: SLF001  # the same module's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _locked_high(fd: int) -> int:
    """Lock `fd`, and give it a higher number; the lock goes along."""
    if sys.platform == "win32":
        return fd
    # Where there are no locks, readers cannot have one either, and never take this writer for dead.
    with suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_NUMBER)
    except OSError:  # fewer numbers than that are allowed here
        return fd
    os.close(fd)
    return high


def _identity_of(fd: int) -> tuple[int, int] | None:
    try:
        stat = os.fstat(fd)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _close_if(fd: int, identity: tuple[int, int] | None) -> None:
    """Close `fd` unless the host has meanwhile been given its number."""
    if identity is not None and _identity_of(fd) == identity:
        with suppress(OSError):
            os.close(fd)


def _origin(writer: str) -> Text:
    versions = {"counterfoil": __version__, "python": sys.version.split()[0]}
    return Text(writer=writer, versions=versions, **origin()._asdict())
