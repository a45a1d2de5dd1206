"""A handoff from both sides: what the source knew, what the target was given, and what it asked for again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from counterfoil.analysis.cause import Choice, results_of
from counterfoil.analysis.messages import canonical, response, said, thought

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from counterfoil.analysis.acts import Act
    from counterfoil.analysis.bare_steps import BareStep
    from counterfoil.analysis.cause import Link, Record

__all__ = ["AskedAgain", "Fact", "Knowledge", "facts", "knowledge"]

#: What cannot be said in other words: figures, numbers of things, dates, addresses.
_FACT: Final = re.compile(r"[\w.+@/:-]*[\d@][\w.+@/:-]*")
#: 38.00 is 38, and 38.50 is 38.5.
_DECIMALS: Final = re.compile(r"^(\d+(?:\.\d*[1-9])?)(?:\.0*|0*)$")
_CALLS: Final = (
    """SELECT step_id, arguments FROM tool_calls WHERE step_id IN (SELECT value FROM json_each(?))"""
)


class Fact(msgspec.Struct, frozen=True):
    """A message that the source knew, and how it was `given`: as it stands in the target's first input.

    `whole`: as it was said. Else its figures, ids and addresses tell: all of them stand there (`facts`), some (`part`) or
    none (`none`); `kept` do, `missing` do not. `unknown`: it has none. `tool` and `step_id` tell whose result it is.
    """

    position: int
    role: str | None
    text: str
    tool: str | None
    step_id: str | None
    given: str
    kept: tuple[str, ...]
    missing: tuple[str, ...]


class AskedAgain(msgspec.Struct, frozen=True):
    """A tool that was called before the handoff, and by the target again with the same arguments."""

    tool: str | None
    step_id: str
    again_step_id: str
    agent: str | None


class Knowledge(msgspec.Struct, frozen=True):
    """Source and target of a handoff: the model calls whose inputs are compared, and what became of each message.

    `unknown` says in sentences what was not recorded, and so was not compared.
    """

    source_step_id: str | None
    target_step_id: str | None
    target_messages: int
    facts: tuple[Fact, ...]
    asked_again: tuple[AskedAgain, ...]
    unknown: tuple[str, ...]


def knowledge(record: Record, act: Act, links: Sequence[Link]) -> Knowledge:
    """Compare what the source of the handoff `act` knew with what its target was given."""
    unknown: list[str] = []
    choice = links[0] if links and isinstance(links[0], Choice) else None
    target = record.steps.by_id.get(act.target_step_id or "")
    inside = record.steps.below(target) if target is not None else []
    first = next((one for one in inside if one.kind == "llm"), None)
    if act.target_type == "human":
        unknown.append("The target is a human: what they knew beside the question is not recorded.")
    elif target is None:
        unknown.append("The target never started, or its step is not recorded.")
    elif first is None:
        unknown.append("The target called no model: what it was given is not known.")
    given = record.messages(first.step_id)[0] if first is not None else []
    if first is not None and (not given or None in given):
        unknown.append(record.not_recorded("What the target was given"))
    if choice is None:
        unknown.append("No model call of the source is known before the handoff, in this run.")
    found: tuple[Fact, ...] = ()
    if choice is not None and given and None not in given:
        found = tuple(_facts(record, choice, given))
    return Knowledge(
        source_step_id=None if choice is None else choice.step_id,
        target_step_id=None if first is None else first.step_id,
        target_messages=len(given),
        facts=found,
        asked_again=tuple(_asked_again(record, act, inside)),
        unknown=tuple(unknown),
    )


def _facts(record: Record, choice: Choice, given: Sequence[Any]) -> Iterator[Fact]:
    told = "\n".join(f"{_text(one)}\n{thought(one)}" for one in given)
    spaced, there = _spaced(told), facts(told).keys()
    known, made = record.messages(choice.step_id)
    call = record.steps.by_id[choice.step_id]
    tools = {one.position: (one.tool, one.step_id) for one in results_of(record, call, None)}
    # What it chose hands over; only where it chose nothing is its answer a thing that it knew.
    last = [] if choice.chosen else made
    for position, message in enumerate([*known, *last]):
        text = _text(message)
        if message is None or message.get("role") == "system" or not text.strip():
            continue
        if position < len(known) and message.get("role") == "assistant":
            continue  # what it said on the way
        tool, step_id = tools.get(position, (None, None))
        mine = facts(text)
        kept = tuple(word for form, word in mine.items() if form in there)
        missing = tuple(word for form, word in mine.items() if form not in there)
        if _spaced(text) in spaced:
            yield Fact(position, message.get("role"), text, tool, step_id, "whole", tuple(mine.values()), ())
        else:
            how = "unknown" if not mine else "none" if not kept else "part" if missing else "facts"
            yield Fact(position, message.get("role"), text, tool, step_id, how, kept, missing)


def _text(message: Any) -> str:
    return "\n".join(filter(None, (said(message), response(message))))


def _spaced(text: str) -> str:
    return " ".join(text.split())


def facts(text: str) -> dict[str, str]:
    """Give the figures, ids, dates and addresses in a text, all that has a digit or an @ in it, by a form to compare."""
    found: dict[str, str] = {}
    for word in _FACT.findall(text):
        if bare := word.strip(".:/+-_"):
            found.setdefault(_DECIMALS.sub(r"\1", bare.casefold()), bare)
    return found


def _asked_again(record: Record, act: Act, inside: Sequence[BareStep]) -> Iterator[AskedAgain]:
    after = [one for one in inside if one.kind == "tool" and one.status != "waiting"]
    if not after or act.at_ns is None:
        return
    mine = {one.step_id for one in inside}
    before = [
        one
        for one in record.steps.steps
        if one.kind == "tool"
        and one.started_ns < act.at_ns
        and one.step_id not in mine
        and one.step_id != act.step_id
    ]
    listed = msgspec.json.encode([one.step_id for one in (*before, *after)]).decode()
    given = {row[0]: row[1] for row in record.store.sql(_CALLS, (listed,))[1]}

    def form(step: BareStep) -> tuple[str | None, str] | None:
        text = given.get(step.step_id)
        return None if text is None else (step.name, canonical(_decoded(text)))

    first = {form(one): one for one in reversed(before) if form(one) is not None}
    for one in after:
        if (earlier := first.get(form(one))) is not None:
            yield AskedAgain(one.name, earlier.step_id, one.step_id, one.agent)


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
