"""LangChain's messages, states and documents as plain values: OTel GenAI messages, and JSON for all else.

Nothing here imports the framework: its objects are told by their `type` attribute and their class's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from counterfoil.content import Known, dict_message, parts_of, role_of
from counterfoil.events import (
    Message,
    encode,
    message,
    reasoning_part,
    text_part,
    tool_call_part,
    tool_response_part,
)

if TYPE_CHECKING:
    from counterfoil.snapshot import Taken

__all__ = ["is_message", "message_of", "messages_of", "plain", "split_state"]

_ROLES: Final = {
    "human": "user",
    "HumanMessageChunk": "user",
    "user": "user",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "assistant": "assistant",
    "system": "system",
    "SystemMessageChunk": "system",
    "developer": "system",
    "tool": "tool",
    "ToolMessageChunk": "tool",
    "function": "tool",
    "FunctionMessageChunk": "tool",
}


def is_message(value: Any) -> bool:
    """Tell whether `value` is one of LangChain's message objects."""
    return hasattr(value, "content") and getattr(value, "type", None) in _ROLES


_known: Final = Known()


def messages_of(values: Sequence[Any]) -> list[Taken]:
    """Give the normalised messages of a list of messages in any form that LangChain takes, each as JSON."""
    return [_known.taken(_key(value), message_of, value) for value in values]


def _key(value: Any) -> tuple[Any, ...] | None:
    """Give all that a message says as a key; None for one that says more than text and tool calls."""
    kind, content = getattr(value, "type", None), getattr(value, "content", None)
    if type(content) is not str:
        return None
    if kind in {"human", "system"}:
        return kind, content, value.name
    if kind == "tool":
        return kind, content, value.tool_call_id
    if kind != "ai" or value.invalid_tool_calls or "reasoning_content" in value.additional_kwargs:
        return None
    calls = value.tool_calls
    if not calls:
        return kind, content
    try:
        return kind, content, *[(call["id"], call["name"], encode(call["args"])) for call in calls]
    except Exception:  # what JSON does not know
        return None


def message_of(value: Any) -> Message:
    """Give one message, normalised: from a message object, a (role, content) pair, a dict or a string."""
    kind = getattr(value, "type", None)
    if kind is None or not hasattr(value, "content"):
        return _loose(value)
    role = _ROLES.get(kind) or str(getattr(value, "role", None) or kind)
    content = value.content
    if role == "tool":
        parts = [tool_response_part(getattr(value, "tool_call_id", None), plain(content))]
    else:
        parts = parts_of(content, plain)
        if role == "assistant":
            _add_calls(value, parts)
    # create_agent writes the agent's name on the answer that it got, which would make it another message; whose it
    # is, its step says.
    return message(role, parts, name=None if role == "assistant" else getattr(value, "name", None))


def _add_calls(value: Any, parts: list[dict[str, Any]]) -> None:
    extra = value.additional_kwargs
    if extra:
        reasoning = extra.get("reasoning_content")
        if isinstance(reasoning, str) and reasoning:
            parts.insert(0, reasoning_part(reasoning))
    # Invalid ones have arguments that are no JSON: a string, as the model wrote it.
    parts.extend(
        tool_call_part(call.get("id"), call.get("name") or "", call.get("args"))
        for call in (*value.tool_calls, *value.invalid_tool_calls)
    )


def _loose(value: Any) -> Message:
    if isinstance(value, str):
        return message("user", [text_part(value)])
    if isinstance(value, Mapping):
        return dict_message(value, plain)
    if isinstance(value, Sequence) and len(value) == 2 and isinstance(value[0], str):
        return message(_ROLES.get(value[0]) or role_of(value[0]), parts_of(value[1], plain))
    return message("user", [{"type": "text", "content": plain(value)}])


def split_state(value: Any) -> tuple[list[Taken] | None, Any, bool]:
    """Give a graph's state or a runnable's value as (its chat messages, all else of it, whether there is any else)."""
    if isinstance(value, dict):
        found = value.get("messages")
        if isinstance(found, list) and found:
            rest = {key: plain(one) for key, one in value.items() if key != "messages"}
            return messages_of(found), rest, bool(rest)
        return None, {key: plain(one) for key, one in value.items()}, True
    if isinstance(value, list) and value and all(is_message(one) for one in value):
        return messages_of(value), None, False
    if is_message(value):
        return messages_of((value,)), None, False
    found = getattr(value, "messages", None)  # a state that is a pydantic model or a dataclass
    if isinstance(found, list) and found and hasattr(value, "__dict__"):
        rest = {key: plain(one) for key, one in vars(value).items() if key != "messages"}
        return messages_of(found), rest, bool(rest)
    return None, plain(value), True


def plain(value: Any, depth: int = 0) -> Any:
    """Give `value` without LangChain's objects; what is left over is for core's own snapshot to bound."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if depth > 6:
        return value
    if isinstance(value, dict):
        return {key: plain(one, depth + 1) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one, depth + 1) for one in value]
    kind = type(value).__name__
    if kind == "Document":
        return {
            "id": value.id,
            "metadata": plain(value.metadata, depth + 1),
            "page_content": value.page_content,
        }
    if kind == "Command" and hasattr(value, "goto"):
        return _command(value)
    if kind == "Send" and hasattr(value, "node"):
        return {"send": value.node}
    if hasattr(value, "content") and getattr(value, "type", None) in _ROLES:
        return message_of(value)
    return value


def _command(value: Any) -> dict[str, Any]:
    """A Command without its update, which repeats the whole history (langgraph_swarm, langgraph_supervisor)."""
    given: dict[str, Any] = {}
    if value.goto:
        goto = value.goto if isinstance(value.goto, (list, tuple)) else [value.goto]
        given["goto"] = [one if isinstance(one, str) else getattr(one, "node", None) for one in goto]
    if value.graph is not None:
        given["graph"] = value.graph
    if value.resume is not None:
        given["resume"] = plain(value.resume)
    if isinstance(value.update, dict):
        given["keys"] = sorted(str(key) for key in value.update)
    return given
