"""An agent's turn: its model calls, and which of them chose a tool call or a handoff (mapping.md, section 7)."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Choice", "Turn", "reason_from"]

#: Of what a model said beside a call: enough for a reason.
SAID_CHARS: Final = 16_384
#: How many model calls a turn remembers: an agent may loop for days.
CALLS: Final = 256
#: Of those, how many it may keep as they came.
UNREAD: Final = 8

_json: Final = msgspec.json.Decoder()


class Choice(NamedTuple):
    """The llm step that chose an action, and how that is known."""

    step_id: str
    evidence: str
    text: str | None  # what the model said beside the call


class _Call(NamedTuple):
    step_id: str
    call_ids: frozenset[str]
    tools: frozenset[str]
    text: str | None


class Turn:
    """The model calls of one unbroken turn of one agent, newest last."""

    __slots__ = ("_calls", "_unread")

    def __init__(self) -> None:
        self._calls: deque[_Call] = deque(maxlen=CALLS)
        self._unread: deque[tuple[str, Sequence[bytes]]] = deque()

    def add(self, step_id: str, output: Sequence[bytes]) -> None:
        """Take in the output of an llm step that has ended: its messages, each as JSON."""
        # Most answers choose nothing: read when somebody asks.
        self._unread.append((step_id, output))
        if len(self._unread) > UNREAD:
            self._read()

    def _read(self) -> None:
        while self._unread:
            try:
                step_id, output = self._unread.popleft()
            except IndexError:  # another thread was quicker
                return
            self._calls.append(_call(step_id, output))

    def chose(self, *, call_id: str | None = None, tool: str | None = None) -> Choice | None:
        """Give the llm step that chose the call: by its id, else by the tool's name, else the latest."""
        self._read()
        calls = list(self._calls)  # another thread may add one meanwhile
        if call_id is not None:
            for call in reversed(calls):
                if call_id in call.call_ids:
                    return Choice(call.step_id, "native", call.text)
        if tool is not None:
            for call in reversed(calls):
                if tool in call.tools or _names(call.text, tool):
                    return Choice(call.step_id, "inferred", call.text)
        if calls:
            return Choice(calls[-1].step_id, "guessed", calls[-1].text)
        return None


def _names(text: str | None, tool: str) -> bool:
    """Tell whether a text names a tool: agents that are told to write `Action: search` have no call of their own."""
    return text is not None and tool in text and re.search(rf"\b{re.escape(tool)}\b", text) is not None


def _call(step_id: str, output: Sequence[bytes]) -> _Call:
    ids: set[str] = set()
    tools: set[str] = set()
    texts: list[str] = []
    for one in map(_json.decode, output):
        parts = one.get("parts") if isinstance(one, dict) else None
        for part in parts if isinstance(parts, list) else ():
            kind = part.get("type") if isinstance(part, dict) else None
            if kind == "tool_call":
                ids.add(str(part.get("id") or ""))
                tools.add(str(part.get("name") or ""))
            elif kind == "text" and isinstance(part.get("content"), str):
                texts.append(part["content"][:SAID_CHARS])
    ids.discard("")
    return _Call(step_id, frozenset(ids), frozenset(tools), "\n".join(filter(None, texts)) or None)


def reason_from(arguments: Any, said: str | None) -> str | None:
    """Give the reason for a handoff: the tool's arguments, else what the model said beside the call."""
    if isinstance(arguments, dict):
        reason = arguments.get("reason")
        if isinstance(reason, str) and reason.strip():
            return reason
        texts = [value for value in arguments.values() if isinstance(value, str) and value.strip()]
        if len(texts) == 1:
            return texts[0]
        if texts:
            return "; ".join(f"{key}: {value}" for key, value in arguments.items() if isinstance(value, str))
    elif isinstance(arguments, str) and arguments.strip():
        return arguments
    return said
