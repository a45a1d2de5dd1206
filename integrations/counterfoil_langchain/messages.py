"""LangChain's messages, states and documents as plain values: OTel GenAI messages, and JSON for all else.

Nothing here imports the framework: its objects are told by their `type` attribute and their class's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from counterfoil.events import (
    Message,
    blob_part,
    message,
    reasoning_part,
    text_part,
    tool_call_part,
    tool_response_part,
)

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
_TEXT_BLOCKS: Final = frozenset({"text", "input_text", "output_text", "refusal", "text-plain"})
_REASONING_BLOCKS: Final = frozenset({"reasoning", "thinking", "redacted_thinking", "reasoning_content"})
#: Said a second time in `tool_calls`, where they are complete and parsed.
_CALL_BLOCKS: Final = frozenset(
    {"tool_use", "tool_call", "tool_call_chunk", "function_call", "invalid_tool_call", "input_json_delta"}
)
_BLOB_BLOCKS: Final = frozenset(
    {
        "image",
        "image_url",
        "input_image",
        "audio",
        "input_audio",
        "video",
        "video_url",
        "file",
        "media",
        "document",
    }
)


def is_message(value: Any) -> bool:
    """Tell whether `value` is one of LangChain's message objects."""
    return hasattr(value, "content") and getattr(value, "type", None) in _ROLES


def messages_of(values: Sequence[Any]) -> list[Message]:
    """Give the normalised messages of a list of messages in any form that LangChain takes."""
    return [message_of(value) for value in values]


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
        parts = _parts(content)
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
        role = str(value.get("role") or value.get("type") or "user")
        role = _ROLES.get(role, role)
        if role == "tool":
            return message(role, [tool_response_part(value.get("tool_call_id"), plain(value.get("content")))])
        parts = _parts(value.get("content"))
        for call in value.get("tool_calls") or ():
            if isinstance(call, Mapping):
                function = call.get("function") or call
                arguments = function.get("arguments", function.get("args"))
                parts.append(tool_call_part(call.get("id"), function.get("name") or "", arguments))
        return message(role, parts, name=value.get("name"))
    if isinstance(value, Sequence) and len(value) == 2 and isinstance(value[0], str):
        return message(_ROLES.get(value[0], value[0]), _parts(value[1]))
    return message("user", [{"type": "text", "content": plain(value)}])


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [text_part(content)] if content else []
    if content is None:
        return []
    if not isinstance(content, list):
        return [{"type": "text", "content": plain(content)}]
    parts: list[dict[str, Any]] = []
    for block in content:
        if isinstance(block, str):
            parts.append(text_part(block))
        elif isinstance(block, Mapping):
            part = _part(block)
            if part is not None:
                parts.append(part)
        else:
            parts.append({"type": "text", "content": plain(block)})
    return parts


def _part(block: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = block.get("type")
    if kind in _TEXT_BLOCKS:
        return text_part(_string(block.get("text", block.get("refusal"))))
    if kind in _CALL_BLOCKS:
        return None
    if kind in _REASONING_BLOCKS:
        text = block.get("reasoning") or block.get("thinking") or block.get("text")
        if text is None and isinstance(block.get("summary"), list):
            text = "\n".join(_string(one.get("text")) for one in block["summary"] if isinstance(one, Mapping))
        return reasoning_part(_string(text))
    if kind in _BLOB_BLOCKS:
        return _blob(kind, block)
    return dict(block)


def _blob(kind: str, block: Mapping[str, Any]) -> dict[str, Any]:
    """A picture, sound or file: every provider has its own shape for media type and data or address."""
    inner = block.get(kind)
    inside = block.get("source") or inner or block.get("file") or block
    if isinstance(inside, str):  # image_url: "https://..."
        inside = {"url": inside}
    media = (
        block.get("mime_type")
        or inside.get("mime_type")
        or inside.get("media_type")
        or (f"audio/{inside['format']}" if inside.get("format") else None)
    )
    content = next(
        (inside[key] for key in ("base64", "data", "url", "file_data", "file_id", "id") if inside.get(key)),
        None,
    )
    if isinstance(content, str) and content.startswith("data:") and media is None:
        media = content[5:].partition(";")[0].partition(",")[0] or None
    return blob_part(media, content)


def _string(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def split_state(value: Any) -> tuple[list[Message] | None, Any, bool]:
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
        return [message_of(value)], None, False
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
