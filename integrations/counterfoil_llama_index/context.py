"""What `record` says of the runs that begin in its block: which stores, which session, task and labels."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from counterfoil_llama_index.tracker import Tracker

__all__ = ["Scope", "facts_of_root", "scope"]


class Scope(NamedTuple):
    """One block of `record`, and those around it."""

    trackers: tuple[Tracker, ...] = ()
    session: str | None = None
    task: str | None = None
    labels: Mapping[str, str] | None = None


_OUTSIDE: Final = Scope()
scope: Final[ContextVar[Scope]] = ContextVar("counterfoil_llama_index_scope", default=_OUTSIDE)


def facts_of_root() -> dict[str, Any]:
    """Give the arguments of `Recorder.start` that stand on a run's root alone."""
    known = scope.get()
    found = {"session": known.session, "task": known.task, "labels": known.labels}
    return {key: value for key, value in found.items() if value is not None}
