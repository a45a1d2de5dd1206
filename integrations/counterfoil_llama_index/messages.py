"""LlamaIndex's messages, events, nodes and answers as plain values, without its live objects.

Nothing here imports the framework: its objects are told by the names of their classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final

from counterfoil.content import Known, arguments_of, dict_message, role_of
from counterfoil.events import (
    Message,
    blob_part,
    message,
    reasoning_part,
    text_part,
    tool_call_part,
    tool_response_part,
)
from counterfoil.snapshot import model_fields
from counterfoil_llama_index.naming import lineage

if TYPE_CHECKING:
    from counterfoil.snapshot import Taken

__all__ = ["message_of", "messages_of", "nodes_of", "plain", "text_message"]

#: Deeper than this, a value is for core's own snapshot to bound.
DEPTH: Final = 6
#: Of these an object is alive, and may hold a key: what it is called is enough.
_ALIVE: Final = frozenset(
    {
        "BaseEmbedding",
        "BaseIndex",
        "BaseLLM",
        "BaseMemory",
        "BasePydanticVectorStore",
        "BaseTool",
        "Context",
        "DispatcherSpanMixin",
        "Workflow",
        "WorkflowHandler",
    }
)

_known: Final = Known()


def messages_of(values: Iterable[Any]) -> list[Taken]:
    """Give a conversation, each message as JSON."""
    return [_known.taken(_key(value), message_of, value) for value in values]


def _key(value: Any) -> tuple[Any, ...] | None:
    """Give all that a message says as a key; None for one that says more than one text."""
    blocks = getattr(value, "blocks", None)
    if not isinstance(blocks, list) or len(blocks) != 1 or type(blocks[0]).__name__ != "TextBlock":
        return None
    extra = value.additional_kwargs
    if not extra:
        return value.role, blocks[0].text
    call_id = extra.get("tool_call_id")
    return (value.role, blocks[0].text, call_id) if call_id is not None and len(extra) == 1 else None


def text_message(role: str, text: Any) -> Message:
    """Give a message that is one text."""
    return message(role, [text_part(text if isinstance(text, str) else str(text))] if text else [])


def message_of(value: Any) -> Message:
    """Give one message, normalised: a ChatMessage, a dict or a text."""
    if isinstance(value, str):
        return text_message("user", value)
    if isinstance(value, Mapping):
        return dict_message(value, plain)
    if not hasattr(value, "blocks"):
        return message("user", [{"type": "text", "content": plain(value)}])
    role = role_of(str(getattr(value.role, "value", value.role)))
    role = "assistant" if role == "chatbot" else role
    extra = value.additional_kwargs or {}
    parts = [part for block in value.blocks for part in _parts(block)]
    if role == "tool":
        texts = [part for part in parts if part["type"] == "text"]
        said: Any = "\n".join(part["content"] for part in texts) if len(texts) == len(parts) else parts
        return message(role, [tool_response_part(extra.get("tool_call_id"), said)])
    if not any(part["type"] == "tool_call" for part in parts):
        parts += [part for call in extra.get("tool_calls") or () for part in _call(call)]
    return message(role, parts)


def _parts(block: Any) -> Iterable[dict[str, Any]]:
    kind = getattr(block, "block_type", None)
    if kind == "text":
        if block.text:
            yield text_part(block.text)
    elif kind == "thinking":
        if block.content:
            yield reasoning_part(block.content)
    elif kind == "tool_call":
        yield tool_call_part(block.tool_call_id, block.tool_name, _arguments(block.tool_kwargs))
    elif kind in {"image", "audio", "video", "document"}:
        yield _blob(kind, block)
    elif kind in {"citable", "citation"}:
        inner = getattr(block, "content", None) or [getattr(block, "cited_content", None)]
        for one in inner:
            yield from _parts(one)
    elif kind != "cache":  # where a prompt may be cached: says nothing
        yield {"type": "text", "content": plain(block)}


def _blob(kind: str, block: Any) -> dict[str, Any]:
    media = getattr(block, f"{kind}_mimetype", None) or getattr(block, "format", None)
    data = getattr(block, "data" if kind == "document" else kind, None)
    found = next((one for one in (block.url, block.path) if one), None)
    if found is not None:
        return blob_part(media, str(found))
    return blob_part(media, data if isinstance(data, bytes) else None)


def _call(call: Any) -> Iterable[dict[str, Any]]:
    """A tool call as providers' clients keep it: a dict, or an object of the same shape."""
    known = call if isinstance(call, Mapping) else dict(vars(call)) if hasattr(call, "__dict__") else {}
    function = known.get("function")
    if function is not None:
        inner = function if isinstance(function, Mapping) else vars(function)
        yield tool_call_part(
            known.get("id"), str(inner.get("name") or ""), _arguments(inner.get("arguments"))
        )
    elif name := known.get("tool_name") or known.get("name"):
        arguments = next((known[key] for key in ("tool_kwargs", "input", "args") if known.get(key)), None)
        yield tool_call_part(known.get("tool_id") or known.get("id"), str(name), _arguments(arguments))


def _arguments(given: Any) -> Any:
    return arguments_of(plain(given))


def nodes_of(nodes: Any) -> list[dict[str, Any]]:
    """Give nodes with their ids, scores, metadata and texts, without their vectors."""
    return [_node(one) for one in nodes or ()]


def _node(one: Any) -> dict[str, Any]:
    node = getattr(one, "node", one)
    made = {"id": node.node_id}
    if hasattr(one, "score"):
        made["score"] = one.score
    made["metadata"] = plain(node.metadata, 1)
    document = getattr(node, "ref_doc_id", None)
    if document is not None:
        made["document"] = document
    # get_content() of an image or index node may read a file, or ask another object.
    text = getattr(node, "text", None)
    if isinstance(text, str):
        made["text"] = text
    return made


def plain(value: Any, depth: int = 0) -> Any:
    """Give `value` without LlamaIndex's objects: an answer is its text, a live object what it is called."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if depth > DEPTH:
        return value
    if isinstance(value, Mapping):
        return {key: plain(one, depth + 1) for key, one in list(value.items())}
    if isinstance(value, (list, tuple)):
        return [plain(one, depth + 1) for one in value]
    kinds = lineage(type(value))
    if not kinds.isdisjoint(_ALIVE):
        name = getattr(value, "name", None)
        return f"<{type(value).__name__}{f' {name}' if isinstance(name, str) else ''}>"
    if "ChatMessage" in kinds:
        return message_of(value)
    if "NodeWithScore" in kinds or "BaseNode" in kinds:
        return _node(value)
    if "AgentOutput" in kinds:
        found = value.structured_response
        return message_of(value.response) if found is None else plain(found, depth + 1)
    if "ToolOutput" in kinds:
        return value.content
    if kinds & {"Response", "PydanticResponse"} and hasattr(value, "source_nodes"):
        return plain(value.response, depth + 1)
    if "AgentChatResponse" in kinds:
        return value.response
    if hasattr(value, "response_gen"):  # a stream, which only its reader may read
        return None
    known = model_fields(value)
    if known is not None:
        if "Event" in kinds and hasattr(value, "items"):  # what it was made with, beside its own fields
            known += value.items()
        return {key: plain(one, depth + 1) for key, one in known}
    if is_dataclass(value):
        return {one.name: plain(getattr(value, one.name, None), depth + 1) for one in fields(value)}
    return value
