"""Run and step ids, and the clock that stamps events."""

from __future__ import annotations

import functools
import itertools
import os
import time

__all__ = ["item_id", "now_ns", "own_pid", "process_uid", "run_id", "step_id"]

# Linux's monotonic clock stands still while a laptop sleeps; this one does not.
if hasattr(time, "CLOCK_BOOTTIME"):
    _elapsed = functools.partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)
else:
    _elapsed = functools.partial(time.monotonic_ns)


# Wall clock once, monotonic after: time never goes back within a process when the host's clock is set.
_offset = time.time_ns() - _elapsed()

# A step id is a random 64-bit base of this process plus a count: as unlikely to meet another process's
# as a random one, but ordered, so the store's index grows at its end (half the cost of random keys).
_base = 0
_count = itertools.count()
_pid = 0


def _reseed() -> None:
    global _base, _count, _pid
    _pid = os.getpid()
    _base = int.from_bytes(os.urandom(8))
    _count = itertools.count()


_reseed()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reseed)


def now_ns() -> int:
    """Give the time in nanoseconds since the epoch; never earlier than the last answer in this process."""
    return _offset + _elapsed()


def run_id() -> str:
    """Give a new W3C trace id, 32 hex digits: milliseconds first, so that runs sort by age, then random."""
    return f"{now_ns() // 1_000_000 & 0xFFFFFFFFFFFF:012x}{os.urandom(10).hex()}"


def step_id() -> str:
    """Give a new W3C span id, 16 hex digits, never all zero."""
    return f"{(_base + next(_count)) & 0xFFFFFFFFFFFFFFFF or 1:016x}"


def item_id() -> str:
    """Give a new id for a handoff, a decision or an approval: 16 hex digits."""
    return step_id()


def own_pid() -> int:
    """Give this process's id: `os.getpid()` without the system call."""
    return _pid


def process_uid() -> str:
    """Give the id of one recording process (one tape): sorts by time, tells the pid, is never reused."""
    return f"{time.time_ns():016x}-{os.getpid()}-{os.urandom(3).hex()}"
