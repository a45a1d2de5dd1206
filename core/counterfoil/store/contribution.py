"""What one step adds to the sums of its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

import msgspec

if TYPE_CHECKING:
    from counterfoil.store.rows import StepRow

__all__ = ["NOTHING", "Contribution", "Group", "contribution"]

DAY_NS: Final = 86_400_000_000_000

#: Day since the epoch (UTC), agent, framework, provider, model.
Group: TypeAlias = tuple[int | None, str | None, str | None, str | None, str | None]


class Contribution(msgspec.Struct, frozen=True, gc=False):
    """A step's part in its run's sums. `SUMS` names the columns of `t_runs` that `sums` adds to."""

    run_id: str | None
    agent: str | None
    framework: str | None
    sums: tuple[int, ...]
    group: Group | None = None  # of a model call that counts
    SUMS: ClassVar = (
        "steps", "open_steps", "waiting", "llm_calls", "tool_calls", "errors", "input_tokens", "input_known",
        "output_tokens", "output_known", "cost_nano", "priced_calls", "unpriced_calls", "unknown_usage_calls",
        "human_wait_ns",
    )  # fmt: skip


NOTHING: Final = Contribution(None, None, None, (0,) * len(Contribution.SUMS))
_BILLED: Final = frozenset({"llm", "embedding"})


def contribution(step: StepRow) -> Contribution:
    """Give what `step` adds. A second report of a call that another step tells better adds no call and no cost."""
    kind = step.kind
    ended = step.end_rank > 0
    human = kind == "human"
    wait = 0
    if human and ended and step.started_ns is not None and step.ended_ns is not None:
        wait = max(0, step.ended_ns - step.started_ns)
    group: Group | None = None
    llm = input_known = output_known = input_tokens = output_tokens = cost = priced = unpriced = unknown = 0
    if kind in _BILLED and step.folded_into is None:
        day = None if step.started_ns is None else step.started_ns // DAY_NS
        model = step.request_model if step.model is None else step.model
        group = (day, step.agent, step.framework, step.provider, model)
        llm = kind == "llm"
        ok = step.status == "ok" and ended
        if step.input_tokens is not None:
            input_tokens, input_known = step.input_tokens, 1
        if step.output_tokens is not None:
            output_tokens, output_known = step.output_tokens, 1
        if step.cached:
            priced = 1
        elif step.cost_nano is not None:
            cost, priced = step.cost_nano, 1
        elif ok or (ended and input_known):
            unpriced = 1
        unknown = llm and ok and not (input_known and output_known)
    elif step.cost_nano is not None and step.folded_into is None:
        cost, priced = step.cost_nano, 1
    return Contribution(
        step.run_id,
        step.agent,
        step.framework,
        (
            1,
            not ended,
            human and not ended,
            llm,
            kind == "tool" and step.status != "waiting",
            step.error_type is not None,
            input_tokens,
            input_known,
            output_tokens,
            output_known,
            cost,
            priced,
            unpriced,
            unknown,
            wait,
        ),
        group,
    )
