"""What a store says an application did, as text that is the same whatever framework the application is built on.

A task is all the runs that go on with each other. In its tree stand the turns of agents, and in them model calls, tool
calls and retrievals; `workflow` and `task` steps differ by nature and are left out, their children stand in their place.
Humans stand below: whether a question hangs under a tool, or under what is left once the agent's turn has ended, differs.
Model calls have no name here: the endpoint's ledger says what each one was. How a framework passes control or asks
somebody (a tool of its own, with its own name and arguments) is said by whom the call reached. A tool that paused and
ran again is one, and so is a turn that a pause cut in two.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby
from typing import Any

from counterfoil.store.read import Store
from counterfoil.store.records import Handoff, Node, Run, Step

__all__ = ["meaning"]

#: A longer text is shortened.
_LINE = 120

_KINDS = {"agent": "agent", "llm": "llm", "tool": "tool", "retrieval": "retrieval", "memory": "retrieval"}


@dataclass
class _Part:
    steps: list[Step]  # the last attempt of a tool that paused, or the turn as it went on, stands last
    parts: list[_Part] = field(default_factory=list)

    @property
    def step(self) -> Step:
        return self.steps[-1]


def meaning(store: Store) -> str:
    """Give every task of a store as text, the first one first."""
    runs = sorted(store.runs(all=True), key=lambda run: run.started_ns or 0)
    tasks: dict[str, list[Run]] = {}
    for run in runs:
        if not _prepares(store, run):
            tasks.setdefault(run.first_run_id, []).append(run)
    return "\n".join("\n".join(_task(store, task)) for task in tasks.values())


def _prepares(store: Store, run: Run) -> bool:
    """Say whether a run puts into an index or a memory what is to be found later, and does nothing else."""
    saves = all(step.kind in {"embedding", "memory"} for step in store.steps(run))
    return saves and not store.accesses(run)


def _task(store: Store, runs: Sequence[Run]) -> Iterator[str]:
    handoffs = [one for run in runs for one in store.handoffs(run)]
    reached = {one.step_id: one for one in reversed(handoffs) if one.step_id}
    streamed = {call.step_id for run in runs for call in store.llm_calls(run) if call.ttft_ns is not None}
    reads = {access.step_id: access for run in runs for access in store.accesses(run)}
    parts: list[_Part] = []
    for run in runs:
        later = _merged([part for node in store.tree(run) for part in _parts(node)])
        if parts and later and parts[-1].step.agent == later[0].step.agent:
            _go_on(parts[-1], later.pop(0))
        parts += later
    yield f"task {runs[-1].status}" + (f" in {len(runs)} runs" if len(runs) > 1 else "")
    for part in parts:
        yield from _lines(part, 1, reached, streamed)
    yield from (_handoff(one) for one in handoffs)
    humans = (step for run in runs for step in store.steps(run) if step.kind == "human")
    yield from (" ".join([f"human said {_text(step.output)}", *_ended(step)]) for step in humans)
    yield from sorted({f"{access.agent} read of {access.query}" for access in reads.values()})


def _parts(node: Node) -> list[_Part]:
    below = [part for child in node.children for part in _parts(child)]
    return [_Part([node.step], _merged(below))] if node.step.kind in _KINDS else below


def _merged(parts: list[_Part]) -> list[_Part]:
    """Put a tool's attempts that paused together with the one that did not."""
    found: list[_Part] = []
    for part in parts:
        paused = next((one for one in found if _paused(one.step) and _again(one.step, part.step)), None)
        if paused is None:
            found.append(part)
        else:
            _go_on(paused, part)
    return found


def _paused(step: Step) -> bool:
    return step.kind == "tool" and step.status == "waiting"


def _again(step: Step, later: Step) -> bool:
    return step.call_id is not None and (later.kind, later.call_id) == ("tool", step.call_id)


def _go_on(part: _Part, later: _Part) -> None:
    part.steps += later.steps
    part.parts = _merged(part.parts + later.parts)


def _lines(part: _Part, depth: int, reached: dict[str, Handoff], streamed: set[str]) -> Iterator[str]:
    step = part.step
    tools = (reached.get(one.step_id) for one in part.steps if step.kind == "tool")
    to = next(filter(None, tools), None)
    if to is None or to.target_type != "human":
        yield "  " * depth + " ".join([_said(step, to, streamed), *_ended(step)])
    # What one model call asked for may run in any order.
    for chosen, group in groupby(part.parts, lambda one: one.step.decided_by):
        told = ["\n".join(_lines(one, depth + 1, reached, streamed)) for one in group]
        yield from (text for text in (sorted(told) if chosen else told) if text)


def _said(step: Step, to: Handoff | None, streamed: set[str]) -> str:
    match _KINDS[str(step.kind)]:
        case "agent":
            return f"agent {step.agent}"
        case "llm":
            return "llm, streamed" if step.step_id in streamed else "llm"
        case "tool" if to is not None:
            return (
                f"tool that {'passes to' if to.mode == 'transfer' else 'asks'} {to.target or to.target_asked}"
            )
        case "tool":
            result = f" = {_text(step.output)}" if step.status == "ok" else ""
            return f"tool {step.name} {_short(json.dumps(step.input, sort_keys=True))}{result}"
        case kind:
            return kind


def _ended(step: Step) -> Iterator[str]:
    if step.status != "ok":
        yield step.status
    if step.error_type in {"UnknownTool", "InvalidArguments"}:  # others are the framework's or the tool's own
        yield f"({step.error_type})"


def _handoff(one: Handoff) -> str:
    target = "a human" if one.target_type == "human" else one.target or one.target_asked
    line = f"{one.source} -> {target} {one.mode} {one.status}"
    if one.refused_by:
        line += f" by {one.refused_by}"
    if one.target_type == "human":
        return line + f": {_text(one.answer)}"
    return line + (f": {_short(one.reason)}" if one.reason else "")


def _text(value: Any) -> str:
    """Give what was said: a text, or the one text of a message."""
    if isinstance(value, dict):
        for key in ("response", "content", "parts", "messages"):
            if key in value:
                return _text(value[key])
    if isinstance(value, list) and len(value) == 1:
        return _text(value[0])
    return _short(value if isinstance(value, str) else json.dumps(value, sort_keys=True))


def _short(text: str) -> str:
    """Give a text as it is if it is a line; else its beginning, and what tells it from every other."""
    if len(text) <= _LINE and "\n" not in text:
        return text
    beginning = text[: _LINE // 2].partition("\n")[0]
    return f"{beginning} ... ({len(text)} characters, {sha256(text.encode()).hexdigest()[:8]})"
