"""Chains: graphs, nodes, agents' graphs, and much plumbing. Which of them are steps (mapping.md, section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from counterfoil import ids
from counterfoil.recorder import UNSET, Step
from counterfoil.snapshot import snapshot
from counterfoil.steps import status_of
from counterfoil_langchain import agents, edges, failures, graphs, humans, naming, tools
from counterfoil_langchain.messages import split_state
from counterfoil_langchain.runs import begin, entry_of, fail, over

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from counterfoil_langchain.tracker import Entry, Tracker

__all__ = ["chain_ends", "chain_fails", "chain_starts", "settle"]

#: The function inside a node, traced under its own name: langgraph-supervisor's, create_react_agent's.
_WRAPPERS: Final = frozenset({"call_agent", "call_model"})
#: create_react_agent's node for the model.
_REACT_MODEL: Final = "agent"
_REACT_TOOLS: Final = "tools"


def chain_starts(
    tracker: Tracker,
    run_id: UUID,
    parent_run_id: UUID | None,
    name: str,
    inputs: Any,
    tags: Sequence[str] | None,
    metadata: Mapping[str, Any] | None,
    run_type: str | None,
) -> None:
    """Record the start of a chain, or fold it into what it stands in."""
    above, place = tracker.place(parent_run_id)
    entry = entry_of(run_id, above, name, "chain", metadata)
    is_node = naming.is_node(tags)
    if place is not None and not is_node and not _root_of(place).open and naming.is_surely_graph(entry):
        # What it came from is over: an agent or graph that starts now is a run of its own.
        above = place = None
        entry = entry_of(run_id, None, name, "chain", metadata)
    entry.step = place
    if above is not None and above.waits is not None:
        settle(tracker, above, entry)
        entry.step = above.step
    if is_node:
        _node_starts(tracker, entry, inputs, tags, metadata)
    elif naming.is_agent_graph(entry):
        _agent_starts(tracker, entry, inputs, tags, metadata)
    elif entry.step is None:
        kind = "other"
        if entry.integration is not None:
            kind, entry.graph = "workflow", graphs.Graph("plain")
        _starts_run(tracker, entry, kind, name, inputs, tags, metadata)
    elif not _folds(entry, tags, run_type):
        if _is_task(entry, metadata):
            _node_starts(tracker, entry, inputs, tags, metadata)
        else:
            kind = "workflow" if name == naming.DEFAULT_NAME else "other"
            begin(tracker, entry, kind, name, state=inputs)
    tracker.add(entry)


def chain_ends(tracker: Tracker, entry: Entry, outputs: Any) -> None:
    """Record the end of a chain."""
    if entry.role == "node":
        _node_ends(tracker, entry, outputs)
    elif entry.router:
        edges.router_chose(entry, outputs)
    if entry.owns and entry.step is not None:
        messages, rest, some = split_state(outputs)
        tracker.recorder.end(
            entry.step,
            "waiting" if entry.pause else "ok",  # a paused root graph returns as if it were done
            messages=messages,
            output=rest if some else UNSET,
        )
    over(tracker, entry)


def chain_fails(tracker: Tracker, entry: Entry, error: BaseException) -> None:
    """Record that a chain raised: an error, a pause, or control flow."""
    if entry.role == "node":
        if entry.waits is not None:
            settle(tracker, entry, None)
        above, command = entry.graph_above(), failures.parent_command(error)
        if entry.visit is not None and above is not None and above.graph is not None:
            if command is not None:
                edges.note_exit(entry, command)
            graphs.node_ends(above.graph, entry.visit, ids.now_ns())
        if status_of(error) == "waiting" and above is not None:
            above.pause = True
    fail(tracker, entry, error)


def settle(tracker: Tracker, node: Entry, child: Entry | None) -> None:
    """Decide about a node named `agent`: by its first child it is create_react_agent's own, or the user's."""
    waits, node.waits = node.waits, None
    above = node.graph_above()
    if waits is None or above is None or above.graph is None:
        return
    node.step = above.step
    if child is not None and child.name == "call_model" and child.role == "chain":
        above.graph.shape = "react"
        node.visit = None
        agents.become_agent(tracker, above, naming.agent_name(above), "inferred")
        return
    messages, rest = waits
    begin(
        tracker,
        node,
        "task",
        node.node or node.name,
        messages=messages,
        input=msgspec.json.decode(rest) if rest is not None else UNSET,
    )


# -- graphs


def _starts_run(
    tracker: Tracker,
    entry: Entry,
    kind: str,
    name: str,
    inputs: Any,
    tags: Sequence[str] | None,
    metadata: Mapping[str, Any] | None,
    **facts: Any,
) -> None:
    """Start a step that may be a run's root, and with it a run that goes on with a paused one."""
    resuming = entry.parent is None and humans.resumes(inputs, metadata)
    if resuming:
        facts["resuming"] = True
    step = begin(tracker, entry, kind, name, state=inputs, tags=tags, metadata=metadata, **facts)
    if resuming and inputs is not None:
        humans.resume_answers(tracker, step, inputs.resume)
    elif resuming:
        entry.memo = humans.GO_ON


def _agent_starts(
    tracker: Tracker,
    entry: Entry,
    inputs: Any,
    tags: Sequence[str] | None,
    metadata: Mapping[str, Any] | None,
) -> None:
    """Start an agent's graph: one step with its node, if that holds nothing else."""
    entry.graph = graphs.Graph("native")
    node = _wrapped_by(entry)
    entry.inner = node is not None and _shares_name(entry, node)
    name = naming.agent_name(entry)
    if entry.inner:
        agents.become_agent(tracker, entry, name, "native")
        return
    agents.agent_begins(tracker, entry)
    aliases = naming.aliases_of(entry, name)
    _starts_run(tracker, entry, "agent", name, inputs, tags, metadata, aliases=aliases)
    agents.agent_began(tracker, entry)


def _confirm_graph(tracker: Tracker, entry: Entry, node: str) -> graphs.Graph:
    """Take a run with a node below it for a graph, whatever it was taken for."""
    is_agent = naming.looks_like_agent(entry, node)
    entry.graph = graphs.Graph("native" if is_agent else "plain")
    step = entry.step
    if not entry.owns and not entry.inner:
        begin(tracker, entry, "workflow", entry.name)
    elif step is not None and step.kind in {"other", "task"} and not is_agent:
        tracker.recorder.amend(step, kind="workflow")
    if is_agent:
        agents.become_agent(tracker, entry, naming.agent_name(entry), "inferred")
    return entry.graph


def _wrapped_by(entry: Entry) -> Entry | None:
    """Give the node that a chain stands in directly, but for a wrapper that is folded."""
    above = entry.parent
    while above is not None and above.role == "chain" and above.name in _WRAPPERS and not above.owns:
        above = above.parent
    return above if above is not None and above.role == "node" else None


def _shares_name(entry: Entry, node: Entry) -> bool:
    """Tell whether a graph is all that its node holds: two runs, one name or no name, one step."""
    return node.owns and entry.step is node.step and entry.name in {node.node, naming.DEFAULT_NAME}


def _folds(entry: Entry, tags: Sequence[str] | None, run_type: str | None) -> bool:
    """Tell whether a chain below another run is no step of its own."""
    above = entry.parent
    in_node = above is not None and above.role == "node"
    entry.router = in_node and naming.is_after_node(tags)
    if entry.router or naming.is_hidden(tags) or naming.is_plumbing(entry.name, run_type):
        return True
    if above is None or not in_node:
        node = _wrapped_by(entry)
        entry.inner = node is not None and _shares_name(entry, node)
        return entry.inner
    entry.inner = _shares_name(entry, above)
    return entry.inner or entry.name in _WRAPPERS


def _is_task(entry: Entry, metadata: Mapping[str, Any] | None) -> bool:
    """Tell whether a chain is a `@task` of langgraph.func: a node within a node."""
    above = entry.parent
    return (
        above is not None
        and above.role == "node"
        and above.node != entry.name
        and metadata is not None
        and metadata.get("langgraph_node") == entry.name
    )


def _root_of(step: Step) -> Step:
    while step.parent is not None:
        step = step.parent
    return step


# -- nodes


def _node_starts(
    tracker: Tracker,
    entry: Entry,
    inputs: Any,
    tags: Sequence[str] | None,
    metadata: Mapping[str, Any] | None,
) -> None:
    given = metadata or {}
    entry.role = "node"
    node = entry.node = str(given.get("langgraph_node") or entry.name)
    entry.level = given.get("langgraph_step")
    entry.calls = tools.calls_in(inputs)
    above = entry.parent
    if above is None:  # its graph was not recorded: a node by itself
        begin(tracker, entry, "task", node, state=inputs, tags=tags, metadata=metadata)
        return
    if above.role == "node":  # a @task
        above = above.graph_above() or above
    graph = above.graph
    if graph is None:
        graph = _confirm_graph(tracker, above, node)
        entry.step = above.step
    if graph.shape == "plain":
        path = given.get("langgraph_path") or ("",)
        pushed = path[0] == "__pregel_push"
        graphs.node_begins(graph, entry, tuple(given.get("langgraph_triggers") or ()), pushed=pushed)
        if naming.is_hidden(tags):
            return
        if node == _REACT_MODEL and graph.settled is None and not graph.nested:
            messages, rest, some = split_state(inputs)
            entry.waits = (messages, snapshot(rest) if some else None)
            return
        if pushed and node == _REACT_TOOLS and entry.calls and graph.settled is None and not graph.nested:
            # Only create_react_agent sends calls to a node of this name: it goes on after a pause.
            graph.shape = "react"
            entry.visit = None
            agents.become_agent(tracker, above, naming.agent_name(above), "inferred")
            entry.step = above.step
            return
    elif node in naming.own_nodes(graph.shape):
        return
    kind = "guardrail" if naming.is_guardrail(node) else "task"
    turn = graph.turn if graph.settled == "nodes" else None
    step = begin(tracker, entry, kind, node, state=inputs, agent=turn.agent if turn is not None else None)
    agents.joins_turn(graph, step)


def _node_ends(tracker: Tracker, entry: Entry, outputs: Any) -> None:
    if entry.waits is not None:
        settle(tracker, entry, None)
    above = entry.graph_above()
    if entry.visit is not None and above is not None and above.graph is not None:
        for command in edges.commands_in(outputs):
            edges.note_exit(entry, command)
        edges.handed_back(tracker, entry, outputs)
        graphs.node_ends(above.graph, entry.visit, ids.now_ns())
    if not naming.is_guardrail(entry.node or ""):
        tools.unrun_calls(tracker, entry, outputs)
