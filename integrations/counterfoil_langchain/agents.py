"""Which of a graph's parts are agents.

An agent's builder says so in metadata. Of any other graph it is settled at its model calls (mapping.md, section 2): one
node that calls a model itself makes the graph an agent; several make each of those nodes an agent of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from counterfoil.adapters import UNNAMED, tidy
from counterfoil_langchain import edges, naming

if TYPE_CHECKING:
    from counterfoil.recorder import Step
    from counterfoil_langchain.graphs import Graph
    from counterfoil_langchain.tracker import Entry, Tracker

__all__ = ["agent_began", "agent_begins", "become_agent", "joins_turn", "model_called", "note_step"]

#: Steps that are given to a node's agent, should its graph turn out not to be one.
MOST_STEPS: Final = 2000


def agent_begins(tracker: Tracker, entry: Entry) -> None:
    """Before an agent's turn is recorded: the graphs around it are no agents, if they were taken for such."""
    node = entry if entry.role == "node" else entry.node_above()
    while node is not None:
        above = node.graph_above()
        graph = above.graph if above is not None else None
        if above is None or graph is None:
            return
        if graph.shape == "plain":
            with tracker.lock:
                graph.nested = True
                if graph.settled == "graph":
                    _take_apart(tracker, above, graph)
        node = above.node_above()


def agent_began(tracker: Tracker, entry: Entry) -> None:
    """After an agent's turn was recorded: find the edge by which it came."""
    node = entry.node_above()
    if node is not None and entry.step is not None:
        with tracker.lock:
            edges.arrive(tracker, node, entry.step)


def become_agent(tracker: Tracker, entry: Entry, name: str, evidence: str) -> None:
    """Say of a graph that has begun that it is an agent."""
    step = entry.step
    if step is None or step.kind == "agent":
        return
    agent_begins(tracker, entry)
    tracker.recorder.amend(
        step,
        kind="agent",
        name=name if name != step.name else None,
        agent=name,
        evidence=evidence,
        aliases=naming.aliases_of(entry, name),
    )
    agent_began(tracker, entry)


def joins_turn(graph: Graph, step: Step) -> None:
    """Count a node's step into the turn of the node agent that came before it."""
    turn = graph.turn
    if turn is not None and graph.settled == "nodes":
        step.turn, step.turn_step = turn.turn, turn


def note_step(tracker: Tracker, entry: Entry, step: Step) -> None:
    """Remember a step whose agent is not known yet, or only as far as is known."""
    if step.turn_step is not None:
        graph = tracker.tentative.get(step.turn_step)
        if graph is not None and len(graph.since) < MOST_STEPS:
            graph.since.append(step)
    elif entry.parent is not None:
        above = entry.graph_above()
        graph = above.graph if above is not None else None
        if graph is not None and graph.settled is None and len(graph.early) < MOST_STEPS:
            graph.early.append(step)


def model_called(tracker: Tracker, model: Entry) -> None:
    """Settle, before a model's step is recorded, whose call it is."""
    node = model.node_above()
    above = node.graph_above() if node is not None else None
    graph = above.graph if above is not None else None
    if node is None or above is None or graph is None or graph.shape != "plain":
        return
    with tracker.lock:
        if graph.settled is None and not graph.nested:
            _take_for_agent(tracker, above, graph, node, model)
            return
        if graph.settled == "graph":
            if graph.caller is not None and graph.caller.node == node.node:
                return
            _take_apart(tracker, above, graph)
        graph.settled = "nodes"
        _begin_turn(tracker, graph, node, model)


def _claim(tracker: Tracker, model: Entry, agent: Step) -> None:
    """Give an agent the steps around its first model call: they began before it was known to be one."""
    around = model.step
    while around is not None and around is not agent:
        if around.turn_step is not agent:
            tracker.recorder.amend(around, agent=agent.name)
            around.turn, around.turn_step = agent.turn, agent
        around = around.parent


def _take_for_agent(tracker: Tracker, entry: Entry, graph: Graph, node: Entry, model: Entry) -> None:
    """The first model call: as far as is known, the graph is one agent."""
    step = entry.step
    if step is None:
        return
    graph.settled, graph.caller, graph.before, graph.name = "graph", node, graph.was, step.name
    name = naming.agent_name(entry)
    if name == UNNAMED:
        name = tidy(node.node or name)
    become_agent(tracker, entry, name, "inferred")
    tracker.tentative[step] = graph
    for one in graph.early:
        tracker.recorder.amend(one, agent=name)
        one.turn, one.turn_step = step.turn, step
    _claim(tracker, model, step)


def _take_apart(tracker: Tracker, entry: Entry, graph: Graph) -> None:
    """Another node calls a model too, or holds an agent: the graph is none, the node that called first is one."""
    step, caller = entry.step, graph.caller
    first = caller.step if caller is not None else None
    if step is None or caller is None or first is None or caller.visit is None:
        return
    graph.settled = "nodes"
    turn, came_by = step.turn, step.came_by
    since, graph.since = graph.since, []
    tracker.tentative.pop(step, None)
    outer = step.parent
    tracker.recorder.amend(
        step,
        kind="workflow",
        name=graph.name if graph.name != step.name else None,
        agent=(outer.agent if outer is not None else None) or "",  # an empty name takes the old one away
        evidence="native",
    )
    step.turn, step.turn_step, step.agent = (
        (outer.turn, outer.turn_step, outer.agent) if outer is not None else (None, None, None)
    )
    for handoff in edges.asked_for(step):
        tracker.recorder.advance(handoff, handoff.status, target=step.name, target_type="workflow")
    name = tidy(caller.node or first.name)
    tracker.recorder.amend(first, kind="agent", name=name, agent=name, evidence="inferred")
    first.turn = turn
    for one in since:
        if one is not first:
            tracker.recorder.amend(one, agent=name)
            one.turn, one.turn_step = turn, first
    for one in graph.early:
        if one is not first:
            tracker.recorder.amend(one, agent=step.agent or "")
            one.turn, one.turn_step, one.agent = step.turn, step.turn_step, step.agent
    graph.early = []
    first.came_by = first.came_by or came_by
    graph.turn, graph.turn_level = first, caller.visit.level
    for visit in (*graph.was, *graph.now):
        if visit.agent is None and visit.node == caller.node:
            visit.agent = first
        elif not visit.carried and visit.level > caller.visit.level:
            visit.carried = (first,)
    caller.visit.agent = None
    edges.arrive(tracker, caller, first, graph.before)
    graph.before = []


def _begin_turn(tracker: Tracker, graph: Graph, node: Entry, model: Entry) -> None:
    """A node calls a model itself, as others of its graph do: an agent's turn, unless it goes on with its own."""
    step, visit = node.step, node.visit
    if step is None or visit is None or step.kind == "agent":
        return
    name = tidy(node.node or node.name)
    turn = graph.turn
    if turn is not None and turn.name == name and graph.turn_level < visit.level:
        graph.turn_level = visit.level
        return
    graph.turn, graph.turn_level = step, visit.level
    tracker.recorder.amend(
        step, kind="agent", name=name if name != step.name else None, agent=name, evidence="inferred"
    )
    _claim(tracker, model, step)
    edges.arrive(tracker, node, step)
