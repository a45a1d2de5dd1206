"""Two runs beside each other: where they part, and what each agent took."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from counterfoil.analysis.alignment import Entry, Row, align, entries, same_name
from counterfoil.analysis.tasks import Task, task_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from counterfoil.store.read import Store
    from counterfoil.store.records import Run, Step

__all__ = ["AgentPair", "AgentShare", "Pair", "Side", "acts", "pair"]

#: What is said of arguments and results in a sentence.
LONGEST: Final = 80


class AgentShare(msgspec.Struct, frozen=True):
    """What one agent did in a task. `own_ns` leaves out other agents inside of its turns, and waits for humans."""

    agent: str
    llm_calls: int
    tool_calls: int
    input_tokens: int | None
    output_tokens: int | None
    unknown_usage_calls: int
    cost_nano: int | None
    unpriced_calls: int
    own_ns: int


class AgentPair(msgspec.Struct, frozen=True):
    """An agent in both, or in one."""

    a: AgentShare | None
    b: AgentShare | None


class Side(msgspec.Struct, frozen=True):
    """One of the two: the run that was named, and the sums of it with those that it resumes and that resume it."""

    run_id: str
    name: str | None
    output: Any
    task: Task


class Pair(msgspec.Struct, frozen=True):
    """Two runs. `parting` says in sentences where what they did parts, and why it may."""

    a: Side
    b: Side
    parting: tuple[str, ...]
    agents: tuple[AgentPair, ...]
    rows: tuple[Row, ...]


def pair(store: Store, a: Run | str, b: Run | str) -> Pair:
    """Put the runs `a` and `b` beside each other. Raises StoreError with one sentence."""
    sides, listed, shares = [], [], []
    for run in (a, b):
        found = store.run(run) if isinstance(run, str) else run
        task = task_of(store, found)
        chain = [found if run_id == found.run_id else store.run(run_id) for run_id in task.runs]
        sides.append(Side(found.run_id, found.name, chain[-1].output, task))
        listed.append(entries(store, chain))
        shares.append(_shares(step for one in chain for step in store.steps(one)))
    rows = align(*listed)
    return Pair(sides[0], sides[1], tuple(_parting(rows, sides)), tuple(_agents(*shares)), tuple(rows))


# -- agents


def _agents(first: Mapping[str, AgentShare], second: Mapping[str, AgentShare]) -> Iterator[AgentPair]:
    for name in {**first, **second}:
        yield AgentPair(first.get(name), second.get(name))


def _shares(steps: Iterable[Step]) -> dict[str, AgentShare]:
    known = {step.step_id: step for step in steps}
    mine: dict[str, list[Step]] = {}
    inside: dict[str, list[Step]] = {}  # an agent's step: what of it is not its own time
    for step in known.values():
        if step.agent is not None:
            mine.setdefault(same_name(step.agent), []).append(step)
        if step.kind in {"agent", "human"} and (above := _agent_above(step, known)):
            inside.setdefault(above, []).append(step)
    return {
        name: _share(done, inside) for name, done in mine.items() if any(one.kind == "agent" for one in done)
    }


def _agent_above(step: Step, known: Mapping[str, Step]) -> str | None:
    above, seen = known.get(step.parent_id or ""), {step.step_id}
    while above is not None and above.step_id not in seen:
        if above.kind == "agent":
            return above.step_id
        seen.add(above.step_id)
        above = known.get(above.parent_id or "")
    return None


def _share(steps: Sequence[Step], inside: Mapping[str, Sequence[Step]]) -> AgentShare:
    turns = [step for step in steps if step.kind == "agent"]
    calls = [step for step in steps if step.kind in {"llm", "embedding"} and step.folded_into is None]
    told = [call for call in calls if call.status == "ok" or call.input_tokens is not None]
    llm = [call for call in calls if call.kind == "llm"]
    return AgentShare(
        agent=turns[0].agent or "",
        llm_calls=len(llm),
        tool_calls=sum(step.kind == "tool" and step.status != "waiting" for step in steps),
        input_tokens=_known(call.input_tokens for call in calls),
        output_tokens=_known(call.output_tokens for call in calls),
        unknown_usage_calls=sum(
            call.status == "ok" and (call.input_tokens is None or call.output_tokens is None) for call in llm
        ),
        cost_nano=_known(step.cost_nano for step in steps),
        unpriced_calls=sum(call.cost_nano is None for call in told),
        own_ns=sum(_own(turn, inside.get(turn.step_id, ())) for turn in turns),
    )


def _known(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _own(turn: Step, inside: Sequence[Step]) -> int:
    """Give the turn's time less what is covered by the steps `inside`, however many run at once."""
    if turn.started_ns is None or turn.ended_ns is None:
        return 0
    own, upto = turn.ended_ns - turn.started_ns, turn.started_ns
    for step in inside:  # in the order of start
        start, end = max(step.started_ns or 0, upto), min(step.ended_ns or turn.ended_ns, turn.ended_ns)
        if end > start:
            own, upto = own - (end - start), end
    return own


# -- where they part


def acts(row: Row) -> bool:
    """Tell whether the row is about what was done; how often a model was asked on the way is not."""
    return (row.a or row.b).kind != "llm"  # type: ignore[union-attr]  # one of the two is there


def _parting(rows: Sequence[Row], sides: Sequence[Side]) -> Iterator[str]:
    done = [row for row in rows if acts(row)]
    parted = next(
        (n for n, row in enumerate(done) if row.relation != "same" and row.changed != ("result",)), None
    )
    before = done if parted is None else done[:parted]
    other = next((row for row in before if row.changed == ("result",)), None)
    if other is not None and other.a is not None and other.b is not None:
        yield (
            f"The same call gave them something else: {_said(other.a)} gave A {_brief(other.a.result)}, "
            f"B {_brief(other.b.result)}."
        )
    if parted is None:
        yield f"They did the same, from the first to the last of {len(done)} steps and handoffs, model calls apart."
        calls = [side.task.llm_calls for side in sides]
        if calls[0] != calls[1]:
            yield f"A called models {calls[0]} times for it, B {calls[1]} times."
        return
    if before and before[-1].a is not None:
        yield f"They did the same up to here: {_said(before[-1].a)}."
    first = next((row.a for row in done[parted:] if row.a is not None), None)
    second = next((row.b for row in done[parted:] if row.b is not None), None)
    then = "Then" if before else "They part at once:"
    yield f"{then} {_does('A', first)}, {_does('B', second)}."


def _does(side: str, entry: Entry | None) -> str:
    if entry is None:
        return f"{side} did no more"
    how = "" if entry.status == "ok" else f" ({entry.error_type or entry.status})"
    return f"in {side} {_said(entry)}{how}"


def _said(entry: Entry) -> str:
    who = entry.agent or "nobody"
    match entry.kind:
        case "agent":
            return f"{entry.name} began"
        case "tool":
            return f"{who} called {entry.name}({_arguments(entry.given)})"
        case "handoff":
            verb = {"escalation": "asked", "route": "was followed by"}.get(entry.mode or "", "handed off to")
            return f"{who} {verb} {entry.name}"
        case "human":
            return f"{who} asked a human {_brief(entry.given)}"
        case _:
            return f"{who} searched {entry.name} for {_brief(entry.given)}"


def _arguments(given: Any) -> str:
    if not isinstance(given, dict):
        return "" if given is None else _brief(given)
    return _cut(
        ", ".join(f"{key}={json.dumps(one, ensure_ascii=False, default=str)}" for key, one in given.items())
    )


def _brief(value: Any) -> str:
    return _cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
