"""`install`, `uninstall`, and `record`: attach to every agent, workflow and query of this process, or of one block."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from counterfoil.adapters import say_where, warn_of_versions
from counterfoil.recorder import recorder_at
from counterfoil_llama_index import handler
from counterfoil_llama_index.context import Scope, scope
from counterfoil_llama_index.tracker import Tracker, trackers
from counterfoil_llama_index.versions import SUPPORTED

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    from counterfoil.redact import Redactor

__all__ = ["install", "installed", "record", "uninstall"]

_lock: Final = threading.Lock()
_tracker: Tracker | None = None
_blocks = 0


def install(
    db: str | os.PathLike[str] | None = None,
    *,
    capture: str | None = None,
    redactors: Iterable[Redactor] = (),
    durability: str | None = None,
    quiet: bool | None = None,
) -> None:
    """Record every agent, workflow and query of this process to the store `db`. May be called again.

    `db` is the store's path, else `$COUNTERFOIL_DB`, else `counterfoil.db` here; its absolute path is printed once, to
    stderr, unless `quiet` or `$COUNTERFOIL_QUIET`. Another `db` than before: from now on there. May be called before
    llama_index.core is imported, which takes seconds: it is not imported here.
    """
    global _tracker
    warn_of_versions(SUPPORTED)
    recorder = recorder_at(db, capture=capture, redactors=redactors, durability=durability)
    with _lock:
        _tracker = trackers.of(recorder)
        handler.record_everywhere(_tracker)
        handler.attach()
    say_where(recorder.path, quiet=quiet)


def uninstall() -> None:
    """Stop recording what `install` attached to. May be called again, also when nothing is installed.

    What began in a block of `record` that is left already is recorded no further either.
    """
    global _tracker
    with _lock:
        _tracker = None
        handler.record_everywhere(None)
        if not _blocks:
            handler.detach()


def installed() -> bool:
    """Tell whether every run of this process is recorded."""
    return _tracker is not None


@contextmanager
def record(
    db: str | os.PathLike[str] | None = None,
    *,
    session: str | None = None,
    task: str | None = None,
    labels: Mapping[str, str] | None = None,
    capture: str | None = None,
    redactors: Iterable[Redactor] = (),
    durability: str | None = None,
) -> Iterator[None]:
    """Record what begins in this block, in this context, to the store `db`; `handler = agent.run(...)` may end outside.

    Without `db` it is the store that `install` was given, else `$COUNTERFOIL_DB`, else `counterfoil.db` here.
    `session`, `task` and `labels` stand on the runs that begin here, also on those that `install` records. A run that
    waits for a human is found again by its `session`.
    """
    global _blocks
    warn_of_versions(SUPPORTED)
    if db is None and _tracker is not None:
        db = _tracker.recorder.path
    tracker = trackers.of(recorder_at(db, capture=capture, redactors=redactors, durability=durability))
    around = scope.get()
    with _lock:
        _blocks += 1
        handler.attach()
    token = scope.set(
        Scope(
            (*around.trackers, tracker),
            session or around.session,
            task or around.task,
            labels or around.labels,
        )
    )
    try:
        yield
    finally:
        scope.reset(token)
        with _lock:
            _blocks -= 1
