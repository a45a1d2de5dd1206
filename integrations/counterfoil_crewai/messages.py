"""CrewAI's messages, inputs and outputs as plain values, without its live objects."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, Final

from counterfoil.content import dict_message, parts_of
from counterfoil.events import Message, message, text_part, tool_call_part
from counterfoil.snapshot import model_fields

__all__ = ["answer_of", "messages_of", "plain", "restored"]

#: So deep, CrewAI's events hold the repr() of a value instead of the value (crewai.utilities.serialization, 1.15).
CUT: Final = 5
#: Of such a text that is remembered.
KNOWN_CHARS: Final = 2_000

#: Deeper than this, a value is for core's own snapshot to bound.
DEPTH: Final = 6
#: An agent in full is 12 KB, its model's key among them: what it is called is enough.
_CALLED: Final = ("role", "name", "description", "model")
#: What of CrewAI's own is a value; all else of it is alive.
_VALUES: Final = (
    "crewai.crews",
    "crewai.flow.async_feedback",
    "crewai.flow.human_feedback",
    "crewai.lite_agent_output",
    "crewai.memory.types",
    "crewai.tasks",
    "crewai.tools.tool_failure",
    "crewai.types",
)


def messages_of(given: Any) -> list[Message] | None:
    """Give what a model was sent: a text, or messages as OpenAI's API takes them."""
    if given is None:
        return None
    if isinstance(given, (list, tuple)):
        return [_message(one) for one in given]
    return [message("user", parts_of(plain(given)))]


def _message(one: Any) -> Message:
    if not isinstance(one, Mapping):
        return message("user", parts_of(plain(one)))
    if one.get("tool_calls") or isinstance(one.get("content"), list):
        one = restored(one, 1)
    return dict_message(one, plain)


def restored(value: Any, depth: int = 0) -> Any:
    """Give a part of an event as it was before CrewAI cut it off: a tool call's name is `'search'`, quotes and all."""
    if depth >= CUT:
        if not isinstance(value, str):
            return value
        return _known_literal(value) if len(value) <= KNOWN_CHARS else _literal(value)
    if isinstance(value, Mapping):
        return {key: restored(one, depth + 1) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [restored(one, depth + 1) for one in value]
    return value


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


# A tool's schema and a conversation's calls are sent again with every call of the model.
_known_literal: Final = lru_cache(maxsize=1024)(_literal)


def answer_of(response: Any) -> list[Message]:
    """Give what a model answered: text, tool calls in any provider's form, or an object."""
    if isinstance(response, str):
        return [message("assistant", [text_part(response)] if response else [])]
    if isinstance(response, list) and response:
        calls = [_call(one) for one in response]
        if all(one is not None for one in calls):
            return [message("assistant", [one for one in calls if one is not None])]
    if isinstance(response, Mapping) and "content" in response and "role" in response:
        return [dict_message(response, plain)]
    if response is None:
        return []
    return [message("assistant", [text_part(json.dumps(plain(response), default=str, ensure_ascii=False))])]


def _call(one: Any) -> dict[str, Any] | None:
    if not isinstance(one, Mapping):
        return None
    function = one.get("function") or one.get("function_call") or one.get("functionCall") or one
    if not isinstance(function, Mapping) or not function.get("name"):
        return None
    arguments = next(
        (function[key] for key in ("arguments", "args", "input") if function.get(key) is not None), None
    )
    return tool_call_part(one.get("id") or one.get("toolUseId"), str(function["name"]), arguments)


def plain(value: Any, depth: int = 0) -> Any:
    """Give `value` without CrewAI's objects: an output is its text, an agent its role."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if depth > DEPTH:
        return value
    if isinstance(value, Mapping):
        return {key: plain(one, depth + 1) for key, one in list(value.items())}
    if isinstance(value, (list, tuple)):
        return [plain(one, depth + 1) for one in value]
    kind = type(value)
    if kind.__module__.startswith("crewai."):
        raw = getattr(value, "raw", None)  # CrewOutput, TaskOutput, LiteAgentOutput
        if isinstance(raw, str):
            return raw
    if any(_is_alive(base.__module__) for base in kind.__mro__):
        called = next((str(one) for key in _CALLED if (one := getattr(value, key, None))), "")
        return f"<{kind.__name__} {called}>"
    known = model_fields(value)
    if known is not None:
        return {key: plain(one, depth + 1) for key, one in known}
    if is_dataclass(kind):
        return {one.name: plain(getattr(value, one.name, None), depth + 1) for one in fields(kind)}
    return value


def _is_alive(module: str) -> bool:
    return module.startswith("crewai.") and not module.startswith(_VALUES)
