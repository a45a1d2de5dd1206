"""`install` and `uninstall`: attach to every crew, flow and agent of this process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from counterfoil.adapters import say_where, warn_of_versions
from counterfoil.recorder import recorder_at
from counterfoil_crewai import delivery
from counterfoil_crewai.tracker import Tracker, trackers
from counterfoil_crewai.versions import SUPPORTED

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from counterfoil.redact import Redactor

__all__ = ["install", "installed", "uninstall"]

_lock: Final = threading.Lock()
_tracker: Tracker | None = None


def install(
    db: str | os.PathLike[str] | None = None,
    *,
    capture: str | None = None,
    redactors: Iterable[Redactor] = (),
    durability: str | None = None,
    quiet: bool | None = None,
) -> None:
    """Record every crew, flow and agent of this process to the store `db`. May be called again.

    `db` is the store's path, else `$COUNTERFOIL_DB`, else `counterfoil.db` here; its absolute path is printed once, to
    stderr, unless `quiet` or `$COUNTERFOIL_QUIET`. Another `db` than before: from now on there.
    """
    global _tracker
    warn_of_versions(SUPPORTED)
    recorder = recorder_at(db, capture=capture, redactors=redactors, durability=durability)
    with _lock:
        before, _tracker = _tracker, trackers.of(recorder)
        delivery.attach(_tracker)
        if before is not None:
            delivery.detach(before)
    say_where(recorder.path, quiet=quiet)


def uninstall() -> None:
    """Stop recording what `install` attached to. May be called again, also when nothing is installed."""
    global _tracker
    with _lock:
        before, _tracker = _tracker, None
        if before is not None:
            delivery.detach(before)


def installed() -> bool:
    """Tell whether every run of this process is recorded."""
    return _tracker is not None
