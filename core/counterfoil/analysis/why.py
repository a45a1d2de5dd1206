"""Why something was done: the chain of cause, the contrast with runs that did not do it, and what a handoff left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from counterfoil.analysis.acts import Act, act_of
from counterfoil.analysis.cause import Choice, Link, Record, chain, instructions
from counterfoil.analysis.contrast import Contrast, contrast
from counterfoil.analysis.knowledge import Knowledge, knowledge
from counterfoil.analysis.messages import canonical
from counterfoil.analysis.same_task import agents_of, same_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from counterfoil.store.read import Store
    from counterfoil.store.records import Approval, Decision

__all__ = ["Act", "Contrast", "Knowledge", "Link", "Why", "why"]


class Why(msgspec.Struct, frozen=True):
    """The answer. `chain` goes from the act back to the run's input, `knowledge` is of a handoff.

    `instructions` are the sentences of the agent's instructions that name the tool or the target. `decisions` and
    `approvals` are those about the act. `others` are the run's other handoffs: ids and targets.
    """

    act: Act
    chain: tuple[Link, ...]
    instructions: tuple[str, ...]
    decisions: tuple[Decision, ...]
    approvals: tuple[Approval, ...]
    knowledge: Knowledge | None
    contrast: Contrast | None
    others: tuple[tuple[str, str | None], ...]


def why(store: Store, ref: str) -> Why:
    """Say why `ref` was done: the beginning of a step's, handoff's or run's id, or `last`. Calls no model.

    Of a run it is the last handoff, else the last tool call; `last` is the newest run. Raises StoreError with one
    sentence.
    """
    act = act_of(store, ref)
    run = store.run(act.run_id)
    kin = same_task(store, run)
    record = Record(store, run, agents_of(kin))
    links = chain(record, act)
    return Why(
        act=act,
        chain=links,
        instructions=_instructions(record, act, links),
        decisions=tuple(_decisions(record, act)),
        approvals=tuple(_approvals(record, act)),
        knowledge=knowledge(record, act, links) if act.kind == "handoff" else None,
        contrast=contrast(store, run, kin, act),
        others=tuple(
            (one.handoff_id, one.target or one.target_asked)
            for one in record.handoffs
            if one.handoff_id != act.handoff_id
        ),
    )


def _instructions(record: Record, act: Act, links: Sequence[Link]) -> tuple[str, ...]:
    choice = links[0] if links and isinstance(links[0], Choice) else None
    if choice is None or act.kind not in {"handoff", "tool"}:
        return ()
    step = record.steps.by_id.get(act.step_id or "")
    tool = step.name if step is not None and step.kind == "tool" else None
    return instructions(record, choice, [name for name in (act.name, tool) if name])


def _decisions(record: Record, act: Act) -> list[Decision]:
    step = record.steps.by_id.get(act.step_id or "")
    if step is None:
        return []
    return [
        one
        for one in record.store.decisions(record.run)
        if one.step_id == step.step_id or (one.call_id is not None and one.call_id == step.call_id)
    ]


def _approvals(record: Record, act: Act) -> list[Approval]:
    """Give what humans were asked about the act, in this run or the ones that it resumes: by its tool and arguments."""
    step = record.steps.by_id.get(act.step_id or "")
    if step is None or step.kind != "tool":
        return []
    arguments = canonical(record.store.step(step.step_id).input)
    found: list[Approval] = []
    earlier: Record | None = record
    while earlier is not None:
        found += [
            one
            for one in earlier.store.approvals(earlier.run)
            if one.tool == step.name and (one.arguments is None or canonical(one.arguments) == arguments)
        ]
        earlier = earlier.resumed()
    return sorted(found, key=lambda one: one.asked_ns or 0)
