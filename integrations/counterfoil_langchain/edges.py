"""Who passed control to whom: Commands, Sends, routers, the edges of a graph (mapping.md, section 3).

A tool's handoff is recorded when it is asked. All else is recorded when an agent starts: only then is it known that
the node holds one, and which of several edges was taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from counterfoil.snapshot import text_of
from counterfoil.turns import reason_from
from counterfoil_langchain.graphs import Exit, Graph, Visit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from counterfoil.recorder import Handoff, Step
    from counterfoil_langchain.tracker import Entry, Tracker

__all__ = [
    "arrive", "asked_for", "commands_in", "destinations", "handed_back", "handoff_failed", "note_exit", "router_chose",
    "subagent_refused", "tool_begins", "tool_hands_over",
]  # fmt: skip

END: Final = "__end__"
#: langgraph-swarm's own way to the agent that spoke last: no choice of anybody's.
_SWARM_ROUTER: Final = "route_to_active_agent"


class _Edge(NamedTuple):
    mode: str
    source: str
    step: Step | None
    evidence: str
    coordinator: str | None
    t: int | None


def destinations(command: Any) -> tuple[str, ...]:
    """Give the names that a Command goes to, END left out."""
    goto = getattr(command, "goto", None)
    if not goto:
        return ()
    found = [one if isinstance(one, str) else getattr(one, "node", None) for one in _listed(goto)]
    return tuple(one for one in found if isinstance(one, str) and one != END)


def commands_in(output: Any) -> list[Any]:
    """Give the Commands that a node or a tool gave back."""
    return [one for one in _listed(output) if hasattr(one, "goto") and hasattr(one, "graph")]


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) else (value,)


def router_chose(entry: Entry, output: Any) -> None:
    """Take note of what a conditional edge's function picked; its run stands in the source node's."""
    node = entry.parent
    if node is None or node.visit is None or entry.name == _SWARM_ROUTER:
        return
    targets = [one if isinstance(one, str) else getattr(one, "node", None) for one in _listed(output)]
    names = tuple(str(one) for one in targets if one is not None and one != END)
    if names and all(isinstance(one, (str, bool, int)) or hasattr(one, "node") for one in _listed(output)):
        by = "router" if entry.name.startswith("Runnable") else entry.name
        node.visit.exits.append(Exit("router", names, by))


def note_exit(node: Entry, command: Any, step: Step | None = None) -> None:
    """Take note of a Command that a node gave back, or that one of its tools did."""
    names = destinations(command)
    if names and node.visit is not None:
        node.visit.exits.append(Exit("goto", names, "", step))


def tool_begins(
    tracker: Tracker,
    tool: Entry,
    step: Step,
    inputs: Mapping[str, Any] | None,
    metadata: Mapping[str, Any] | None,
) -> None:
    """Record what a tool asks for before it has run."""
    if metadata is not None and "__handoff_destination" in metadata:
        # langgraph-swarm, langgraph-supervisor: said in the tool's metadata. Recorded with its Command, or its failure.
        tool.memo = str(metadata["__handoff_destination"])
    elif tool.name == "task" and inputs is not None and "subagent_type" in inputs:
        # deepagents
        tracker.recorder.handoff(
            "escalation",
            target=str(inputs["subagent_type"]),
            step=step,
            reason=str(inputs["description"]) if "description" in inputs else None,
            payload=step.arguments,
            t=step.started_ns,
        )


def subagent_refused(tracker: Tracker, step: Step) -> None:
    """A sub-agent that was asked for by name and did not start: the framework knows none of that name."""
    for handoff in step.asked:
        if handoff.status == "requested" and handoff.mode == "escalation":
            tracker.recorder.advance(handoff, "refused", refused_by="framework")


def handoff_failed(tracker: Tracker, tool: Entry, error: BaseException) -> None:
    """A handoff tool raised: control never passed."""
    if tool.memo is not None and tool.step is not None:
        tracker.recorder.handoff(
            "transfer",
            target=tool.memo,
            step=tool.step,
            status="failed",
            reason=reason_from(tool.step.arguments, tool.step.said),
            payload=tool.step.arguments,
            error_message=text_of(error),
            t=tool.step.started_ns,
        )


def asked_for(step: Step) -> list[Handoff]:
    """Give the escalations that a tool made to this step."""
    tool = next((one for one in step.above() if one.kind == "tool"), None)
    return [] if tool is None else [one for one in tool.asked if one.target_step is step]


def tool_hands_over(tracker: Tracker, tool: Entry, output: Any) -> None:
    """Record the handoffs that a tool's Command asks of the graph around its agent; take note of all others."""
    step = tool.step
    if step is None:
        return
    for command in commands_in(output):
        names = destinations(command)
        if command.graph is None:
            node = tool.node_above()
            if node is not None:
                note_exit(node, command, step)
            continue
        for name in names:
            if name != step.agent:
                _request(tracker, step, name)


def _request(tracker: Tracker, step: Step, target: str) -> None:
    """Record that a tool call passes control to `target`."""
    tracker.recorder.handoff(
        "transfer",
        target=target,
        step=step,
        reason=reason_from(step.arguments, step.said),
        payload=step.arguments,
        t=step.started_ns,
    )


def handed_back(tracker: Tracker, node: Entry, output: Any) -> None:
    """langgraph-supervisor says in a message that its agent's answer went back: the transfer was an escalation."""
    visit, graph = node.visit, node.graph_above()
    found = output.get("messages") if isinstance(output, dict) else None
    if (
        visit is None
        or visit.agent is None
        or graph is None
        or graph.step is None
        or not isinstance(found, list)
    ):
        return
    if not any(
        (getattr(one, "response_metadata", None) or {}).get("__is_handoff_back") for one in found[-2:]
    ):
        return
    for handoff in graph.step.pending:
        if handoff.target_step is visit.agent and handoff.status == "accepted" and handoff.mode == "transfer":
            tracker.recorder.advance(handoff, "returned", mode="escalation", evidence="native")
            visit.returned = True


def arrive(tracker: Tracker, node: Entry, step: Step, before: list[Visit] | None = None) -> None:
    """Record by which edge the agent `step`, which runs in this node, was reached.

    `before` are the visits that led to the node, where they are not the last ones.
    """
    visit, above = node.visit, node.graph_above()
    graph = above.graph if above is not None else None
    if visit is None or above is None or graph is None or above.step is None:
        return
    first_here = visit.agent is None
    visit.agent = step
    graph.latest[visit.node] = step
    if graph.turn is not step:
        graph.turn = None  # the turn of a node's agent ends where another agent begins
    graph.barren.discard(visit.node)
    if step.came_by:
        _also_outside(above, step)
        return
    if not first_here:
        return  # the node's own code called another agent
    for handoff in above.step.pending:
        if handoff.status == "requested" and handoff.target in graph.barren:
            # Asked for a node that held no agent: the row goes to the next one reached.
            tracker.recorder.advance(handoff, "accepted", target=step.name, target_step=step)
            step.came_by = True
    was = graph.was if before is None else before
    edges = [] if step.came_by else _edges_to(graph, was, visit, step)
    for edge in edges:
        _record(tracker, edge, above.step, visit, step)
    if not edges and not step.came_by and not any(one.sources for one in was):
        outer = above.node_above()
        if outer is not None and above.step is not step:
            arrive(tracker, outer, step)
            return
    _also_outside(above, step)


def _also_outside(graph: Entry, step: Step) -> None:
    """An agent inside a graph inside a node: that node's visit ends with it."""
    node = graph.node_above()
    while node is not None and node.visit is not None:
        outer = node.graph_above()
        if node.step is step or outer is None:
            return
        node.visit.agent = step
        node = outer.node_above()


def _edges_to(graph: Graph, was: list[Visit], visit: Visit, step: Step) -> list[_Edge]:
    found: list[_Edge] = []
    for before in _before(graph, was, visit):
        chosen = [one for one in before.exits if visit.node in one.targets]
        if not chosen and before.exits and not visit.pushed:
            # add_conditional_edges(..., path_map={"yes": "node"}): the router's own word is no node's name.
            known = {one.node for one in graph.now}
            chosen = [one for one in before.exits if one.kind == "router" and not known & set(one.targets)]
        if chosen:
            found += _by_choice(before, chosen[0], visit)
        elif not before.exits and not visit.pushed and not before.returned:
            found += [
                _Edge("route", one.name, one, "inferred", None, before.ended_ns) for one in before.sources
            ]
    seen: set[str] = set()
    edges = []
    for edge in found:
        if edge.source != step.name and edge.source not in seen:
            seen.add(edge.source)
            edges.append(edge)
    return edges


def _before(graph: Graph, was: list[Visit], visit: Visit) -> list[Visit]:
    """Give the visits that may have led to this one: the step before, or those that a join waited for."""
    joined = [
        name for one in visit.triggers if one.startswith("join:") for name in one.split(":")[1].split("+")
    ]
    before = [one for one in was if not joined or one.node in joined]
    for name in joined:
        if name in graph.latest and not any(one.node == name for one in before):
            earlier = Visit(name, -1, (), pushed=False)
            earlier.agent = graph.latest[name]
            before.append(earlier)
    return before


def _by_choice(before: Visit, chosen: Exit, visit: Visit) -> list[_Edge]:
    sources = before.sources
    if chosen.kind == "goto":
        return [
            _Edge("transfer", one.name, chosen.step or one, "native", None, before.ended_ns)
            for one in sources
        ]
    evidence = "native" if visit.node in chosen.targets else "inferred"
    if not sources:
        return [_Edge("route", chosen.by, None, evidence, chosen.by, before.ended_ns)]
    return [_Edge("route", one.name, one, evidence, chosen.by, before.ended_ns) for one in sources]


def _record(tracker: Tracker, edge: _Edge, holder: Step, visit: Visit, step: Step) -> None:
    recorder = tracker.recorder
    if edge.mode == "route":
        recorder.handoff(
            "route",
            source=edge.source,
            target=step.name,
            target_asked=visit.node,
            step=edge.step,
            coordinator=edge.coordinator,
            evidence=edge.evidence,
            status="accepted",
            target_step=step,
            holder=holder,
            t=edge.t,
        )
        step.came_by = True
        return
    asked = edge.step
    reason = decided = decided_evidence = None
    if asked is not None and asked.kind == "tool":
        reason = reason_from(asked.arguments, asked.said)
    elif asked is not None and asked.turn is not None:
        choice = asked.turn.chose()
        if choice is not None:
            decided, decided_evidence, reason = choice
    made = recorder.handoff(
        "transfer",
        source=edge.source,
        target=step.name,
        target_asked=visit.node,
        step=asked,
        reason=reason,
        decided=decided,
        decided_evidence=decided_evidence,
        holder=holder,
        t=edge.t,
    )
    recorder.advance(made, "accepted", target_step=step)
    step.came_by = True
