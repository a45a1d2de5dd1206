"""Which CrewAI event is which step: ids, names and small strings only, never a live object of the host.

One tracker for each store and process, so that two listeners on the same store record a run once.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from crewai.events import event_context

from counterfoil import inflight
from counterfoil.inflight import InFlight, Trackers

if TYPE_CHECKING:
    from collections.abc import Hashable

    from counterfoil.recorder import Recorder, Step
    from counterfoil_crewai.edges import Stages, Visits

__all__ = ["Entry", "Tracker", "trackers"]

#: A scope that CrewAI has popped too early in this context: what begins now still stands in it.
_popped: Final[ContextVar[str | None]] = ContextVar("counterfoil_crewai_popped", default=None)


class Entry(inflight.Entry):
    """One scope of CrewAI's, by the id of the event that began it."""

    def __init__(self, event_id: str, parent: Entry | None, role: str, ident: Hashable) -> None:
        super().__init__(event_id, parent)
        self.role = role  # crew, flow, method, task, agent, folded, llm, tool, ...
        self.ident = ident  # by what its end is known where CrewAI names another start
        self.owns = False
        self.denied = False  # of a tool: a hook stopped it
        self.ttft_ns: int | None = None  # of a model call
        self.said: list[str] | None = None  # of a model call: what has come of a streamed answer
        self.told: str | None = None  # the last error told below it
        self.unrun: set[str] | None = None  # of a turn: unknown tools that were asked for
        # who leads to whom, see edges.py
        self.stages: Stages | None = None  # of a crew
        self.visits: Visits | None = None  # of a flow
        self.listens: tuple[str, tuple[str, ...]] = ("", ())  # of a method
        self.last: tuple[Step, ...] = ()  # of a method or a task: its agents
        self.beside = False  # of a task: it runs beside the next ones
        self.context: tuple[str, ...] = ()  # of a task: those whose outputs it was given, by id
        self.reason: str | None = None  # of a task: its description


class Tracker(InFlight[Entry]):
    """The scopes in flight that are recorded to one store."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder: Final = recorder
        self.questions: dict[tuple[str, str], Step] = {}  # by scope and kind of question, see humans.py
        self.lock = threading.RLock()  # for what spans several entries: who led to whom

    def standing(self, event_id: str | None) -> Entry | None:
        """Give the scope of this id, or the nearest above it, whose step is open.

        After a run that was aborted, interrupted or cancelled its scopes stay on CrewAI's stack.
        """
        entry = self.find(event_id)
        while entry is not None and (entry.step is None or not entry.step.open):
            entry = entry.parent
        return entry

    def place(self, event: Any, *, root: bool) -> tuple[Entry | None, Step | None]:
        """Give the scope and the step that `event` begins in; (None, None) for a new run.

        What may be a `root` of its own never joins a run that has ended; all else does.
        """
        parent_id = event.parent_event_id
        entry = self._popped_early(parent_id) or self.standing(parent_id)
        here = self.recorder.here()
        if entry is None or entry.step is None:
            late = None if root or parent_id is None else self.ended_root(parent_id)
            return None, late if late is not None else here
        step = entry.step
        if here is not None and here.open and step in here.above():
            step = here  # of the host's, or of another framework's, in between
        return entry, step

    def _popped_early(self, parent_id: str | None) -> Entry | None:
        popped = self.find(_popped.get())
        if popped is None or popped.ended or popped.step is None or not popped.step.open:
            return None
        above = popped.parent.key if popped.parent is not None else None
        return popped if above == parent_id else None

    def joined(self, event: Any, role: str, ident: Hashable) -> Entry | None:
        """Give the open scope that `event` ends, once.

        `started_event_id` is what stood on top of CrewAI's stack: after a scope popped twice or never, another one.
        """
        entry = self.find(event.started_event_id)
        if entry is None or entry.role != role or entry.ended or entry.ident != ident:
            entry = self._search(entry or self.find(event.parent_event_id), role, ident)
        return None if entry is None else self.pop(entry.key)

    def _search(self, near: Entry | None, role: str, ident: Hashable) -> Entry | None:
        members = near.root.members if near is not None else None
        for key in reversed(members or ()):
            entry = self.entries.get(key)
            if entry is not None and entry.role == role and entry.ident == ident and not entry.ended:
                return entry
        return None

    def note_popped(self, event: Any) -> None:
        """Take note that `event`, an end told twice, has popped a scope that goes on."""
        entry = self.find(event.started_event_id)
        if entry is not None and not entry.ended:
            _popped.set(event.started_event_id)

    def let_go(self, entry: Entry) -> None:
        """Forget the questions that were never answered."""
        for question in [one for one in self.questions if one[0] == entry.key]:
            self.questions.pop(question, None)

    def current(self) -> Step | None:
        """Give the step that CrewAI's own context says we are in."""
        for event_id, _ in reversed(event_context._event_id_stack.get()):  # noqa: SLF001  # get_current_parent_id() tells the last one only
            entry = self.find(event_id)
            if entry is not None and entry.step is not None and entry.step.open:
                return entry.step
        return None


def _new_lock(tracker: Tracker) -> None:
    tracker.lock = threading.RLock()


trackers: Final = Trackers(Tracker, Tracker.current, _new_lock)
