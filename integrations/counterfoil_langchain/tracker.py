"""Which LangChain run is which step: ids, names and small strings only, never a live object of the host.

One tracker for each store and process, so that two handlers on the same store record a run once.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

from counterfoil import context
from counterfoil.recorder import Recorder, Step

if TYPE_CHECKING:
    from uuid import UUID

    from counterfoil.events import Message
    from counterfoil_langchain.graphs import Graph, Visit

__all__ = ["Entry", "Tracker", "tracker_of", "trackers"]

#: Roots whose end never came (a bare model call cancelled in asyncio has none): the oldest are let go.
MOST_ROOTS: Final = 4096
#: Ended roots that a late child may still name, and how many runs each may have had.
RECENT_ROOTS: Final = 64
RECENT_RUNS: Final = 2048
#: Open steps of ended roots, whose end may still come.
MOST_LATE: Final = 1024


class Entry:
    """One LangChain run, by its run id: the step it is, or the nearest above it where it is folded away."""

    __slots__ = (
        "asked",
        "calls",
        "ended",
        "graph",
        "inner",
        "integration",
        "label",
        "level",
        "members",
        "memo",
        "name",
        "node",
        "owns",
        "parent",
        "pause",
        "role",
        "root",
        "router",
        "run_id",
        "started_ns",
        "step",
        "ttft_ns",
        "visit",
        "waits",
    )

    def __init__(self, run_id: UUID, parent: Entry | None, name: str, role: str) -> None:
        self.run_id = run_id
        self.parent = parent
        self.name = name
        self.role = role  # graph, node, chain, folded, llm, tool, retriever
        self.root: Entry = self if parent is None else parent.root
        self.members: list[UUID] | None = [run_id] if parent is None else None
        self.step: Step | None = None
        self.owns = False
        self.ended = False
        self.started_ns = 0
        self.integration: str | None = None  # metadata ls_integration
        self.label: str | None = None  # metadata lc_agent_name: leaks from the caller, see naming.py
        self.node: str | None = None  # of a node's run
        self.level: int | None = None  # of a node's run: langgraph_step
        self.graph: Graph | None = None  # of a graph's run
        self.visit: Visit | None = None  # of a node's run
        self.inner = False  # a graph folded with its node
        self.calls: dict[str, tuple[str, bytes] | None] | None = None  # of a node's run: tool calls
        self.ttft_ns: int | None = None
        self.pause = False  # of a graph's run: it stopped to ask a human
        self.asked: set[str] | None = None  # of a root: questions put so far
        self.memo: str | None = None  # from start to end: a tool's destination, a retriever's query
        self.router = False  # a conditional edge's function
        self.waits: tuple[list[Message] | None, bytes | None] | None = None  # see chains.settle

    def node_above(self) -> Entry | None:
        """Give the nearest node above, but none beyond a tool or another graph."""
        entry = self.parent
        while entry is not None:
            if entry.role == "node":
                return entry
            if entry.role == "tool" or entry.graph is not None:
                return None
            entry = entry.parent
        return None

    def graph_above(self) -> Entry | None:
        """Give the run of the graph that this node's run stands in."""
        entry = self.parent
        while entry is not None:
            if entry.graph is not None:
                return entry
            if entry.role == "tool":
                return None
            entry = entry.parent
        return None


class Tracker:
    """The runs in flight that are recorded to one store."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder: Final = recorder
        self.entries: dict[UUID, Entry] = {}
        self.tentative: dict[Step, Graph] = {}  # agents as far as is known, see agents.py
        self.lock = threading.RLock()  # for what spans several entries: who is an agent, who led to whom
        self._roots: OrderedDict[UUID, Entry] = OrderedDict()
        self._late: OrderedDict[UUID, Entry] = OrderedDict()
        self._recent: deque[tuple[Step, frozenset[UUID]]] = deque(maxlen=RECENT_ROOTS)

    def add(self, entry: Entry) -> None:
        """Keep a run until its root ends."""
        self.entries[entry.run_id] = entry
        root = entry.root
        if root is entry:
            self._roots[entry.run_id] = entry
            while len(self._roots) > MOST_ROOTS:
                self._drop(self._roots.popitem(last=False)[1])
        elif root.members is not None:
            root.members.append(entry.run_id)
        else:  # its root has ended meanwhile
            self._keep_late(entry)

    def pop(self, run_id: UUID) -> Entry | None:
        """Give the run that ends now, once; None for one never seen, or seen to end already."""
        entry = self.entries.get(run_id)
        if entry is None:
            entry = self._late.pop(run_id, None)
        if entry is None or entry.ended:
            return None
        entry.ended = True
        return entry

    def close(self, root: Entry) -> None:
        """Let go of everything below a root that has ended."""
        self._roots.pop(root.run_id, None)
        self._drop(root)

    def _drop(self, root: Entry) -> None:
        members, root.members = root.members, None
        if members is None:
            return
        for run_id in members:
            entry = self.entries.pop(run_id, None)
            if entry is not None and not entry.ended and entry is not root:
                self._keep_late(entry)
            if entry is not None and entry.graph is not None and entry.step is not None:
                self.tentative.pop(entry.step, None)
        if root.step is not None and len(members) <= RECENT_RUNS:
            self._recent.append((root.step, frozenset(members)))

    def _keep_late(self, entry: Entry) -> None:
        self.entries.pop(entry.run_id, None)
        self._late[entry.run_id] = entry
        while len(self._late) > MOST_LATE:
            self._late.popitem(last=False)

    def find(self, run_id: UUID | None) -> Entry | None:
        """Give the run of this id, also one that outlived its root."""
        if run_id is None:
            return None
        return self.entries.get(run_id) or self._late.get(run_id)

    def place(self, parent_run_id: UUID | None) -> tuple[Entry | None, Step | None]:
        """Give the run and the step that a run with this parent starts in; (None, None) for a new root."""
        entry = self.find(parent_run_id)
        if entry is not None and entry.step is not None:
            return entry, self._innermost(entry.step)
        if parent_run_id is not None:
            for step, members in reversed(self._recent):
                if parent_run_id in members:
                    return None, step
        # Explicit callbacks, even `[]`, cut a child off from its parent: the framework's own context knows.
        entry = self.find(_running_in())
        here = self.recorder.here()
        return entry, here.standing() if here is not None else None

    def settled_place(self, parent_run_id: UUID | None) -> tuple[Entry | None, Step | None]:
        """Give the same for a model, tool or retriever, which also tells what a node above it is."""
        entry, step = self.place(parent_run_id)
        if entry is not None and entry.waits is not None:
            from counterfoil_langchain.chains import settle  # noqa: PLC0415  # chains stand above trackers

            settle(self, entry, None)
            step = entry.step
        return entry, step

    def _innermost(self, step: Step) -> Step:
        """Give a `counterfoil.step` of the host's that stands between `step` and here, else `step`, if open."""
        for place in reversed(context.stack()):
            if place.store == step.store:
                if (
                    isinstance(place, Step)
                    and place.open
                    and place.run_id == step.run_id
                    and place.started_ns > step.started_ns
                ):
                    return place
                break
        return step.standing()

    def current(self) -> Step | None:
        """Give the step that LangChain's own context says we are in."""
        run_id = _running_in()
        if run_id is None:
            return None
        entry = self.find(run_id)
        if entry is not None:
            return entry.step
        for step, members in reversed(self._recent):
            if run_id in members:
                return step
        return None


def _running_in() -> UUID | None:
    config = sys.modules.get("langchain_core.runnables.config")
    if config is None:
        return None
    running = config.var_child_runnable_config.get()
    if running is None:
        return None
    found: UUID | None = getattr(running.get("callbacks"), "parent_run_id", None)
    return found


_trackers: dict[str, Tracker] = {}
_lock = threading.Lock()


def tracker_of(recorder: Recorder) -> Tracker:
    """Give the one tracker of a recorder's store."""
    with _lock:
        tracker = _trackers.get(recorder.path)
        if tracker is None or tracker.recorder is not recorder:
            tracker = _trackers[recorder.path] = Tracker(recorder)
        return tracker


def trackers() -> tuple[Tracker, ...]:
    """Give every tracker of this process."""
    return tuple(_trackers.values())


def _find(store: str) -> Step | None:
    tracker = _trackers.get(store)
    return None if tracker is None else tracker.current()


def _in_child() -> None:
    global _lock  # what another thread held at the fork, nobody lets go of in the child
    _lock = threading.Lock()
    for tracker in _trackers.values():
        tracker.lock = threading.RLock()


context.find_with(_find)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
