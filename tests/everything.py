"""A run in which every kind of event happens, with a word of its own in every place that a text can enter."""

from __future__ import annotations

import itertools
import json
import typing
from pathlib import Path
from typing import Any

from counterfoil.events import Text, message, text_part
from handmade_tape import SECOND, T0, Tape, run_id, step_id

__all__ = ["Words", "all_bytes", "everything_happens", "said"]

#: What a writer says of itself must stay true for it to be told dead.
_OF_THE_WRITER = {"writer", "host", "boot", "machine"}


class Words:
    """Gives a word for every place, and finds those that stand in raw bytes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = itertools.count(1)
        self.places: dict[str, str] = {}  # word > place

    def new(self, place: str) -> str:
        word = f"{self._name}word{next(self._count):04d}x"
        self.places[word] = place
        return word

    def text(self, kind: str, **given: Any) -> Text:
        """Give a Text of which every field that is not `given` holds a word."""
        hints = typing.get_type_hints(Text)
        values: dict[str, Any] = {}
        for name in Text.__struct_fields__:
            place = f"{kind}: {name}"
            shape = str(hints[name])
            if name in _OF_THE_WRITER or name in given:
                continue
            if shape.startswith("dict"):
                values[name] = {self.new(f"{place}, a key"): self.new(place)}
            elif shape.startswith("list"):
                values[name] = [self.new(place)]
            else:
                values[name] = self.new(place)
        return Text(**values | given)

    def body(self, place: str) -> dict[str, Any]:
        """Give a payload with a word in a key, in a value, and in JSON in JSON."""
        inner = json.dumps({"config": json.dumps({"deep": self.new(f"{place}, JSON in JSON in JSON")})})
        return {
            self.new(f"{place}, a key"): self.new(place),
            "list": [self.new(f"{place}, a list")],
            "json": inner,
        }

    def message(self, place: str) -> dict[str, Any]:
        return message("user", [text_part(f"{self.new(place)} and {self.new(place)}")])

    def found_in(self, files: dict[str, bytes]) -> dict[str, str]:
        """Give the places whose words stand in one of `files`, and in which."""
        return {
            f"{place} ({word})": name
            for name, data in files.items()
            for word, place in self.places.items()
            if word.encode() in data
        }

    def all_in(self, files: dict[str, bytes]) -> bool:
        """Tell whether every word stands in one of `files`."""
        return len(self.found_in(files)) == len(self.places)


def said(text: str) -> dict[str, Any]:
    return message("user", [text_part(text)])


def everything_happens(tape: Tape, n: int, words: Words, *, response: str | None = None) -> None:
    """Write run `n`: of every kind of event one that holds words, and steps that fail, cost, and are told twice.

    `response`: the provider's id of the call that is reported twice.
    """
    run, first = run_id(n), 100 * n
    root, agent, outer, inner, tool, human, other = (step_id(first + at) for at in range(7))
    at = itertools.count(T0 + n * 1_000 * SECOND, SECOND)
    response = response or words.new("response id of two reports")
    common = {"run": run}

    def event(k: str, *parts: str, text: Text | None = None, bodies: dict | None = None, **head: Any) -> None:
        tape.event(
            k,
            t=next(at),
            text=words.text(k) if text is None else text,
            bodies={part: words.body(f"{k}: part {part}") for part in parts} | (bodies or {}),
            **common,
            **head,
        )

    event("start", "input", step=root, kind="workflow", evidence="native")
    event(
        "start",
        "input",
        step=agent,
        kind="agent",
        parent=root,
        text=words.text("start", agent=words.new("agent")),
    )
    # One call told by two models, one inside the other.
    event(
        "start",
        step=outer,
        kind="llm",
        parent=agent,
        messages=[words.message("message"), words.message("message")],
    )
    event(
        "start", step=inner, kind="llm", parent=outer, base=outer, keep=2, messages=[words.message("message")]
    )
    model = {"response_id": response, "error_type": None, "error_message": None}
    usage = {"input_tokens": 90, "output_tokens": 9, "cost_nano": 1_000}
    event(
        "end",
        "usage",
        step=inner,
        status="ok",
        text=words.text("end", **model),
        messages=[words.message("answer")],
        **usage,
    )
    event(
        "end",
        "usage",
        step=outer,
        status="ok",
        text=words.text("end", **model),
        messages=[words.message("answer")],
        **usage,
    )
    event("start", "input", step=tool, kind="tool", parent=agent, decided=outer)
    event(
        "access",
        "query",
        step=tool,
        bytes=10,
        bodies={"items": [{"item_id": words.new("item"), "source": words.new("source")}]},
    )
    event("decision", step=tool, item=f"{first:x}".rjust(16, "d"), verdict="allow", enforced=True)
    event("end", "output", step=tool, status="error")  # its text has an error's type
    event("amend", step=tool, text=words.text("amend", agent=words.new("agent"), error_type=None))
    event("start", "input", step=human, kind="human", parent=agent)
    event("approval", "payload", step=human, item=f"{first:x}".rjust(16, "a"), status="waiting")
    event("approval", step=human, item=f"{first:x}".rjust(16, "a"), status="rejected")
    event("end", "output", step=human, status="ok", text=words.text("end", error_type=None))
    event(
        "handoff",
        "payload",
        step=agent,
        handoff=f"{first:x}".rjust(16, "e"),
        mode="escalation",
        status="requested",
    )
    event("handoff", "answer", step=agent, handoff=f"{first:x}".rjust(16, "e"), status="returned")
    event("start", step=other, kind="other", parent=agent)
    event("close", "output", step=other, text=words.text("close", error_type=None))
    event("score", step=agent, value=0.5)
    event(
        "answer",
        text=None,
        bodies={"answer": [{"id": words.new("answer's id"), "value": words.new("answer")}]},
    )
    event(
        "end",
        "output",
        step=agent,
        status="ok",
        text=words.text("end", error_type=None),
        base=inner,
        base_output=True,
        keep=1,
    )
    event("end", "output", step=root, status="ok", text=words.text("end", error_type=None))


def outside_of_runs(tape: Tape, words: Words) -> None:
    """Write what a process says of itself, and of errors of ours; and lines that are no events."""
    tape.event("attach", t=T0 + 5, text=words.text("attach"))
    tape.event("trouble", t=T0 + 6, text=words.text("trouble"), count=1)
    tape.event(
        "access", t=T0 + 7, text=words.text("access outside"), bodies={"query": words.body("query outside")}
    )
    tape.raw(f'{{"k":"start","no event": "{words.new("a line that is no event")}"}}\n'.encode())


def all_bytes(store: Path) -> dict[str, bytes]:
    """Give the raw bytes of every file beside the store, and under its folder of tapes, by name."""
    files = [*store.parent.iterdir(), *store.with_name(store.name + ".tape").glob("*")]
    return {file.name: file.read_bytes() for file in files if file.is_file()}
