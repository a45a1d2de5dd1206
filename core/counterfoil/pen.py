"""The hand that writes: an event becomes one line of tape, its messages by number, its secrets out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from counterfoil import redact
from counterfoil.conversation import Conversation, Listed
from counterfoil.events import Head, Message, Text, encode
from counterfoil.guard import guarded
from counterfoil.plugins import collect_redactors
from counterfoil.snapshot import snapshot
from counterfoil.steps import Step
from counterfoil.tape import Tape

__all__ = ["UNSET", "Pen", "on_new_tape"]


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


#: Stands for "no such value", where None is one.
UNSET: Final = _Unset()

#: What `capture="metadata"` keeps of an event's strings: names and ids, never what was said.
_METADATA: Final = (
    "name", "agent", "framework", "native_id", "call_id", "task", "session", "labels", "version", "owner",
    "stop_reason", "provider", "model", "request_model", "response_id", "finish_reason", "usage_source",
    "price_source", "error_type", "source", "target", "target_asked", "coordinator", "item_id", "action",
    "resource", "rule", "policy", "policy_version", "label", "answered_by", "place",
)  # fmt: skip

_on_new_tape: list[Callable[[str], None]] = []


class Pen:
    """Writes events to the tape of the store at `path`."""

    def __init__(self, path: str, capture: str, redactors: Iterable[redact.Redactor]) -> None:
        self.path: Final = path
        self.capture = capture
        self.events = 0
        self.tape: Final = Tape(path, self._new_writer)
        self._conversation = Conversation()
        self._redactors: list[redact.Redactor] = list(redactors)
        self._redact: Callable[[bytes], bytes] | None = None

    def add_redactors(self, redactors: Iterable[redact.Redactor]) -> None:
        """Take out more, from now on."""
        self._redactors.extend(one for one in redactors if one not in self._redactors)
        self._redact = None

    def put(
        self,
        head: dict[str, Any],
        text: Text | None,
        *,
        step: Step | None = None,
        output: bool = False,
        body: Any = UNSET,
        part: str = "",
        messages: Sequence[Message] | None = None,
        offers: Sequence[Any] | None = None,
        usage: Any = UNSET,
    ) -> None:
        """Write one event: `head` is the fields of its `Head` but for `q` and `parts`.

        `body` goes into the part named `part`; `messages` and `offers` are lists whose members are written once.
        `step` and `output` say whose input or output the messages are.
        """
        tape = self.tape
        tape.begin()
        metadata = self.capture == "metadata"
        names: list[str] = []
        bodies: list[bytes] = []
        if text is not None:
            encoded = _encode_text(_names_only(text) if metadata else text)
            if encoded != b"{}":
                names.append("text")
                bodies.append(encoded)
        if usage is not UNSET:
            names.append("usage")
            bodies.append(snapshot(usage))
        # Ids say what was read, not what it says: items stand in metadata too.
        if body is not UNSET and (not metadata or part == "items"):
            names.append(part)
            bodies.append(snapshot(body))
        listed: Listed | None = None
        fresh: dict[bytes, int] | None = None
        conversation = self._conversation
        if not metadata:
            if messages is not None:
                listed = conversation.number([snapshot(one) for one in messages])
                fresh = listed.fresh
                head["base"], head["base_output"], head["keep"] = listed.base, listed.base_output, listed.keep
                head["refs"] = listed.refs
                names += listed.names
                bodies += listed.bodies
            if offers:
                offered = conversation.number([snapshot(one) for one in offers], fresh)
                fresh = offered.fresh
                head["offers"] = offered.numbers
                names += offered.names
                bodies += offered.bodies
        line = encode(Head(q=tape.next_q(), parts=tuple(names), **head))
        if bodies:
            line += b"\t" + (self._redact or self._build_redact())(b"\t".join(bodies))
        written = tape.write(line + b"\n")
        self.events += 1
        if written and fresh is not None:
            if listed is not None and step is not None:
                conversation.remember(listed, step.step_id, output=output)
            else:
                conversation.remember_fresh(fresh)

    def _build_redact(self) -> Callable[[bytes], bytes]:
        if os.environ.get("COUNTERFOIL_REDACT") == "off":
            self._redact = _as_it_is
            return _as_it_is
        self._redact = built = redact.build((*redact.DEFAULT_RULES, *collect_redactors(), *self._redactors))
        return built

    def _new_writer(self) -> None:
        self._conversation = Conversation()
        for call in _on_new_tape:
            call(self.path)


def on_new_tape(call: Callable[[str], None]) -> None:
    """Have `call(path of the store)` called when a process begins a tape."""
    _on_new_tape.append(guarded(call))


def _as_it_is(content: bytes) -> bytes:
    return content


def _encode_text(text: Text) -> bytes:
    try:
        return encode(text)
    except UnicodeEncodeError:  # lone surrogates
        values = {key: getattr(text, key) for key in text.__struct_fields__}
        return snapshot({key: value for key, value in values.items() if value is not None})


def _names_only(text: Text) -> Text:
    return Text(**{key: getattr(text, key) for key in _METADATA})
