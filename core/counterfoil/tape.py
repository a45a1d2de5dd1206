"""The per-process append-only file: what the kernel has accepted here survives the process.

`<db>.tape/` holds, per process, segments `<writer>.<number>.tape`. A line is the head's JSON, a TAB before
each part's JSON, a newline; JSON text never holds a raw TAB or newline. The newest segment is locked as long
as the process lives: that, not a pid, tells readers whether it does.
"""

from __future__ import annotations

import errno
import itertools
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final

from counterfoil import ids
from counterfoil.events import FORMAT, Head, Text, encode
from counterfoil.guard import report

if sys.platform != "win32":
    import fcntl

__all__ = ["ROTATE_BYTES", "ROTATE_SECONDS", "Tape", "folder_of"]

ROTATE_BYTES: Final = 8 << 20
ROTATE_SECONDS: Final = 300
RETRY_SECONDS: Final = 5

_NOWHERE: Final = -1


def folder_of(store: str) -> str:
    """Give the folder that holds the tapes of the store at path `store`."""
    return store + ".tape"


class Tape:
    """One process's tape. Thread-safe; a forked child finds itself on a new tape.

    `on_new_writer()` is called whenever a new tape begins, at first use and after a fork: numbers given to
    messages are only good within one writer.
    """

    def __init__(self, store: str, on_new_writer: Callable[[], None]) -> None:
        self.folder: Final = folder_of(store)
        self._on_new_writer = on_new_writer
        self._lock = threading.RLock()
        self._fd = _NOWHERE
        self._identity = (0, 0)
        self._checked = 0.0
        self._opened = 0.0
        self._size = 0
        self._torn = False
        self._retry_at = 0.0
        self._said: set[int | None] = set()
        self.writer = ""
        self.segment = 0
        self.lines = 0
        self.dropped = 0
        self._sequence = itertools.count(1)
        _tapes.add(self)

    def next_q(self) -> int:
        """Give the next number of this process's events. Gaps are harmless, order is what counts."""
        return next(self._sequence)

    def begin(self) -> None:
        """Open the tape if it is not: before numbers are given to messages, as they belong to a writer."""
        if self._fd == _NOWHERE:
            self._open_first()

    def write(self, line: bytes) -> bool:
        """Put `line` (newline included) on the tape in one write(2); tell whether the kernel took it.

        Never raises: where the tape cannot be written the line is dropped and counted, and the
        reason is logged once.
        """
        now = time.monotonic()
        if now - self._checked > 1.0:
            self._check(now)
        fd = self._fd
        if fd == _NOWHERE and not self._open_first():
            self.dropped += 1
            return False
        if self._torn:
            # A full disk left half a line: end it, so that it costs no other.
            line = b"\n" + line
        try:
            done = os.write(self._fd, line)
            if done != len(line):
                done += self._finish(line, done)
        except OSError as error:
            if error.errno == errno.EBADF and self._reopen():
                return self.write(line)
            self._complain(error)
            self.dropped += 1
            return False
        if self._torn:
            self._torn = False
        self.lines += 1
        self._size += done
        if self._size > ROTATE_BYTES or now - self._opened > ROTATE_SECONDS:
            self._rotate(now)
        return True

    def close(self) -> None:
        """Say that this process has ended in good order, and let go of the tape."""
        with self._lock:
            if self._fd == _NOWHERE:
                return
            self.write(encode(Head(k="exit", t=ids.now_ns(), q=self.next_q())) + b"\n")
            fd, self._fd = self._fd, _NOWHERE
            os.close(fd)

    def _finish(self, line: bytes, done: int) -> int:
        more = 0
        try:
            with self._lock:
                while done + more < len(line):
                    more += os.write(self._fd, line[done + more :])
        except OSError:
            self._torn = True
            raise
        return more

    def _check(self, now: float) -> None:
        """At most every second: is the descriptor still ours, and the file still in the folder?"""
        self._checked = now
        if self._fd == _NOWHERE:
            return
        try:
            stat = os.fstat(self._fd)
            if (stat.st_dev, stat.st_ino) == self._identity and stat.st_nlink:
                return
            ours = (stat.st_dev, stat.st_ino) == self._identity
        except OSError:
            ours = False
        with self._lock:
            # A host that closed every descriptor (to become a daemon) may have given our number to a
            # file of its own: leave that alone.
            if ours:
                os.close(self._fd)
            self._fd = _NOWHERE

    def _reopen(self) -> bool:
        with self._lock:
            self._fd = _NOWHERE
            return self._open_first()

    def _open_first(self) -> bool:
        with self._lock:
            if self._fd != _NOWHERE:
                return True
            now = time.monotonic()
            if now < self._retry_at:
                return False
            try:
                if not self.writer:
                    self._new_writer()
                self._fd = self._open_segment()
            except OSError as error:
                self._retry_at = now + RETRY_SECONDS
                self._complain(error)
                return False
            return True

    def _new_writer(self) -> None:
        self.writer = ids.process_uid()
        self.segment = 0
        self._sequence = itertools.count(1)
        self._on_new_writer()

    def _open_segment(self) -> int:
        if not os.path.isdir(os.path.dirname(self.folder) or "."):
            raise FileNotFoundError(errno.ENOENT, "the folder does not exist", os.path.dirname(self.folder))
        if not os.path.isdir(self.folder):
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            with open(os.path.join(self.folder, ".gitignore"), "w", encoding="ascii") as ignore:
                ignore.write("*\n")
        self.segment += 1
        final = os.path.join(self.folder, f"{self.writer}.{self.segment:06d}.tape")
        making = final[:-5] + ".new"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        fd = os.open(making, flags, 0o600)
        try:
            if sys.platform != "win32":
                fcntl.flock(fd, fcntl.LOCK_EX)
                # Out of the way of hosts that close and reuse the low numbers.
                high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)
                os.close(fd)
                fd = high
            line = encode(
                Head(
                    k="open",
                    t=ids.now_ns(),
                    q=self.next_q(),
                    format=FORMAT,
                    pid=os.getpid(),
                    segment=self.segment,
                    parts=("text",),
                )
            )
            line += b"\t" + encode(_origin(self.writer)) + b"\n"
            os.write(fd, line)
            # Only a locked segment is ever seen under its own name: none is taken for a dead one.
            os.rename(making, final)
        except BaseException:
            os.close(fd)
            raise
        stat = os.fstat(fd)
        self._identity = (stat.st_dev, stat.st_ino)
        self._opened = self._checked = time.monotonic()
        self._size = len(line)
        self._torn = False
        return fd

    def _rotate(self, now: float) -> None:
        with self._lock:
            if self._size <= ROTATE_BYTES and now - self._opened <= ROTATE_SECONDS:
                return
            old = self._fd
            if old == _NOWHERE:
                return
            try:
                new = self._open_segment()
            except OSError as error:
                self._opened = now  # go on with the old one, try again later
                self._complain(error)
                return
            # dup2, not close and assign: a thread between reading the number and write(2) must not
            # meet a closed or reused one. The old lock goes with the old file.
            os.dup2(new, old, inheritable=False)
            os.close(new)

    def _after_fork(self) -> None:
        """In a forked child: let go of the parent's segment (never unlock it: the lock is the parent's)."""
        self._lock = threading.RLock()
        self.lines = self.dropped = 0
        self.writer = ""
        if self._fd != _NOWHERE:
            os.close(self._fd)
            self._fd = _NOWHERE

    def _complain(self, error: OSError) -> None:
        if error.errno in self._said:
            return
        self._said.add(error.errno)
        report("the tape", OSError(error.errno, f"cannot record to {self.folder}: {error.strerror}"))


_tapes: weakref.WeakSet[Tape] = weakref.WeakSet()


def _in_child() -> None:
    for tape in list(_tapes):
        tape._after_fork()  # noqa: SLF001  # the same module's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip() or None
    except OSError:
        return None


def _origin(writer: str) -> Text:
    from counterfoil import __version__  # noqa: PLC0415  # the package's own name, complete by now

    versions = {"counterfoil": __version__, "python": sys.version.split()[0]}
    return Text(
        writer=writer,
        host=os.uname().nodename if hasattr(os, "uname") else None,
        boot=_read("/proc/sys/kernel/random/boot_id"),
        machine=_read("/etc/machine-id"),
        versions=versions,
    )
