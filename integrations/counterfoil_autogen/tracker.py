"""Who records what: the whole process to one store, single teams and agents each to its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from counterfoil.inflight import Trackers
from counterfoil_autogen import calls

if TYPE_CHECKING:
    from collections.abc import Iterable

    from counterfoil.recorder import Recorder, Step
    from counterfoil_autogen.calls import Call

__all__ = ["Tracker", "choose", "forget", "install", "installed", "recording", "trackers"]


class Tracker:
    """What is known for one store, beyond the calls under way: those are known by whoever waits for them."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder: Final = recorder

    def current(self) -> Step | None:
        """Give the step that AutoGen's own context says we are in: in a runtime of the user's, no other is left."""
        call = calls.by_runtime()
        scope = call.scopes.get(self.recorder.path) if call is not None else None
        return scope.step if scope is not None and scope.step.open else None


#: One for each store and process: a team recorded twice to one store is recorded once.
trackers: Final = Trackers(Tracker, Tracker.current)

_installed: Tracker | None = None
#: Who else is recorded, to which stores, and as which session. No team or agent is kept alive by this.
_chosen: Final[WeakKeyDictionary[Any, dict[Tracker, str | None]]] = WeakKeyDictionary()


def install(tracker: Tracker | None) -> None:
    """Record all of this process to the store of `tracker`; None: no more."""
    global _installed
    _installed = tracker


def installed() -> bool:
    """Tell whether all of this process is recorded."""
    return _installed is not None


def choose(who: Any, tracker: Tracker, session: str | None) -> None:
    """Record the team or agent `who`, and all that it calls, to the store of `tracker`."""
    _chosen.setdefault(who, {})[tracker] = session


def forget() -> None:
    """Record no single teams or agents any more."""
    _chosen.clear()


def recording(who: Any, above: Call | None) -> Iterable[tuple[Recorder, str | None]]:
    """Give to whom a call of `who` is told, each with the session that the user gave."""
    found: dict[Recorder, str | None] = {}
    if _installed is not None:
        found[_installed.recorder] = None
    if who is not None and _chosen:
        for tracker, session in (_chosen.get(who) or {}).items():
            found[tracker.recorder] = session
    while above is not None:  # what a recorded team calls is recorded where the team is
        for scope in above.scopes.values():
            found.setdefault(scope.recorder, None)
        above = above.above
    return found.items()
