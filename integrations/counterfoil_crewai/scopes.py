"""One scope of CrewAI's as a step: begun, folded away, ended, failed."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from counterfoil.adapters import tidy
from counterfoil.snapshot import text_of
from counterfoil.steps import control_flow, status_of
from counterfoil_crewai.tracker import Entry, Tracker

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["begin", "cause", "ended", "fail", "fold", "sent"]

FRAMEWORK: Final = "crewai"

#: When the event was sent that is told in this context, in ns, where it is told late (see delivery.py).
sent: Final[ContextVar[int | None]] = ContextVar("counterfoil_crewai_sent", default=None)

# A hook said no.
control_flow({"crewai.HookAborted": "denied", "crewai.LLMCallBlockedError": "denied"})


def begin(
    tracker: Tracker, event: Any, role: str, kind: str, name: str, ident: Hashable, **facts: Any
) -> Entry | None:
    """Start the step of the scope that `event` opens; None where that is known already.

    `facts` are further arguments of `Recorder.start`; `session` counts only where a run begins.
    """
    if tracker.find(event.event_id) is not None:
        return None
    above, place = tracker.place(event, root=kind in {"agent", "workflow"})
    entry = Entry(event.event_id, above, role, ident)
    entry.owns = True
    if place is not None:
        facts.pop("session", None)
    entry.step = tracker.recorder.start(
        kind, tidy(name), framework=FRAMEWORK, parent=place, native_id=event.event_id, t=sent.get(), **facts
    )
    tracker.add(entry)
    return entry


def fold(tracker: Tracker, event: Any, ident: Hashable) -> None:
    """Keep a scope that is no step of its own, so that what stands in it finds its place."""
    if tracker.find(event.event_id) is not None:
        return
    above, place = tracker.place(event, root=False)
    if above is None or place is None:
        return
    entry = Entry(event.event_id, above, "folded", ident)
    entry.step = place
    tracker.add(entry)


def ended(tracker: Tracker, entry: Entry, status: str = "ok", **said: Any) -> None:
    """End the step of a scope, and let go of all below where it is a root; `said` goes to `Recorder.end`."""
    if entry.owns and entry.step is not None:
        tracker.recorder.end(entry.step, status, t=sent.get(), **said)
    if entry.root is entry:
        tracker.close(entry)


def fail(tracker: Tracker, entry: Entry, event: Any, **said: Any) -> None:
    """End a scope by the error that `event` tells of. The error is told at the deepest step alone."""
    error = cause(event)
    text = text_of(event.error)
    told = entry.told
    above = entry.parent
    while above is not None:
        above.told, above = text, above.parent
    if error is not None:
        status = status_of(error)
        said = {"error": error if status != "cancelled" else None} | said
    else:
        status = "error"
        if told is None or (text not in told and told not in text):
            kind = getattr(event, "error_type", None)  # of a task: a class
            said = {"error_type": getattr(kind, "__name__", None) or "Error", "error_message": text} | said
    ended(tracker, entry, status, **said)


def cause(event: Any) -> BaseException | None:
    """Give the exception that an event tells of: most hold its text alone, but are sent while it is handled."""
    error = event.error
    if isinstance(error, BaseException):
        return error
    raised = sys.exception()
    # Handled by whoever called CrewAI, perhaps: then the texts differ.
    if raised is None or not isinstance(error, str):
        return None
    text = text_of(raised)
    return raised if text == error or (text and text in error) else None
