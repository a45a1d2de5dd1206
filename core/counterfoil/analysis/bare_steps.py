"""A run's steps without what was said in them: who did what, when, and by whose choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from counterfoil.store.read import Store

__all__ = ["BareStep", "BareSteps", "bare_steps"]

_COLUMNS: Final = """step_id, run_id, parent_id, kind, name, agent, framework, status, error_type, started_ns,
  ended_ns, call_id, decided_by, decided_evidence, version, coalesce(model, request_model) AS model, evidence"""
_QUERY: Final = f"""SELECT {_COLUMNS} FROM t_steps WHERE run_id IN (SELECT value FROM json_each(?))
  AND started_ns IS NOT NULL AND folded_into IS NULL ORDER BY started_ns, writer_id, q"""


class BareStep(msgspec.Struct, frozen=True):
    """A step as in the view `steps`; `model` is the one that answered, else the one that was asked for."""

    step_id: str
    run_id: str
    parent_id: str | None
    kind: str
    name: str | None
    agent: str | None
    framework: str | None
    status: str
    error_type: str | None
    started_ns: int
    ended_ns: int | None
    call_id: str | None
    decided_by: str | None
    decided_evidence: str | None
    version: str | None
    model: str | None
    evidence: str | None


def bare_steps(store: Store, run_ids: Iterable[str]) -> list[BareStep]:
    """Give the steps of runs in the order of their start; of two reports of one model call the one that counts."""
    listed = msgspec.json.encode(list(run_ids)).decode()
    return [BareStep(*row) for row in store.sql(_QUERY, (listed,))[1]]


class BareSteps:
    """The steps of one run by their ids, and in whose turn each was."""

    def __init__(self, steps: Sequence[BareStep]) -> None:
        self.steps = steps
        self.by_id: Mapping[str, BareStep] = {step.step_id: step for step in steps}
        self._turns: dict[str, BareStep | None] = {}
        self._of_turn: dict[tuple[str | None, str], list[BareStep]] = {}
        for step in steps:
            turn = self.turn(step)
            self._of_turn.setdefault((None if turn is None else turn.step_id, step.kind), []).append(step)

    def above(self, step: BareStep) -> Iterator[BareStep]:
        """Give the steps that `step` stands in, the nearest first."""
        seen = {step.step_id}
        while (found := self.by_id.get(step.parent_id or "")) is not None and found.step_id not in seen:
            seen.add(found.step_id)
            yield found
            step = found

    def turn(self, step: BareStep) -> BareStep | None:
        """Give the turn that `step` belongs to: the nearest agent step, itself if it is one."""
        if step.kind == "agent":
            return step
        passed = [step.step_id]
        turn = self._turns.get(step.step_id)
        if step.step_id not in self._turns:
            for one in self.above(step):
                if one.kind == "agent" or one.step_id in self._turns:
                    turn = one if one.kind == "agent" else self._turns[one.step_id]
                    break
                passed.append(one.step_id)
            self._turns.update(dict.fromkeys(passed, turn))
        return turn

    def of_turn(self, turn: BareStep | None, kind: str) -> list[BareStep]:
        """Give the steps of a kind in a turn, but not in another's inside of it; with None those outside of any."""
        return self._of_turn.get((None if turn is None else turn.step_id, kind), [])

    def below(self, step: BareStep) -> list[BareStep]:
        """Give the steps that stand in `step`, however deep, and `step` itself, in the order of their start."""
        inside = {step.step_id: True}
        for one in self.steps:
            passed = []
            for up in (one, *self.above(one)):
                if up.step_id in inside:
                    break
                passed.append(up.step_id)
            inside.update(dict.fromkeys(passed, up.step_id in inside and inside[up.step_id]))
        return [one for one in self.steps if inside.get(one.step_id)]
