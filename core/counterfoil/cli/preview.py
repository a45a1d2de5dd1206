"""Payloads in a few words: arguments, results, what was asked and answered."""

from __future__ import annotations

import json
from typing import Any, Final

from counterfoil.cli.escape import visible
from counterfoil.cli.table import clip

__all__ = ["arguments", "compact", "gist", "message_lines", "short"]

#: Where there is no screen whose width would say how much.
ENOUGH: Final = 160


def compact(value: Any) -> str:
    """Give `value` as text: a string as it is, all else as JSON on one line."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "), default=str)


def arguments(value: Any) -> str:
    """Give a tool's arguments as `query="refund", limit=3`."""
    if not isinstance(value, dict):
        return "" if value is None else compact(value)
    return ", ".join(
        f"{key}={json.dumps(one, ensure_ascii=False, default=str)}" for key, one in value.items()
    )


def short(text: str, width: int | None) -> str:
    """Give the beginning of `text`, visible and on one line, in at most `width` cells."""
    limit = ENOUGH if width is None else width
    return clip(visible(" ".join(text[: limit * 4].split())), limit)


def gist(value: Any) -> str:
    """Give what a payload says: the text of its last message, its only value, else all of it."""
    if isinstance(value, dict) and isinstance(value.get("messages"), list) and value["messages"]:
        return gist(value["messages"])
    if (
        isinstance(value, list)
        and value
        and isinstance(value[-1], dict)
        and isinstance(value[-1].get("parts"), list)
    ):
        return " ".join(line for line in message_lines(value[-1]) if line)
    if isinstance(value, dict) and len(value) == 1:
        return compact(next(iter(value.values())))
    return compact(value)


def message_lines(message: Any) -> list[str]:
    """Give a chat message's parts as lines of text, not yet visible."""
    parts = message.get("parts") if isinstance(message, dict) else None
    if not isinstance(parts, list):
        return [compact(message)]
    lines: list[str] = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text":
            lines += compact(part.get("content")).split("\n")
        elif kind == "reasoning":
            lines += [f"(thinks) {line}" for line in compact(part.get("content")).split("\n")]
        elif kind == "tool_call":
            lines.append(f"calls {part.get('name')}({arguments(part.get('arguments'))})")
        elif kind == "tool_call_response":
            lines += compact(part.get("response")).split("\n")
        elif kind == "blob":
            lines.append(f"[{part.get('mime_type') or 'file'}]")
        else:
            lines.append(compact(part))
    return lines
