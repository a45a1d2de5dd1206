"""Which step we are in: a context variable of ours, the frameworks' own, and W3C traceparent.

A framework that cannot have our variable set around its code (a callback runs in a copy of the context)
registers a finder, which reads that framework's own context instead. Of all answers the innermost counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Protocol, runtime_checkable

from counterfoil.guard import guarded

__all__ = [
    "Place",
    "current",
    "enter",
    "find_with",
    "forget",
    "format_traceparent",
    "leave",
    "parse_traceparent",
    "stack",
]


@runtime_checkable
class Place(Protocol):
    """A step as the context knows it."""

    run_id: str
    step_id: str
    started_ns: int

    @property
    def store(self) -> str:
        """The path of the store that this step is recorded to."""


Finder = Callable[[str], Place | None]

_stack: ContextVar[tuple[Place, ...]] = ContextVar("counterfoil_stack", default=())
_finders: tuple[Finder, ...] = ()


def enter(place: Place) -> None:
    """Make `place` the innermost step of this context, until `leave`."""
    _stack.set((*_stack.get(), place))


def leave(place: Place) -> None:
    """Undo `enter`, in whatever order, also where the context has changed meanwhile (a generator closed elsewhere)."""
    inside = _stack.get()
    if inside and inside[-1] is place:
        _stack.set(inside[:-1])
    elif place in inside:
        _stack.set(tuple(other for other in inside if other is not place))


def find_with(finder: Finder) -> None:
    """Ask `finder(store)` too, when the current step is looked for."""
    global _finders
    if finder not in _finders:
        _finders = (*_finders, finder)


def forget(finder: Finder) -> None:
    """Undo `find_with`."""
    global _finders
    _finders = tuple(other for other in _finders if other != finder)


def current(store: str) -> Place | None:
    """Give the innermost step of this context that is recorded to `store`, or None."""
    best: Place | None = None
    for place in reversed(_stack.get()):
        if place.store == store:
            best = place
            break
    for finder in _finders:
        place_found = _ask(finder, store)
        # Both enclose this point of the code, so the one that started later is the inner one.
        if place_found is not None and (best is None or place_found.started_ns > best.started_ns):
            best = place_found
    return best


@guarded
def _ask(finder: Finder, store: str) -> Place | None:
    return finder(store)


def stack() -> tuple[Place, ...]:
    """Give every step entered in this context, outermost first."""
    return _stack.get()


_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}", re.ASCII)


def format_traceparent(place: Place) -> str:
    """Give `place` as a W3C traceparent header: https://www.w3.org/TR/trace-context/."""
    return f"00-{place.run_id}-{place.step_id}-01"


def parse_traceparent(header: str) -> tuple[str, str] | None:
    """Give (run_id, step_id) of a W3C traceparent header, or None if it is not a valid one."""
    match = _TRACEPARENT.fullmatch(header.strip()) if isinstance(header, str) else None
    if match is None or match[1] == "0" * 32 or match[2] == "0" * 16:
        return None
    return match[1], match[2]
