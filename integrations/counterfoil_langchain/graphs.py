"""A graph while it runs: which nodes are visited, in which order, and where each said to go next."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from counterfoil.recorder import Step
    from counterfoil_langchain.tracker import Entry

__all__ = ["Exit", "Graph", "Visit", "node_begins", "node_ends"]


class Exit(NamedTuple):
    """Where a node's visit said to go next: by a router's choice or a Command's goto."""

    kind: str  # router, goto
    targets: tuple[str, ...]
    by: str  # the router's name
    step: Step | None = None  # the tool call that asked


class Visit:
    """One run of a node: the agent that it held, else those that led to it."""

    __slots__ = ("agent", "carried", "ended_ns", "exits", "level", "node", "pushed", "returned", "triggers")

    def __init__(self, node: str, level: int, triggers: tuple[str, ...], *, pushed: bool) -> None:
        self.node = node
        self.level = level
        self.triggers = triggers
        self.pushed = pushed  # by a Send
        self.agent: Step | None = None
        self.carried: tuple[Step, ...] = ()
        self.exits: list[Exit] = []
        self.returned = False  # its agent's answer went back to who asked
        self.ended_ns: int | None = None

    @property
    def sources(self) -> tuple[Step, ...]:
        """The agents that this visit's edges come from."""
        return (self.agent,) if self.agent is not None else self.carried


class Graph:
    """A graph's run. `shape` is `native` or `react` where its builder makes agents, else `plain`."""

    __slots__ = (
        "barren", "before", "caller", "early", "latest", "level", "name", "nested", "now", "settled", "shape", "since", "turn",
        "turn_level", "was",
    )  # fmt: skip

    def __init__(self, shape: str) -> None:
        self.shape = shape
        # Who is an agent here (agents.py): None is not known yet, `graph` it is one, `nodes` some of them are.
        self.settled: str | None = None
        self.nested = False  # an agent's graph stands in one of its nodes
        self.name = ""  # of the graph's step before it was an agent
        self.caller: Entry | None = None  # the node that called a model first
        self.before: list[Visit] = []  # the visits that came just before it
        self.early: list[Step] = []  # steps begun before that
        self.since: list[Step] = []  # steps begun while the graph was taken for an agent
        self.turn: Step | None = None  # the node agent whose turn it is
        self.turn_level = -1
        # Where we are: LangGraph runs nodes in steps, each a set at once.
        self.level = -1
        self.now: list[Visit] = []
        self.was: list[Visit] = []
        self.latest: dict[str, Step] = {}  # the last agent of each node
        self.barren: set[str] = set()  # nodes that were visited and held no agent


def node_begins(graph: Graph, node: Entry, triggers: tuple[str, ...], *, pushed: bool) -> None:
    """Take note of a node's run: which visits came just before it."""
    level = node.level if node.level is not None else -1
    if level != graph.level:
        if graph.now:
            graph.was = graph.now
        graph.now = []
        graph.level = level
    visit = node.visit = Visit(node.node or node.name, level, triggers, pushed=pushed)
    carried: list[Step] = []
    for before in graph.was:
        carried += [one for one in before.sources if one not in carried]
    visit.carried = tuple(carried)
    graph.now.append(visit)


def node_ends(graph: Graph, visit: Visit, now: int) -> None:
    """Take note of the end of a node's run."""
    visit.ended_ns = now
    if visit.agent is None:
        graph.barren.add(visit.node)
