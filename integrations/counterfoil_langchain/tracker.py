"""Which LangChain run is which step: ids, names and small strings only, never a live object of the host.

One tracker for each store and process, so that two handlers on the same store record a run once.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Final

from counterfoil import context, inflight
from counterfoil.inflight import InFlight, Trackers, innermost

if TYPE_CHECKING:
    from uuid import UUID

    from counterfoil.recorder import Recorder, Step
    from counterfoil.snapshot import Taken
    from counterfoil_langchain.graphs import Graph, Visit

__all__ = ["FRAMEWORK", "Entry", "Tracker", "trackers"]

FRAMEWORK: Final = "langchain"

#: What is above these is no part of the graph that an entry belongs to.
_BORDERS: Final = frozenset({"foreign", "tool"})
#: A step of the host's belongs to the run that it stands in.
_NOT_FOREIGN: Final = frozenset({FRAMEWORK, "python"})


class Entry(inflight.Entry):
    """One LangChain run, by its run id: the step it is, or the nearest above it where it is folded away."""

    run_id: UUID
    name: str
    role: str  # graph, node, chain, folded, llm, tool, retriever, foreign (see Tracker._foreign)
    started_ns: int
    owns = False
    integration: str | None = None  # metadata ls_integration
    label: str | None = None  # metadata lc_agent_name: leaks from the caller, see naming.py
    node: str | None = None  # of a node's run
    level: int | None = None  # of a node's run: langgraph_step
    graph: Graph | None = None  # of a graph's run
    visit: Visit | None = None  # of a node's run
    inner = False  # a graph folded with its node
    calls: dict[str, tuple[str, bytes] | None] | None = None  # of a node's run: tool calls
    ttft_ns: int | None = None
    pause = False  # of a graph's run: it stopped to ask a human
    asked: set[str] | None = None  # of a root: questions put so far
    memo: str | None = None  # from start to end: a tool's destination, a retriever's query
    router = False  # a conditional edge's function
    waits: tuple[list[Taken] | None, bytes | None] | None = None  # see chains.settle

    def node_above(self) -> Entry | None:
        """Give the nearest node above, but none beyond a tool, another graph or another framework."""
        entry = self.parent
        while entry is not None:
            if entry.role == "node":
                return entry
            if entry.role in _BORDERS or entry.graph is not None:
                return None
            entry = entry.parent
        return None

    def graph_above(self) -> Entry | None:
        """Give the run of the graph that this node's run stands in."""
        entry = self.parent
        while entry is not None:
            if entry.graph is not None:
                return entry
            if entry.role in _BORDERS:
                return None
            entry = entry.parent
        return None


class Tracker(InFlight[Entry]):
    """The runs in flight that are recorded to one store."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder: Final = recorder
        self.tentative: dict[Step, Graph] = {}  # agents as far as is known, see agents.py
        self.lock = threading.RLock()  # for what spans several entries: who is an agent, who led to whom

    def let_go(self, entry: Entry) -> None:
        """Forget who was taken for an agent."""
        if entry.graph is not None and entry.step is not None:
            self.tentative.pop(entry.step, None)

    def place(self, parent_run_id: UUID | None) -> tuple[Entry | None, Step | None]:
        """Give the run and the step that a run with this parent starts in; (None, None) for a new root."""
        if parent_run_id is not None:
            entry = self.find(parent_run_id.int)
            step = entry.step if entry is not None else None
            if entry is not None and step is not None:
                foreign = self._foreign(entry, step)
                if foreign is not None:
                    return foreign, foreign.step
                return entry, step if step.open and not context.stack() else innermost(step)
            root = self.ended_root(parent_run_id.int)
            if root is not None:
                return None, root
        # Explicit callbacks, even `[]`, cut a child off from its parent: the framework's own context knows.
        entry = self.find(_running_in())
        if entry is not None and entry.step is not None:
            foreign = self._foreign(entry, entry.step)
            if foreign is not None:
                return foreign, foreign.step
        here = self.recorder.here()
        return entry, here.standing() if here is not None else None

    def _foreign(self, entry: Entry, step: Step) -> Entry | None:
        """Give an entry for another framework's step in which we are, if that stands in this run's `step`.

        LangChain takes the run that it finds in its context for the parent, whatever was called in between.
        """
        here = self.recorder.here()
        if here is None or here is step or here.framework in _NOT_FOREIGN or not here.open:
            return None
        if step not in here.above():
            return None
        between = Entry(None, entry)
        between.role, between.name, between.step = "foreign", here.name, here
        between.run_id, between.started_ns = entry.run_id, here.started_ns
        between.integration, between.label = (
            entry.integration,
            entry.label,
        )  # metadata is inherited all the same
        return between

    def settled_place(self, parent_run_id: UUID | None) -> tuple[Entry | None, Step | None]:
        """Give the same for a model, tool or retriever, which also tells what a node above it is."""
        entry, step = self.place(parent_run_id)
        if entry is not None and entry.waits is not None:
            from counterfoil_langchain.chains import settle  # noqa: PLC0415  # chains stand above trackers

            settle(self, entry, None)
            step = entry.step
        return entry, step

    def current(self) -> Step | None:
        """Give the step that LangChain's own context says we are in."""
        key = _running_in()
        if key is None:
            return None
        entry = self.find(key)
        return entry.step if entry is not None else self.ended_root(key)


def _running_in() -> int | None:
    config = sys.modules.get("langchain_core.runnables.config")
    if config is None:
        return None
    running = config.var_child_runnable_config.get()
    if running is None:
        return None
    found: UUID | None = getattr(running.get("callbacks"), "parent_run_id", None)
    return None if found is None else found.int


def _new_lock(tracker: Tracker) -> None:
    tracker.lock = threading.RLock()


trackers: Final = Trackers(Tracker, Tracker.current, _new_lock)
