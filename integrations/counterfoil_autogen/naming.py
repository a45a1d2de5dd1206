"""What AutoGen's models, memories and coordinators are called (mapping.md, section 2)."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["chooses", "memory_name", "model_of", "provider_of"]

#: By the module of AutoGen's client: OpenTelemetry's `gen_ai.provider.name`.
_PROVIDERS: Final = {
    "anthropic": "anthropic",
    "azure": "azure.ai.inference",
    "llama_cpp": "llama_cpp",
    "ollama": "ollama",
    "openai": "openai",
}
#: Managers that choose nobody: the order or the edges of a graph do; in a Swarm, agents pass control themselves.
_ORDERS: Final = frozenset({"RoundRobinGroupChatManager", "GraphFlowManager", "SwarmGroupChatManager"})


def model_of(client: Any) -> str | None:
    """Give the model that a client asks for."""
    for name in ("_create_args", "_raw_config"):
        known = getattr(client, name, None)
        if isinstance(known, dict) and isinstance(known.get("model"), str):
            return str(known["model"])
    inner = getattr(client, "client", None)  # of a ChatCompletionCache
    return None if inner is None else model_of(inner)


def provider_of(client: Any) -> str | None:
    """Give who serves the model; None for a client that is not AutoGen's."""
    inner = getattr(client, "client", None)
    if inner is not None and type(client).__name__ == "ChatCompletionCache":
        return provider_of(inner)
    for kind in type(client).__mro__:
        words = kind.__module__.split(".")
        if words[:2] == ["autogen_ext", "models"] and len(words) > 2 and words[2] in _PROVIDERS:
            return "azure.ai.openai" if "AzureOpenAI" in kind.__name__ else _PROVIDERS[words[2]]
    return None


def memory_name(memory: Any) -> str:
    """Give a memory's name, else its class's."""
    name = getattr(memory, "name", None)
    return name if isinstance(name, str) and name else type(memory).__name__


def chooses(manager: Any) -> str | None:
    """Give the name of a manager that picks who is next; None for one that only keeps an order."""
    if any(kind.__name__ in _ORDERS for kind in type(manager).__mro__):
        return None
    return str(getattr(manager, "_name", "") or type(manager).__name__)
