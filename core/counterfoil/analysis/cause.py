"""The chain of cause: from an act back to what the run was asked, model call by model call, handoff by handoff."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from counterfoil.analysis.alignment import same_name
from counterfoil.analysis.bare_steps import BareStep, BareSteps, bare_steps
from counterfoil.analysis.messages import as_messages, asked, canonical, response, said, thought
from counterfoil.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from counterfoil.analysis.acts import Act
    from counterfoil.analysis.messages import Asked
    from counterfoil.store.read import Store
    from counterfoil.store.records import Run

__all__ = [
    "Choice",
    "Input",
    "Link",
    "Message",
    "Offer",
    "Passed",
    "Record",
    "Result",
    "chain",
    "instructions",
    "results_of",
]

#: A chain has no more model calls: each is read with all that went into it.
LONGEST: Final = 40
#: Runs that resume each other have the model call that asked for a tool in the earlier one.
_ASKED_EARLIER: Final = """SELECT m.step_id FROM messages m WHERE m.run_id IN (SELECT value FROM json_each(?))
  AND m.direction = 'output' AND EXISTS (SELECT 1 FROM json_each(m.tool_calls)
  WHERE json_extract(value, '$.id') = ?) LIMIT 1"""
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
#: Shorter names stand in other words too.
_NAME: Final = 5
_INSTRUCTING: Final = frozenset({"system", "developer"})
_TOOLS: Final = "SELECT tools FROM llm_calls WHERE step_id = ?"
_RESULTS: Final = """SELECT step_id, arguments, result, error_message FROM tool_calls
  WHERE step_id IN (SELECT value FROM json_each(?))"""


class Message(msgspec.Struct, frozen=True):
    """A message that was new to a model call, at its place in the whole input; `text` None: not recorded, or erased."""

    position: int
    role: str | None
    text: str | None


class Result(msgspec.Struct, frozen=True):
    """A tool call that was over before a model call of the same turn; `position` is that of its result in the input."""

    step_id: str
    tool: str | None
    arguments: Any
    result: Any
    status: str
    error: str | None
    position: int | None


class Offer(msgspec.Struct, frozen=True):
    """A tool that the model could have chosen and did not. `agents` are named in its definition: it may reach them."""

    tool: str
    agents: tuple[str, ...]


class Choice(msgspec.Struct, frozen=True):
    """A model call: what was new to it, what was on offer, what it said and chose.

    `evidence` is how it is known that it chose what comes of it: `native`, `inferred`, `guessed`. Or None: that is not
    known of any, and this is only the last call of the turn before. `unknown` says in sentences what was not recorded.
    `left_out` model calls of the run were before it that the chain, being long, leaves out; then comes the run's input.
    """

    run_id: str
    step_id: str
    agent: str | None
    model: str | None
    status: str
    at_ns: int
    evidence: str | None
    new: tuple[Message, ...]
    earlier: int
    results: tuple[Result, ...]
    chosen: tuple[Asked, ...]
    offers: tuple[Offer, ...] | None
    text: str
    thought: str
    unknown: tuple[str, ...]
    left_out: int
    link: Literal["choice"] = "choice"


class Passed(msgspec.Struct, frozen=True):
    """How the work came to an agent. Without `handoff_id` it was asked by the tool `step_id`."""

    run_id: str
    handoff_id: str | None
    step_id: str | None
    source: str | None
    target: str | None
    mode: str | None
    coordinator: str | None
    reason: str | None
    evidence: str | None
    at_ns: int | None
    link: Literal["handoff"] = "handoff"


class Input(msgspec.Struct, frozen=True):
    """What the run was asked; `resumes` is the run that it goes on with. `input` None: not recorded, or erased."""

    run_id: str
    step_id: str | None
    name: str | None
    input: Any
    resumes: str | None
    at_ns: int | None
    link: Literal["input"] = "input"


Link: TypeAlias = Choice | Passed | Input


class Record:
    """What was recorded of a run: steps at once, what was said when it is asked for. `agents` ever worked on its task."""

    def __init__(
        self, store: Store, run: Run, agents: frozenset[str], later: frozenset[str] = frozenset()
    ) -> None:
        self.store = store
        self.run = run
        self.steps = BareSteps(bare_steps(store, [run.run_id]))
        self.handoffs = store.handoffs(run)
        self.erased = bool(store.erasures(run))
        self.agents = agents
        self._later = later | {run.run_id}
        self._said: dict[str, tuple[list[Any], list[Any]]] = {}

    def messages(self, step_id: str) -> tuple[list[Any], list[Any]]:
        """Give all that went into a model call and came out of it, as messages; an erased one is None."""
        if step_id not in self._said:
            found = self.store.messages(step_id)
            sides = found.input, found.output
            if not any(sides):
                step = self.store.step(step_id)
                sides = as_messages(step.input, "user"), as_messages(step.output, "assistant")
            given, made = ([one if isinstance(one, dict) else None for one in side] for side in sides)
            self._said[step_id] = given, made
        return self._said[step_id]

    def resumed(self) -> Record | None:
        """Give what was recorded of the run that this one resumes, where that is in the store."""
        resumes = self.run.resumes
        if resumes is None or resumes in self._later:
            return None
        try:
            run = self.store.run(resumes)
        except StoreError:  # pruned, or exported without it
            return None
        return Record(self.store, run, self.agents, self._later)

    def not_recorded(self, what: str) -> str:
        """Give the sentence for content that is not there."""
        return f"{what} was erased." if self.erased else f"{what} was not recorded."


def chain(record: Record, act: Act) -> tuple[Link, ...]:
    """Give the links from `act` back to the input of the run, or, where it resumes others, of the first one."""
    return tuple(_Walk(record).links(act))


class _Walk:
    """Goes back from link to link; no step twice."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.seen: set[str] = set()

    def links(self, act: Act) -> Iterator[Link]:
        """Give the links."""
        steps = self.record.steps
        step = steps.by_id.get(act.step_id or "")
        if act.kind == "handoff":
            yield from self._decided(act.decided_by, act.decided_evidence, step, act.agent, act.at_ns)
        elif step is None:
            yield self._input()
        elif step.kind == "llm":
            yield from self.from_choice(step, "native")
        elif step.kind == "agent":
            yield from self._from_turn(step)
        else:
            asker = (
                step
                if step.kind == "tool"
                else next((up for up in steps.above(step) if up.kind == "tool"), None)
            )
            turn = steps.turn(step)
            if asker is not None and steps.turn(asker) == turn:
                yield from self._decided(
                    asker.decided_by, asker.decided_evidence, asker, asker.agent, asker.started_ns
                )
            else:
                yield from self._from_turn(turn)

    def _decided(
        self,
        by: str | None,
        evidence: str | None,
        step: BareStep | None,
        agent: str | None,
        at_ns: int | None,
    ) -> Iterator[Link]:
        """Go on from the model call `by`; where there is none, from the last thing that the agent's turn said."""
        steps = self.record.steps
        call = steps.by_id.get(by or "")
        if call is not None:
            how = evidence or (step.decided_evidence if step is not None else None)
            yield from self.from_choice(call, how or "inferred")
            return
        if step is not None and step.call_id and (earlier := self.asked_earlier(step.call_id)):
            yield from earlier
            return
        turn = steps.turn(step) if step is not None else None
        if turn is None and agent is not None:
            turns = [
                one for one in steps.steps
                if one.kind == "agent" and one.agent == agent and (at_ns is None or one.started_ns <= at_ns)
            ]  # fmt: skip
            turn = turns[-1] if turns else None
        before = [one for one in steps.of_turn(turn, "llm") if at_ns is None or one.started_ns <= at_ns]
        if before:
            yield from self.from_choice(before[-1], None)
        else:
            yield from self._from_turn(turn)

    def asked_earlier(self, call_id: str) -> list[Link]:
        """Go on from the model call that asked for a tool in a run that this one resumes, however far back."""
        resumed = self.record.resumed()
        if resumed is None:
            return []
        listed = msgspec.json.encode([resumed.run.run_id]).decode()
        rows = self.record.store.sql(_ASKED_EARLIER, (listed, call_id))[1]
        call = resumed.steps.by_id.get(rows[0][0]) if rows else None
        walk = _Walk(resumed)
        found = list(walk.from_choice(call, "native")) if call is not None else walk.asked_earlier(call_id)
        return [self._input(), *found] if found else []

    def from_choice(self, call: BareStep, evidence: str | None) -> Iterator[Link]:
        """Give a model call, those before it in its turn, and what began the turn."""
        steps = self.record.steps
        how = evidence
        turn = steps.turn(call)
        mine = steps.of_turn(turn, "llm")
        while True:
            self.seen.add(call.step_id)
            before = [one for one in mine if (one.ended_ns or one.started_ns) <= call.started_ns]
            earlier = next((one for one in reversed(before) if one.step_id not in self.seen), None)
            left_out = 0
            if len(self.seen) >= LONGEST:
                left_out = sum(
                    one.kind == "llm" and one.started_ns < call.started_ns and one.step_id not in self.seen
                    for one in steps.steps
                )
            yield _choice(self.record, call, earlier or self._source_of(turn), earlier is None, how, left_out)
            if left_out:
                yield self._input()
                return
            if earlier is None:
                break
            chose = any(
                tool.decided_by == earlier.step_id and tool.started_ns <= call.started_ns
                for tool in steps.of_turn(turn, "tool")
            )
            call, how = earlier, "native" if chose else None
        yield from self._from_turn(turn)

    def _source_of(self, turn: BareStep | None) -> BareStep | None:
        """Give the model call from which a turn took over: what it was given is not new to the turn."""
        handed = next(
            (one for one in self.record.handoffs if turn is not None and one.target_step_id == turn.step_id),
            None,
        )
        if handed is None:
            return None
        before = [
            one
            for one in self.record.steps.steps
            if one.kind == "llm"
            and one.agent == handed.source
            and one.started_ns <= (handed.requested_ns or 0)
        ]
        return self.record.steps.by_id.get(handed.decided_by or "") or (before[-1] if before else None)

    def _from_turn(self, turn: BareStep | None) -> Iterator[Link]:
        """Go on from what began a turn: a handoff, a tool that it stands in, or the run's input."""
        steps = self.record.steps
        while turn is not None and turn.step_id not in self.seen:
            self.seen.add(turn.step_id)
            handed = next((one for one in self.record.handoffs if one.target_step_id == turn.step_id), None)
            asker = next((up for up in steps.above(turn) if up.kind in {"tool", "agent"}), None)
            if handed is not None:
                yield Passed(
                    turn.run_id, handed.handoff_id, handed.step_id, handed.source, handed.target, handed.mode,
                    handed.coordinator, handed.reason, handed.evidence, handed.requested_ns,
                )  # fmt: skip
                step = steps.by_id.get(handed.step_id or "")
                yield from self._decided(
                    handed.decided_by, handed.decided_evidence, step, handed.source, handed.requested_ns
                )
                return
            if asker is not None and asker.kind == "tool":
                yield Passed(
                    turn.run_id, None, asker.step_id, asker.agent, turn.agent, None, None, None, turn.evidence,
                    asker.started_ns,
                )  # fmt: skip
                yield from self._decided(
                    asker.decided_by, asker.decided_evidence, asker, asker.agent, asker.started_ns
                )
                return
            turn = asker
        yield self._input()
        yield from self._before_input()

    def _before_input(self) -> Iterator[Link]:
        """Go on in the run that this one resumes: from the last model call there."""
        resumed = self.record.resumed()
        calls = [one for one in resumed.steps.steps if one.kind == "llm"] if resumed is not None else []
        if resumed is not None and calls:
            yield from _Walk(resumed).from_choice(calls[-1], None)

    def _input(self) -> Input:
        run = self.record.run
        return Input(run.run_id, run.root_step_id, run.name, run.input, run.resumes, run.started_ns)


def _choice(
    record: Record,
    call: BareStep,
    before: BareStep | None,
    is_first: bool,
    evidence: str | None,
    left_out: int,
) -> Choice:
    """`before` is the model call from which this one goes on; `is_first`: that was in another turn."""
    given, made = record.messages(call.step_id)
    known = Counter[str]()
    asked_before = set[str | None]()
    if before is not None:
        earlier, answer = record.messages(before.step_id)
        known.update(map(canonical, (*earlier, *answer)))
        asked_before = {one.call_id for message in answer for one in asked(message)}
    results = list(results_of(record, call, None if is_first else before))
    placed = {one.position for one in results}
    new = []
    for position, message in enumerate(given):
        form = canonical(message)
        echoed = {one.call_id for one in asked(message)}  # CrewAI leaves the text beside the calls out
        if known[form] > 0:
            known[form] -= 1
        elif position not in placed and not (echoed and echoed <= asked_before):
            new.append(message_at(position, message))
    chosen = tuple(one for message in made for one in asked(message))
    unknown = []
    if not given or any(one is None for one in given):
        unknown.append(
            record.not_recorded("What this call was given" if not given else "Some of what it was given")
        )
    if (not made or any(one is None for one in made)) and call.status == "ok":
        unknown.append(record.not_recorded("What it answered"))
    offers = _offers(record, call, {one.tool for one in chosen})
    return Choice(
        run_id=call.run_id,
        step_id=call.step_id,
        agent=call.agent,
        model=call.model,
        status=call.status,
        at_ns=call.started_ns,
        evidence=evidence,
        new=tuple(new),
        earlier=len(given) - len(new) - sum(one is not None for one in placed),
        results=tuple(results),
        chosen=chosen,
        offers=offers,
        text="\n".join(filter(None, map(said, made))),
        thought="\n".join(filter(None, map(thought, made))),
        unknown=tuple(unknown),
        left_out=left_out,
    )


def message_at(position: int, message: Any) -> Message:
    """Give a message of a model call's input."""
    if message is None:
        return Message(position, None, None)
    told = [said(message), response(message), *(f"calls {one.tool}" for one in asked(message))]
    return Message(position, message.get("role"), "\n".join(filter(None, told)))


def results_of(record: Record, call: BareStep, earlier: BareStep | None) -> Iterator[Result]:
    """Give the tool calls that were over before a model call of their turn, and where their results stand in its input.

    With `earlier` those alone that began after that model call.
    """
    turn, given = record.steps.turn(call), record.messages(call.step_id)[0]
    over = [
        one
        for one in record.steps.of_turn(turn, "tool")
        if one.ended_ns is not None
        and one.status != "waiting"
        and one.ended_ns <= call.started_ns
        and (earlier is None or one.started_ns >= earlier.started_ns)
    ]
    listed = msgspec.json.encode([one.step_id for one in over]).decode()
    told = {row[0]: row[1:] for row in record.store.sql(_RESULTS, (listed,))[1]} if over else {}
    taken: set[int] = set()
    for one in over:
        arguments, result, error = (_parsed(told.get(one.step_id, (None, None, None))[at]) for at in range(3))
        position = _place(one, result, error, given, taken)
        if position is not None:
            taken.add(position)
        problem = ": ".join(filter(None, (one.error_type, error))) or None
        yield Result(one.step_id, one.name, arguments, result, one.status, problem, position)


def _place(tool: BareStep, result: Any, error: Any, given: Sequence[Any], taken: Iterable[int]) -> int | None:
    """Find a tool's result among messages: by its call's id, else by what it says. The last one: it is the newest."""
    by_text = None
    for position in range(len(given) - 1, -1, -1):
        message = given[position]
        parts = message.get("parts") if isinstance(message, dict) else None
        if position in taken:
            continue
        for part in parts if isinstance(parts, list) else ():
            if not isinstance(part, dict) or part.get("type") != "tool_call_response":
                continue
            if tool.call_id and part.get("id") == tool.call_id:
                return position
            if (
                by_text is None
                and part.get("response") in (result, error)
                and part.get("response") is not None
            ):
                by_text = position
    return by_text


def instructions(record: Record, choice: Choice, names: Iterable[str]) -> tuple[str, ...]:
    """Give the sentences of a model call's instructions in which one of `names` stands, written however."""
    wanted = {squeezed for name in names if len(squeezed := same_name(name)) >= _NAME}
    given, _ = record.messages(choice.step_id)
    told = " ".join(said(one) for one in given if one is not None and one.get("role") in _INSTRUCTING)
    return tuple(
        " ".join(sentence.split())
        for sentence in _SENTENCE.split(told)
        if any(name in same_name(sentence) for name in wanted)
    )


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def _offers(record: Record, call: BareStep, chosen: set[str]) -> tuple[Offer, ...] | None:
    rows = record.store.sql(_TOOLS, (call.step_id,))[1]
    definitions = _parsed(rows[0][0]) if rows else None
    if not isinstance(definitions, list):
        return None
    others = {name for name in record.agents if same_name(name) != same_name(call.agent)}
    offers = []
    for one in definitions:
        told = one.get("function", one) if isinstance(one, dict) else None
        if not isinstance(told, dict) or not told.get("name"):
            return None  # erased, or of a form that we do not know
        if told["name"] not in chosen:
            offers.append(Offer(str(told["name"]), tuple(sorted(_named(others, told)))))
    return tuple(offers)


def _named(agents: Iterable[str], definition: dict[str, Any]) -> Iterator[str]:
    """Give the agents whose names stand in a tool's definition."""
    spaced = " ".join(re.findall(r"[^\W_]+", canonical(definition).casefold()))
    for name in agents:
        wanted = " ".join(re.findall(r"[^\W_]+", name.casefold()))
        if wanted and f" {wanted} " in f" {spaced} ":
            yield name
