"""The drainer inside a recording process: a thread while the process is calm, and a last pass at its end.

Measured (`docs/performance.md`): a thread that waits for the interpreter makes each of the host's writes three
times dearer, so above a thousand events a second it leaves the tape to readers.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from typing import TYPE_CHECKING, Final

from counterfoil.forklock import importing
from counterfoil.guard import guarded, report
from counterfoil.recorder import all_recorders, recorder_at

if TYPE_CHECKING:
    from counterfoil.recorder import Recorder
    from counterfoil.store.ingest import Drainer

__all__ = ["attend", "flush"]

TICK_SECONDS: Final = 0.1
CALM_EVENTS_PER_SECOND: Final = 1_000
#: How much of a core draining may take, at most: after each pass it rests for as long as that asks for, and a backlog is
#: left to readers. A pass ends after this many seconds, with the batch that it is at.
SHARE: Final = 0.05
PASS_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 10.0
#: After a failure: a full disk, a store that somebody else holds.
REST_SECONDS: Final = 5.0
EXIT_SECONDS: Final = 1.0

_attended: dict[tuple[int, str], threading.Event] = {}
_exit_registered = False
_exiting = False


def attend(recorder: Recorder) -> None:
    """Drain for `recorder` from now on, in this process. `$COUNTERFOIL_DRAIN=off` leaves it to readers."""
    global _exit_registered
    key = (os.getpid(), recorder.path)
    if key in _attended or _exiting:
        return
    stop = _attended[key] = threading.Event()
    # atexit handlers are inherited by a forked child: registered once, and they look at the pid.
    if not _exit_registered:
        _exit_registered = True
        atexit.register(_at_exit)
    if os.environ.get("COUNTERFOIL_DRAIN") != "off":
        threading.Thread(
            target=_keep_draining, args=(recorder, stop), name="counterfoil-drain", daemon=True
        ).start()


@guarded
def _keep_draining(recorder: Recorder, stop: threading.Event) -> None:
    drainer: Drainer | None = None
    seen = drained = 0
    pause = TICK_SECONDS
    passes = 0
    try:
        while not stop.wait(pause):
            events = recorder.events
            new, seen = events - seen, events
            calm = new <= CALM_EVENTS_PER_SECOND * pause
            pause = TICK_SECONDS
            if events == drained or not calm:
                continue
            try:
                drainer = drainer or _drainer(recorder)
                used = time.thread_time()
                deadline = time.monotonic() + PASS_SECONDS
                done = drainer.drain(deadline=deadline)
                used = time.thread_time() - used
                if not done.busy and time.monotonic() < deadline:  # else there may be more
                    drained = events
                passes += 1
                if passes > 1:  # the first one imports, and may make the store
                    pause = max(TICK_SECONDS, min(used / SHARE, LONGEST_PAUSE_SECONDS))
            except Exception as error:
                report("counterfoil.store.background", error)
                pause = REST_SECONDS
    finally:
        if drainer is not None:
            drainer.close()


def _at_exit() -> None:
    """Close this process's tapes and take everything into the store, within a second."""
    global _exiting
    _exiting = True  # what daemon threads record from here on is for readers
    for (pid, _path), stop in list(_attended.items()):
        if pid == os.getpid():
            stop.set()
    mine = [recorder for recorder in all_recorders() if (os.getpid(), recorder.path) in _attended]
    for recorder in mine:
        recorder.close()
    if mine and os.environ.get("COUNTERFOIL_DRAIN") != "off":
        _drain_all(mine)


@guarded
def _drain_all(recorders: list[Recorder]) -> None:
    # A script of a moment imports SQLite only here: on a slow machine that alone takes the second.
    drainers = [_drainer(recorder) for recorder in recorders]
    deadline = time.monotonic() + EXIT_SECONDS
    for drainer in drainers:
        _drain(drainer, deadline)


@guarded
def flush(db: str | os.PathLike[str] | None = None, *, timeout: float) -> bool:
    """Drain the store `db`, or every store that this process records to; tell whether nothing is left."""
    recorders = all_recorders() if db is None else (recorder_at(db),)
    deadline = time.monotonic() + timeout
    done = [_drain(_drainer(recorder), deadline) or False for recorder in recorders]
    return all(done)


@guarded
def _drain(drainer: Drainer, deadline: float) -> bool:
    try:
        done = drainer.drain(wait=max(0.0, deadline - time.monotonic()), deadline=deadline, price=True)
    finally:
        drainer.close()
    return not done.busy and done.left_bytes == 0


def _drainer(recorder: Recorder) -> Drainer:
    with importing:
        from counterfoil.store.ingest import Drainer  # noqa: PLC0415  # the host's thread need not wait for SQLite

    return Drainer(recorder.path)
