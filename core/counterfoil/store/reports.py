"""Two reports of one model call: where one lies in the other, the deeper counts alone (mapping §6).

A framework's model object often wraps another one: both report the call, with the same response id.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from counterfoil.store.rows import StepRow

__all__ = ["fold", "is_report"]


def is_report(step: StepRow) -> bool:
    """Tell whether `step` may be one of several reports of one call. What a cache answered never is."""
    return (
        step.response_id is not None
        and step.kind == "llm"
        and not step.cached
        and step.started_ns is not None
        and step.ended_ns is not None
    )


def _depth(step: StepRow) -> tuple[int, int, str]:
    return (step.started_ns or 0, -(step.ended_ns or 0), step.step_id)


def _is_inside(inner: StepRow, outer: StepRow) -> bool:
    return _depth(inner) > _depth(outer) and (inner.started_ns or 0) < (outer.ended_ns or 0)


def fold(steps: Iterable[StepRow], told: Collection[str] = ()) -> None:
    """Set `folded_into` of every report among `steps` that another one tells better, and clear it of the others.

    Those whose ids are `told` stay as they are.
    """
    groups: dict[tuple[str | None, str | None], list[StepRow]] = defaultdict(list)
    for step in steps:
        groups[step.run_id, step.response_id].append(step)
    for reports in groups.values():
        for step in (one for one in reports if one.step_id not in told):
            deeper = [other for other in reports if _is_inside(other, step)]
            step.folded_into = max(deeper, key=_depth).step_id if deeper else None
