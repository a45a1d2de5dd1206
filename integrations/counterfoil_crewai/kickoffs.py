"""Kickoffs that end by a way of which CrewAI tells nothing: Ctrl-C, a cancelled task (mapping.md, section 5)."""

from __future__ import annotations

import functools
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Final

from crewai import Crew, Flow

from counterfoil.guard import guarded
from counterfoil.steps import status_of
from counterfoil_crewai import humans

if TYPE_CHECKING:
    from collections.abc import Callable

    from counterfoil.patches import Patches
    from counterfoil_crewai.tracker import Entry, Tracker

__all__ = ["began", "wrap"]


class _Kickoff:
    """One call under way: of which object, by its id, and the scope that it began for each tracker."""

    __slots__ = ("of", "scopes")

    def __init__(self, of: Any) -> None:
        self.of = id(of)  # contexts are copied, and outlive the call: no live object in them
        self.scopes: list[tuple[Tracker, Entry]] = []


_current: Final[ContextVar[_Kickoff | None]] = ContextVar("counterfoil_crewai_kickoff", default=None)


def began(source: Any, tracker: Tracker, entry: Entry) -> None:
    """Take note of the scope that the kickoff of `source` in this context has begun."""
    kickoff = _current.get()
    if kickoff is not None and kickoff.of == id(source):
        kickoff.scopes.append((tracker, entry))


@guarded
def wrap(patches: Patches, trackers: Callable[[], Any], settle: Callable[[], None]) -> None:
    """Have every kickoff end what it began. `settle` waits for events that are told late."""
    patches.replace(Crew, "kickoff", _wrapped(Crew.kickoff, trackers, settle))
    patches.replace(Crew, "akickoff", _awaited(Crew.akickoff, trackers, settle))
    patches.replace(Flow, "kickoff_async", _awaited(Flow.kickoff_async, trackers, settle))
    patches.replace(Flow, "resume_async", _awaited(humans.giving(Flow.resume_async), trackers, settle))


def _wrapped(
    original: Callable[..., Any], trackers: Callable[[], Any], settle: Callable[[], None]
) -> Callable[..., Any]:
    @functools.wraps(original)
    def kickoff(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not trackers():
            return original(self, *args, **kwargs)
        call = _Kickoff(self)
        token = _current.set(call)
        try:
            return original(self, *args, **kwargs)
        except BaseException as error:
            _end(call, error, settle)
            raise
        finally:
            _leave(call, token)
            settle()

    return kickoff


def _awaited(
    original: Callable[..., Any], trackers: Callable[[], Any], settle: Callable[[], None]
) -> Callable[..., Any]:
    @functools.wraps(original)
    async def kickoff(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not trackers():
            return await original(self, *args, **kwargs)
        call = _Kickoff(self)
        token = _current.set(call)
        try:
            return await original(self, *args, **kwargs)
        except BaseException as error:
            _end(call, error, settle)
            raise
        finally:
            _leave(call, token)
            settle()

    return kickoff


def _leave(call: _Kickoff, token: Token[_Kickoff | None]) -> None:
    call.of, call.scopes = 0, []
    with suppress(ValueError):  # a coroutine that is closed elsewhere: its context is gone with it
        _current.reset(token)


@guarded
def _end(call: _Kickoff, error: BaseException, settle: Callable[[], None]) -> None:
    settle()
    status = status_of(error)
    for tracker, entry in call.scopes:
        scope: Entry | None = entry
        if entry.role == "folded":  # an executor's: whose agent stands alone, nobody else tells of
            agent = None if isinstance(error, Exception) else entry.above("agent")
            scope = agent if agent is not None and agent.above("crew", "flow") is None else None
        if scope is None or scope.step is None or scope.ended or not scope.step.open:
            continue
        scope.ended = True
        tracker.recorder.end(scope.step, status, error=None if status == "cancelled" else error)
        if scope.root is scope:
            tracker.close(scope)
