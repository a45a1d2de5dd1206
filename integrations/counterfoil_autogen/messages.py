"""AutoGen's messages, inputs and outputs as plain values, without its live objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from counterfoil.content import Known, dict_message, parts_of
from counterfoil.events import Message, blob_part, message, reasoning_part, tool_response_part
from counterfoil.snapshot import model_fields

if TYPE_CHECKING:
    from counterfoil.snapshot import Taken

__all__ = ["answer_of", "chat_of", "messages_of", "plain", "text_of_message"]

_ROLES: Final = {"SystemMessage": "system", "UserMessage": "user"}
#: Deeper than this, a value is for core's own snapshot to bound.
DEPTH: Final = 6

_known: Final = Known()


def messages_of(given: Sequence[Any]) -> list[Taken]:
    """Give what a model was sent, each message as JSON."""
    made: list[Taken] = []
    for one in given:
        if getattr(one, "type", None) == "FunctionExecutionResultMessage":  # answers several calls at once
            made += [
                _known.taken(("tool", result.call_id, result.content), _result_of, result)
                for result in one.content
            ]
        else:
            made.append(_known.taken(_key(one), _message_of, one))
    return made


def _key(one: Any) -> tuple[Any, ...] | None:
    """Give all that a message says as a key; None for one that says more than text and tool calls."""
    kind, content = getattr(one, "type", None), getattr(one, "content", None)
    if kind == "AssistantMessage":
        if type(content) is str:
            return kind, content, one.thought
        if isinstance(content, list):
            return kind, one.thought, *[(call.id, call.name, call.arguments) for call in content]
        return None
    return (kind, content, getattr(one, "source", None)) if type(content) is str else None


def _message_of(one: Any) -> Message:
    kind = getattr(one, "type", None)
    if kind == "AssistantMessage":
        return _assistant(one.content, one.thought)
    if isinstance(one, Mapping):
        return dict_message(one, plain)
    return message(
        _ROLES.get(str(kind), "user"), parts_of(plain(one.content), plain), name=getattr(one, "source", None)
    )


def _result_of(result: Any) -> Message:
    return message("tool", [tool_response_part(result.call_id, result.content)])


def _assistant(content: Any, thought: str | None) -> Message:
    if isinstance(content, str):
        made = message("assistant", parts_of(content))
        if thought:
            made["parts"].insert(0, reasoning_part(thought))
        return made
    # Beside tool calls, AutoGen calls the text a thought.
    calls = [{"id": one.id, "name": one.name, "arguments": one.arguments} for one in content]
    return dict_message({"role": "assistant", "content": thought, "tool_calls": calls})


def answer_of(result: Any) -> Message:
    """Give what a model answered."""
    return _assistant(result.content, result.thought)


def chat_of(given: Sequence[Any]) -> list[Message]:
    """Give the messages that agents send each other."""
    return [_chat(one) for one in given]


def _chat(one: Any) -> Message:
    content = getattr(one, "content", one)  # AutoGen refuses what is no message, and says so itself
    return message("user", parts_of(plain(content), plain), name=getattr(one, "source", None))


def text_of_message(said: Any) -> Any:
    """Give what an agent's message says: its text, or the value of a structured one."""
    return plain(getattr(said, "content", None))


def plain(value: Any, depth: int = 0) -> Any:
    """Give `value` without AutoGen's objects: a picture is its size, a result the text of its last message."""
    if value is None or isinstance(value, (str, int, float, bool)) or depth > DEPTH:
        return value
    if isinstance(value, Mapping):
        return {key: plain(one, depth + 1) for key, one in list(value.items())}
    if isinstance(value, (list, tuple)):
        return [plain(one, depth + 1) for one in value]
    kind = type(value)
    if kind.__name__ == "Image" and kind.__module__.startswith("autogen_core"):
        width, height = value.image.size  # to encode it again for each call would take longer than the call
        return blob_part("image/png", f"{width}x{height}")
    known = model_fields(value)
    return value if known is None else {key: plain(one, depth + 1) for key, one in known}
