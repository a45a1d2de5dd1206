"""What a LangChain run is: an agent, a graph, a node, or plumbing; and what it is called (mapping.md, section 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from counterfoil.adapters import UNNAMED, tidy

if TYPE_CHECKING:
    from counterfoil_langchain.tracker import Entry

__all__ = [
    "DEFAULT_NAME",
    "HIDDEN",
    "agent_name",
    "aliases_of",
    "is_after_node",
    "is_agent_graph",
    "is_guardrail",
    "is_hidden",
    "is_node",
    "is_plumbing",
    "is_surely_graph",
    "looks_like_agent",
    "own_nodes",
    "run_facts",
]

#: The run name of a graph that was compiled without one.
DEFAULT_NAME: Final = "LangGraph"
HIDDEN: Final = "langsmith:hidden"

#: `ls_integration` of graphs whose builder says that they are agents.
_AGENT_BUILDERS: Final = frozenset({"langchain_create_agent", "deepagents"})
#: Nodes that an agent's builder puts into its graph for the model and the tools.
_AGENT_NODES: Final = frozenset({"model", "tools"})
#: As above, of langgraph.prebuilt.create_react_agent (langgraph-supervisor still uses it).
REACT_NODES: Final = frozenset({"agent", "tools", "generate_structured_response"})
_HOOKS: Final = (".before_model", ".after_model", ".before_agent", ".after_agent")
_STEP_TAG: Final = "graph:step:"
_OWN_TAGS: Final = ("seq:step:", "graph:step:", "langsmith:", "map:key:", "retry:attempt:")


def is_node(tags: Sequence[str] | None) -> bool:
    """Tell whether these are the tags of a graph's node."""
    if tags:
        for tag in tags:  # at every chain's start: not any(), which makes a generator
            if tag.startswith(_STEP_TAG):
                return True
    return False


def is_hidden(tags: Sequence[str] | None) -> bool:
    """Tell whether the framework marks the run as its own plumbing."""
    return bool(tags) and HIDDEN in tags  # type: ignore[operator]  # mypy does not narrow by bool()


def is_after_node(tags: Sequence[str] | None) -> bool:
    """Tell whether a run directly below a node is what follows its own function: a router, a write."""
    return any(tag.startswith("seq:step:") and tag != "seq:step:1" for tag in tags) if tags else False


def is_surely_graph(entry: Entry) -> bool:
    """Tell at its start that a run is a graph's; a False may turn out otherwise."""
    return entry.integration is not None and (entry.name == DEFAULT_NAME or is_agent_graph(entry))


def is_plumbing(name: str, run_type: Any) -> bool:
    """Tell whether a chain is a prompt, a parser or LCEL's own: folded away."""
    # Prompt: create_react_agent's
    return (
        run_type in {"prompt", "parser"} or name.startswith("Runnable") or name in {"Prompt", "ChannelWrite"}
    )


def is_guardrail(name: str) -> bool:
    """Tell whether a node is a middleware's hook, named `<Middleware>.<hook>`."""
    return name.endswith(_HOOKS)


def own_nodes(shape: str) -> frozenset[str]:
    """Give the nodes of an agent's graph that are folded into it."""
    return REACT_NODES if shape == "react" else _AGENT_NODES


def is_agent_graph(entry: Entry) -> bool:
    """Tell at its start, for certain, that a run is an agent's graph; a False may turn out otherwise.

    Metadata is inherited by everything below: it says something only where it differs from the caller's.
    """
    if entry.integration not in _AGENT_BUILDERS or entry.role != "chain":
        return False
    above = entry.parent
    if above is None or above.integration not in _AGENT_BUILDERS:
        return True
    return entry.label is not None and entry.label != above.label


def looks_like_agent(entry: Entry, node: str) -> bool:
    """Tell by its first node that a graph below an agent is an agent's too (its metadata may be inherited)."""
    return entry.integration in _AGENT_BUILDERS and (node in _AGENT_NODES or is_guardrail(node))


def agent_name(entry: Entry) -> str:
    """Give the name of the agent whose graph this run is.

    `lc_agent_name` leaks from the caller into an unnamed sub-agent: it counts only where this run set it.
    """
    label, above = entry.label, entry.parent
    if label and (above is None or above.label != label or entry.name == label):
        return tidy(label)
    if entry.name != DEFAULT_NAME:
        return tidy(entry.name)
    if entry.inner and above is not None and above.node:
        return tidy(above.node)  # the two runs are one step, and the node's run has a name
    return UNNAMED


def aliases_of(entry: Entry, name: str) -> tuple[str, ...]:
    """Give other names by which a handoff may ask for this agent: its run's, its node's."""
    names = []
    if entry.name not in {name, DEFAULT_NAME}:
        names.append(entry.name)
    above = entry.parent
    while above is not None and above.role not in {"node", "tool", "llm", "foreign"} and above.graph is None:
        above = above.parent
    if above is not None and above.role == "node" and above.node and above.node != name:
        names.append(above.node)
    return tuple(names)


def run_facts(metadata: Mapping[str, Any] | None, tags: Sequence[str] | None) -> dict[str, Any]:
    """Give the facts of a run that its root's metadata and tags hold, as `Recorder.start` takes them.

    `thread_id` is the session. `counterfoil_task` (a string) and `counterfoil_labels` (a dict) are ours; the user's own
    tags become the label `tags`, with commas.
    """
    facts: dict[str, Any] = {}
    given = metadata or {}
    session = given.get("thread_id")
    if session is not None:
        facts["session"] = str(session)
    task = given.get("counterfoil_task")
    if task is not None:
        facts["task"] = str(task)
    labels: dict[str, str] = {}
    asked = given.get("counterfoil_labels")
    if isinstance(asked, Mapping):
        labels = {str(key): str(value) for key, value in asked.items()}
    own = [tag for tag in tags or () if not tag.startswith(_OWN_TAGS)]
    if own:
        labels.setdefault("tags", ",".join(own))
    if labels:
        facts["labels"] = labels
    return facts
