"""`install`, `record` and `uninstall`: attach to every team and agent of this process, or to single ones."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, TypeVar

from counterfoil.adapters import say_where, warn_of_versions
from counterfoil.recorder import recorder_at
from counterfoil_autogen import classes, tracker
from counterfoil_autogen.tracker import trackers
from counterfoil_autogen.versions import SUPPORTED

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from autogen_agentchat.base import ChatAgent, Team

    from counterfoil.redact import Redactor

__all__ = ["install", "installed", "record", "uninstall"]

_lock: Final = threading.Lock()

T = TypeVar("T", bound="Team | ChatAgent")


def install(
    db: str | os.PathLike[str] | None = None,
    *,
    capture: str | None = None,
    redactors: Iterable[Redactor] = (),
    durability: str | None = None,
    quiet: bool | None = None,
) -> None:
    """Record every team and agent of this process to the store `db`. May be called again.

    `db` is the store's path, else `$COUNTERFOIL_DB`, else `counterfoil.db` here; its absolute path is printed once, to
    stderr, unless `quiet` or `$COUNTERFOIL_QUIET`. Another `db` than before: from now on there.
    """
    warn_of_versions(SUPPORTED)
    recorder = recorder_at(db, capture=capture, redactors=redactors, durability=durability)
    with _lock:
        tracker.install(trackers.of(recorder))
        classes.attach()
    say_where(recorder.path, quiet=quiet)


def record(
    who: T,
    db: str | os.PathLike[str] | None = None,
    *,
    capture: str | None = None,
    redactors: Iterable[Redactor] = (),
    durability: str | None = None,
    session: str | None = None,
) -> T:
    """Record the team or agent `who`, and all that it calls, to the store `db`; give it back.

    `session` is the conversation that its runs belong to: by default a team's own id, which a team that was loaded from
    a saved state does not keep. All else as for `install`.
    """
    warn_of_versions(SUPPORTED)
    recorder = recorder_at(db, capture=capture, redactors=redactors, durability=durability)
    with _lock:
        tracker.choose(who, trackers.of(recorder), session)
        classes.attach()
    return who


def uninstall() -> None:
    """Record no more, neither what `install` nor what `record` attached to. May be called again."""
    with _lock:
        tracker.install(None)
        tracker.forget()
        classes.detach()


def installed() -> bool:
    """Tell whether every team and agent of this process is recorded."""
    return tracker.installed()
