"""The hand that writes: an event becomes one line of tape, its messages by number, its secrets out."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any, Final

from counterfoil import ids
from counterfoil.conversation import Conversation
from counterfoil.events import Text, decode_text, encode
from counterfoil.forklock import importing
from counterfoil.guard import guarded, report
from counterfoil.plugins import collect_redactors
from counterfoil.snapshot import Taken, snapshot, text_of
from counterfoil.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from counterfoil.redact import Redactor
    from counterfoil.steps import Step

__all__ = ["LIMIT_LABELS", "LIMIT_TEXT", "UNSET", "Pen", "each", "on_new_tape"]

#: A name, a label, an error's message is cut to this many characters, and no event has more labels.
LIMIT_TEXT: Final = 16_384
LIMIT_LABELS: Final = 100
#: A second writer may begin between a line's making and its writing; not a third.
ATTEMPTS: Final = 3


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


#: Stands for "no such value", where None is one.
UNSET: Final = _Unset()

#: What `capture="metadata"` keeps of an event's strings: names and ids, never what was said.
_METADATA: Final = (
    "name", "agent", "framework", "native_id", "call_id", "task", "session", "labels", "version", "owner",
    "questions", "stop_reason", "provider", "model", "request_model", "response_id", "finish_reason", "usage_source",
    "price_source", "error_type", "source", "target", "target_asked", "coordinator", "item_id", "action",
    "resource", "rule", "policy", "policy_version", "label", "answered_by", "place", "frameworks",
)  # fmt: skip

#: What a head says of messages, by the numbers of one writer.
_LISTS: Final = frozenset({"base", "base_output", "keep", "refs", "offers"})

_on_new_tape: list[Callable[[str], None]] = []


class Pen:
    """Writes events to the tape of the store at `path`."""

    def __init__(self, path: str, capture: str, redactors: Iterable[Redactor]) -> None:
        self.path: Final = path
        self.capture = capture
        self.events = 0
        self.dropped = 0
        self._owned_up = 0
        self.tape: Final = Tape(path, self._new_writer, self._forget)
        self._began = False
        self._conversation = Conversation()
        self._redactors: list[Redactor] = []
        self._redact: Callable[[bytes], bytes] | None = None
        self.add_redactors(redactors)

    def add_redactors(self, redactors: Iterable[Redactor]) -> None:
        """Take out more, from now on. Raises TypeError for what is neither a rule nor a function."""
        added = tuple(redactors)
        if not added:
            return
        with importing:
            from counterfoil import redact  # noqa: PLC0415  # see _build_redact

        for one in added:
            if not isinstance(one, redact.Rule) and not callable(one):
                raise TypeError(f"a redactor is a Rule or a function, not {one!r}")
            if one not in self._redactors:
                self._redactors.append(one)
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
        messages: Sequence[bytes] = (),
        offers: Sequence[Any] | None = None,
        usage: Any = UNSET,
    ) -> bytes | None:
        """Write one event: `head` is the fields of its `Head` but for `q`, `parts` and lists of messages. Never raises.

        `body` goes into the part named `part`; `messages` (each as JSON) and `offers` are lists whose members are written once.
        `step` and `output` say whose input or output the messages are. Gives the body as JSON, where it is recorded.
        """
        if None in head.values():
            head = {key: value for key, value in head.items() if value is not None}
        names: list[str] = []
        bodies: list[bytes] = []
        taken: bytes | None = None
        metadata = self.capture == "metadata"
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
            taken = snapshot(body)
            names.append(part)
            bodies.append(taken)
        if metadata:
            messages, offers = (), None
        offering = each(offers) if offers else ()
        try:
            self._write(head, names, bodies, messages, offering, step, output=output)
        except Exception as error:
            # That something happened is told even where what happened cannot be.
            report("counterfoil.pen.Pen.put", error)
            guarded(self._write)(_without_lists(head), [], [], (), (), None, output=output)
        return taken

    def _write(
        self,
        head: dict[str, Any],
        named: list[str],
        bodies: list[bytes],
        messages: Sequence[bytes],
        offers: Sequence[bytes],
        step: Step | None,
        *,
        output: bool,
    ) -> None:
        tape = self.tape
        self.events += 1
        for _ in range(ATTEMPTS):
            writer = tape.begin()
            if not writer:
                break
            conversation = self._conversation
            numbers: tuple[int, ...] = ()
            fresh: dict[bytes, int] = {}
            names, parts = named.copy(), bodies.copy()
            if messages:
                numbers = conversation.number(messages, fresh, names, parts)
                before = conversation.continues(numbers)
                if before is None:
                    head["refs"] = numbers
                else:
                    head["base"], of_output, head["keep"] = before
                    if of_output:
                        head["base_output"] = True
                    if before[2] < len(numbers):
                        head["refs"] = numbers[before[2] :]
            if offers:
                head["offers"] = conversation.number(offers, fresh, names, parts)
            head["q"] = tape.next_q()
            if names:
                head["parts"] = names
            line = encode(head)
            if parts:
                line += b"\t" + (self._redact or self._build_redact())(b"\t".join(parts))
            if tape.write(line + b"\n", writer):
                # Only what the kernel has may be referred to.
                if fresh:
                    conversation.remember(fresh)
                if numbers and step is not None:
                    conversation.remember_list(numbers, step.step_id, output=output)
                if self._began:
                    self._began = False
                    for call in _on_new_tape:
                        call(self.path)
                if self.dropped > self._owned_up:
                    self._own_up()
                return
            if tape.writer == writer:
                break
            # Another writer has begun meanwhile: the numbers in the line are none of its own.
            head = _without_lists(head)
        self.dropped += 1

    def _own_up(self) -> None:
        """Say in the store, now that it can be written again, how much was lost."""
        count = self._owned_up = self.dropped
        message = f"{count} events could not be written to {self.tape.folder}"
        text = Text(place="counterfoil.tape", error_type="EventsLost", error_message=message)
        self.put({"k": "trouble", "t": ids.now_ns(), "count": count}, text)

    @guarded
    def warm(self) -> None:
        """Do beforehand what the first event would wait for: open the tape, load plugins, build the redaction."""
        if self._redact is None:
            self.tape.begin()
            self._build_redact()

    def _build_redact(self) -> Callable[[bytes], bytes]:
        if os.environ.get("COUNTERFOIL_REDACT") == "off":
            self._redact = _as_it_is
            return _as_it_is
        with importing:
            from counterfoil import redact  # noqa: PLC0415  # takes longer than all else of ours to import

        rules = collect_redactors()
        built = redact.build((*redact.DEFAULT_RULES, *(rules or ()), *self._redactors))
        if rules is not None:
            self._redact = built
        return built

    def _new_writer(self) -> None:
        self._conversation = Conversation()
        self._began = True

    def _forget(self) -> None:
        self._conversation = self._conversation.anew()


def _without_lists(head: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in head.items() if key not in _LISTS}


def _as_it_is(content: bytes) -> bytes:
    return content


def on_new_tape(call: Callable[[str], None]) -> None:
    """Have `call(path of the store)` called when a process begins a tape."""
    _on_new_tape.append(guarded(call))


def each(values: Iterable[Any]) -> list[bytes]:
    """Give each of `values` as JSON; none of what cannot be gone through."""
    try:
        return [one if type(one) is Taken else snapshot(one) for one in values]
    except Exception as error:
        report("counterfoil.pen.each", error)
        return []


def _encode_text(text: Text) -> bytes:
    try:
        encoded = encode(text)
        if len(encoded) <= LIMIT_TEXT:
            decode_text(encoded)  # a reader would set aside the whole event for one wrong type
            return encoded
    except Exception:  # noqa: S110  # the careful way below takes what the quick one refused
        pass
    return encode(Text(**{key: _careful(key, getattr(text, key)) for key in text.__struct_fields__}))


def _careful(key: str, value: Any) -> Any:
    if value is None:
        return None
    if key in {"labels", "versions", "frameworks"}:
        few = itertools.islice(value.items(), LIMIT_LABELS)
        return {text_of(name, LIMIT_TEXT): text_of(item, LIMIT_TEXT) for name, item in few}
    if key == "questions":
        return [text_of(one, LIMIT_TEXT) for one in itertools.islice(value, LIMIT_LABELS)]
    return text_of(value, LIMIT_TEXT)


def _names_only(text: Text) -> Text:
    return Text(**{key: getattr(text, key) for key in _METADATA})
