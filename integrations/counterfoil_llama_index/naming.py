"""What a span of LlamaIndex is, by the classes of its instance, and what agents and workflows are called.

Nothing here imports the framework: importing llama_index.core takes seconds, and an application may use less of it.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "agent_name",
    "collectors",
    "label_of",
    "lineage",
    "method_of",
    "provider_of",
    "role_of",
    "workflow_name",
]

#: An agent's own steps, which are part of its turn (mapping.md, section 2).
AGENT_STEPS: Final = frozenset(
    {
        "aggregate_tool_results",
        "call_tool",
        "init_run",
        "parse_agent_output",
        "run_agent_step",
        "setup_agent",
    }
)
#: Spans of LlamaIndex's own functions that only run what they are given (llama_index.core.async_utils).
_PLUMBING: Final = ("batch_gather", "run_jobs")
#: By the name of a class in a component's lineage, the first that fits: what a span of these methods is.
_ROLES: Final[tuple[tuple[str, frozenset[str], str], ...]] = (
    ("BaseTool", frozenset({"__call__", "acall", "call"}), "tool"),
    ("StructuredLLM", frozenset(), "folded"),  # it asks the model that it wraps, which tells by itself
    ("BaseLLM", frozenset(), "model"),
    ("BaseEmbedding", frozenset(), "model"),
    ("BaseChatEngine", frozenset({"achat", "astream_chat", "chat", "stream_chat"}), "chat"),
    ("BaseNodePostprocessor", frozenset({"_apostprocess_nodes", "_postprocess_nodes"}), "postprocessor"),
    ("IngestionPipeline", frozenset({"arun", "run"}), "pipeline"),
)

#: What of the modules' names is LlamaIndex's: llama_index.core, its integrations, llama_index_instrumentation.
_OURS: Final = ("llama_index", "workflows.")

_lineages: Final[WeakKeyDictionary[type, frozenset[str]]] = WeakKeyDictionary()
_collectors: Final[WeakKeyDictionary[type, frozenset[str]]] = WeakKeyDictionary()


def lineage(kind: type) -> frozenset[str]:
    """Give the names of LlamaIndex's classes that a class is, or is derived from; one of the user's may be called alike."""
    names = _lineages.get(kind)
    if names is None:
        names = frozenset(one.__name__ for one in kind.__mro__ if one.__module__.startswith(_OURS))
        _lineages[kind] = names
    return names


def label_of(span_id: str) -> str:
    """Give what a span is of: its id without the UUID at the end."""
    return span_id[:-37]


def method_of(span_id: str) -> str:
    """Give the method, or the step of a workflow, that a span is of."""
    return label_of(span_id).rpartition(".")[2]


def role_of(span_id: str, instance: Any, arguments: Mapping[str, Any]) -> str:
    """Give what a span is that stands directly in no workflow's run: a step by itself, or `folded`."""
    if "init_state" in arguments and "start_event" in arguments:
        return "run"
    if instance is None:
        return "folded" if label_of(span_id).startswith(_PLUMBING) else "other"
    kinds = lineage(type(instance))
    for name, methods, role in _ROLES:
        if name in kinds:
            return role if not methods or method_of(span_id) in methods else "folded"
    ours = "DispatcherSpanMixin" in kinds or type(instance).__module__.startswith("llama_index.")
    return "folded" if ours else "other"


def agent_name(agent: Any) -> str:
    """Give an agent's name; LlamaIndex calls one without `Agent`."""
    return str(getattr(agent, "name", None) or type(agent).__name__)


def workflow_name(workflow: Any) -> str:
    """Give the name that a workflow was given, else its class's; LlamaIndex's own default has the module before it."""
    kind = type(workflow)
    name = getattr(workflow, "workflow_name", None)
    if isinstance(name, str) and name and not name.startswith(f"{kind.__module__}."):
        return name
    return kind.__name__


def collectors(workflow: Any) -> frozenset[str]:
    """Give the steps of a workflow that wait for several events: LlamaIndex runs them for each, and again."""
    kind = type(workflow)
    found = _collectors.get(kind)
    if found is None:
        found = _collectors[kind] = frozenset(
            name
            for base in kind.__mro__
            for name, step in vars(base).items()
            if isinstance(step, FunctionType) and "collect_events" in step.__code__.co_names
        )
    return found


def provider_of(model: Any) -> str | None:
    """Give the provider, by the integration that a model's class is from."""
    for kind in type(model).__mro__:
        places = kind.__module__.split(".")
        if len(places) > 2 and places[0] == "llama_index" and places[1] in {"embeddings", "llms"}:
            return places[2]
    return None
