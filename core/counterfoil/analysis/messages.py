"""What chat messages say: text, thoughts, the tools they ask for, the results they bring."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Asked", "as_messages", "asked", "canonical", "response", "said", "texts", "thought", "words"]

#: Letters, two or more, also with - or ' inside; no digit touches them.
_WORD: Final = re.compile(r"(?<![^\W_])[^\W\d_](?:[^\W\d_]|[-'\u2019](?=[^\W\d_]))+(?![^\W_])")


class Asked(msgspec.Struct, frozen=True):
    """A tool that a model's answer asks for, by the call's own id."""

    call_id: str | None
    tool: str
    arguments: Any


def as_messages(value: Any, role: str) -> list[Any]:
    """Give a payload as messages: it is a list of them, holds one, or is taken for the text of one by `role`."""
    if value is None:
        return []
    if isinstance(value, list) and value and all(isinstance(one, dict) and "parts" in one for one in value):
        return value
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        return list(value["messages"])
    return [{"role": role, "parts": [{"type": "text", "content": _plain(value)}]}]


def _parts(message: Any, kind: str) -> Iterator[dict[str, Any]]:
    parts = message.get("parts") if isinstance(message, dict) else None
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict) and part.get("type") == kind:
            yield part


def said(message: Any) -> str:
    """Give the text of a message."""
    return "\n".join(_plain(part.get("content")) for part in _parts(message, "text"))


def thought(message: Any) -> str:
    """Give what the model thought before it said it, where the provider tells."""
    return "\n".join(_plain(part.get("content")) for part in _parts(message, "reasoning"))


def response(message: Any) -> str:
    """Give the results of tools that a message brings."""
    return "\n".join(_plain(part.get("response")) for part in _parts(message, "tool_call_response"))


def asked(message: Any) -> Iterator[Asked]:
    """Give the tools that a message asks for."""
    for part in _parts(message, "tool_call"):
        arguments = part.get("arguments")
        if isinstance(arguments, str):
            with suppress(ValueError):
                arguments = json.loads(arguments)
        yield Asked(part.get("id"), str(part.get("name") or ""), arguments)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def texts(value: Any) -> Iterator[str]:
    """Give every text in a payload: of messages what the user said, of other values all but their keys."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict) and isinstance(one.get("parts"), list):
            if one.get("role") in {None, "user"}:
                yield said(one)
        elif isinstance(one, dict):
            waiting += reversed(list(one.values()))
        elif isinstance(one, list):
            waiting += reversed(one)
        elif isinstance(one, (int, float)):
            yield str(one)


def words(text: str) -> set[str]:
    """Give the words of a text in lower case: two letters or more; no numbers, no names made of numbers."""
    return set(_WORD.findall(text.casefold()))


def canonical(value: Any) -> str:
    """Give a value as text that is equal where the value is."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
