"""Which span of LlamaIndex is which step: ids, names and small strings only, never a live object of the host.

One tracker for each store and process, so that two ways of attaching to the same store record a run once.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from llama_index_instrumentation.span import active_span_id

from counterfoil import ids, inflight
from counterfoil.inflight import InFlight, Trackers

if TYPE_CHECKING:
    from collections.abc import Hashable

    from counterfoil.recorder import Recorder, Step
    from counterfoil.snapshot import Taken
    from counterfoil_llama_index.edges import Visits
    from counterfoil_llama_index.runs import Run

__all__ = ["FRAMEWORK", "Entry", "Tracker", "late_parents", "trackers"]

FRAMEWORK: Final = "llama_index"

#: The spans whose streamed answers are being read in this context, outermost first: LlamaIndex has lost them by then.
late_parents: Final[ContextVar[tuple[str, ...]]] = ContextVar("counterfoil_llama_index_late", default=())


class Entry(inflight.Entry):
    """One span, or a model's call in it. `step` is its own where it `owns` one, else the one that it stands in."""

    __slots__ = (
        "call",
        "call_id",
        "calls",
        "cancelled",
        "finish",
        "ident",
        "lazy",
        "name",
        "owns",
        "paused",
        "provider",
        "question",
        "ran",
        "role",
        "run",
        "said",
        "started_ns",
        "ttft_ns",
        "visits",
        "wanted",
    )

    def __init__(self, key: Hashable, parent: Entry | None, role: str, ident: int = 0) -> None:
        super().__init__(key, parent)
        self.role = role  # run, step, tool, model, llm, retrieval, query, folded, ...
        self.ident = ident  # id() of the instance, which lives meanwhile: a span may stand in one of the same
        self.name = ""
        self.started_ns = ids.now_ns()
        self.owns = False
        self.cancelled = False
        self.paused = False  # it stopped until an event comes
        self.question: Any = None  # what it has told a human, before it waits
        self.run: Run | None = None  # of a workflow's or agent's run
        self.visits: Visits | None = None  # of a user's workflow: its agents so far
        self.lazy: tuple[str, Taken] | None = None  # of a step that collects, until it does more: name, input
        self.call: str | None = None  # of a step that calls a tool: the tool
        self.call_id: str | None = None
        self.ran = False  # of such a step: the tool did run
        self.wanted = 0  # of a step: how many tools its model had asked for
        self.calls: list[Entry] | None = None  # of a model's span: its calls under way
        self.provider: str | None = None  # of a model's span
        self.ttft_ns: int | None = None  # of a streamed call
        self.said: str | None = None  # of a streamed call: its text so far
        self.finish: str | None = None  # of a streamed call: why it ended


class Tracker(InFlight[Entry]):
    """The spans in flight that are recorded to one store."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder: Final = recorder
        self.lock = threading.RLock()  # for what spans several entries: turns, who led to whom

    def place(self, parent_id: str | None) -> tuple[Entry | None, Step | None]:
        """Give the entry and the step that something with this parent begins in; (None, None) for a new run."""
        entry = self.find(parent_id)
        step: Step | None = None
        if entry is not None:
            self.begin_lazy(entry)
            step = entry.step
        elif parent_id is not None:
            step = self.ended_root(parent_id)
        reading, read = self._being_read()
        if read is not None and (step is None or (read.open and read.started_ns > step.started_ns)):
            entry, step = reading, read
        here = self.recorder.here()
        if step is None:
            return entry, here
        if here is not None and here.open and step in here.above():
            return entry, here  # of the host's, or of another framework's, in between
        return entry, step.standing()

    def _being_read(self) -> tuple[Entry | None, Step | None]:
        """Give the call of a model whose stream is being read, and its span; or the query's step, and None."""
        for span_id in reversed(late_parents.get()):
            call = self.find((span_id, "call"))
            if call is not None and not call.ended:
                return call.parent, call.step
            entry = self.find(span_id)
            step = entry.step if entry is not None else None
            step = step if step is not None else self.ended_root(span_id)
            if step is not None:
                return None, step
        return None, None

    def begin_lazy(self, entry: Entry) -> None:
        """Start the step of a collecting step that does something."""
        with self.lock:
            if entry.lazy is None:
                return
            (name, given), entry.lazy = entry.lazy, None
            entry.owns = True
            entry.step = self.recorder.start(
                "task",
                name,
                framework=FRAMEWORK,
                parent=entry.step,
                native_id=str(entry.key),
                input=given,
                t=entry.started_ns,
            )

    def begin(self, entry: Entry, kind: str, name: str, **facts: Any) -> Step:
        """Start the step of an entry in the step that it stands in; `facts` go to `Recorder.start`."""
        entry.owns = True
        entry.step = self.recorder.start(
            kind, name, framework=FRAMEWORK, parent=entry.step, **{"native_id": str(entry.key)} | facts
        )
        return entry.step

    def end(self, entry: Entry, status: str = "ok", **said: Any) -> None:
        """End the step of an entry, if it has one of its own; `said` goes to `Recorder.end`."""
        if entry.owns and entry.step is not None:
            entry.owns = False
            self.recorder.end(entry.step, status, **said)

    def fail(self, entry: Entry, error: BaseException, **said: Any) -> None:
        """End the step of an entry by an exception, which may be a pause or a cancellation."""
        if entry.owns and entry.step is not None:
            entry.owns = False
            self.recorder.fail(entry.step, error, **said)

    def let_go(self, entry: Entry) -> None:
        """Forget what a run knew: questions that were never answered, agents that never came."""
        entry.run = None
        entry.visits = None

    def current(self) -> Step | None:
        """Give the step that LlamaIndex's own context says we are in."""
        entry = self.find(active_span_id.get())
        if entry is not None:
            self.begin_lazy(entry)
        while entry is not None and (entry.step is None or not entry.step.open):
            entry = entry.parent
        step = entry.step if entry is not None else None
        _, read = self._being_read()
        if read is not None and read.open and (step is None or read.started_ns > step.started_ns):
            return read
        return step


def _new_lock(tracker: Tracker) -> None:
    tracker.lock = threading.RLock()


trackers: Final = Trackers(Tracker, Tracker.current, _new_lock)
