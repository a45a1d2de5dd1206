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

from counterfoil.guard import guarded
from counterfoil.recorder import all_recorders, recorder_at

if TYPE_CHECKING:
    from counterfoil.recorder import Recorder

__all__ = ["attend", "flush"]

TICK_SECONDS: Final = 0.1
CALM_EVENTS_PER_SECOND: Final = 1_000
EXIT_SECONDS: Final = 1.0

_attended: dict[tuple[int, str], threading.Event] = {}
_exit_registered_by = 0


def attend(recorder: Recorder) -> None:
    """Drain for `recorder` from now on, in this process. `$COUNTERFOIL_DRAIN=off` leaves it to readers."""
    global _exit_registered_by
    key = (os.getpid(), recorder.path)
    if key in _attended:
        return
    stop = _attended[key] = threading.Event()
    # atexit handlers are inherited by a forked child: registered once, and they look at the pid.
    if not _exit_registered_by:
        _exit_registered_by = os.getpid()
        atexit.register(_at_exit)
    if os.environ.get("COUNTERFOIL_DRAIN") != "off":
        threading.Thread(
            target=_keep_draining, args=(recorder, stop), name="counterfoil-drain", daemon=True
        ).start()


@guarded
def _keep_draining(recorder: Recorder, stop: threading.Event) -> None:
    # Imported here, so that the host's thread does not wait for it at its first event.
    from counterfoil.store.ingest import Drainer  # noqa: PLC0415

    drainer: Drainer | None = None
    seen = drained = 0
    try:
        while not stop.wait(TICK_SECONDS):
            events = recorder.events
            new, seen = events - seen, events
            if events == drained or new > CALM_EVENTS_PER_SECOND * TICK_SECONDS:
                continue
            if drainer is None:
                drainer = Drainer(recorder.path)
            if not drainer.drain().busy:
                drained = events
    finally:
        if drainer is not None:
            drainer.close()


def _at_exit() -> None:
    """Close this process's tapes and take everything into the store, within a second."""
    deadline = time.monotonic() + EXIT_SECONDS
    for (pid, _path), stop in list(_attended.items()):
        if pid == os.getpid():
            stop.set()
    for recorder in all_recorders():
        if (os.getpid(), recorder.path) in _attended:
            _finish(recorder, deadline)


@guarded
def _finish(recorder: Recorder, deadline: float) -> None:
    recorder.close()
    if os.environ.get("COUNTERFOIL_DRAIN") != "off":
        _drain(recorder, deadline)


def flush(db: str | os.PathLike[str] | None = None, *, timeout: float) -> bool:
    """Drain the store `db`, or every store that this process records to; tell whether nothing is left."""
    recorders = all_recorders() if db is None else (recorder_at(db),)
    deadline = time.monotonic() + timeout
    return all([_flush_one(recorder, deadline) or False for recorder in recorders])


@guarded
def _flush_one(recorder: Recorder, deadline: float) -> bool:
    return _drain(recorder, deadline)


def _drain(recorder: Recorder, deadline: float) -> bool:
    from counterfoil.store.ingest import Drainer  # noqa: PLC0415  # as above

    drainer = Drainer(recorder.path)
    try:
        done = drainer.drain(wait=max(0.0, deadline - time.monotonic()), deadline=deadline, price=True)
    finally:
        drainer.close()
    return not done.busy and done.left_bytes == 0
