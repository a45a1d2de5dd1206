"""What is measured of a task, and how a group's tasks are summed up in one number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from counterfoil.analysis import statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from counterfoil.analysis.statistics import Interval
    from counterfoil.analysis.success import Rule
    from counterfoil.analysis.tasks import Task

__all__ = ["Metric", "Summary", "measured", "metrics", "scale", "summed_up"]

#: A share of tasks, the middle one of amounts, or the mean: the median of errors is 0 however many there are.
Summary: TypeAlias = Literal["rate", "median", "mean"]


class Metric(msgspec.Struct, frozen=True):
    """A name, its unit as docs/sql.md has it, how it is summed up, and how a task tells it.

    `value` gives None where nothing is known. `least` tells whether what it gives is only at least so much.
    """

    name: str
    unit: str
    summary: Summary
    value: Callable[[Task], float | None]
    least: Callable[[Task], bool] = lambda _: False


def _cost(task: Task) -> float | None:
    return task.cost_nano if task.cost_nano is not None or task.unpriced_calls else 0


def _tokens(name: str) -> Callable[[Task], float | None]:
    def value(task: Task) -> float | None:
        known: int | None = getattr(task, name)
        return known if known is not None or task.unknown_usage_calls else 0

    return value


def _unpriced(task: Task) -> bool:
    return task.unpriced_calls > 0


def _untold(task: Task) -> bool:
    return task.unknown_usage_calls > 0


def _counted(name: str) -> Metric:
    return Metric(name, "count", "mean", lambda task: float(getattr(task, name)))


_AMOUNTS: Final = (
    Metric("cost", "nano-USD", "median", _cost, _unpriced),
    Metric("time", "ns", "median", lambda task: task.working_ns),
    Metric("input_tokens", "tokens", "median", _tokens("input_tokens"), _untold),
    Metric("output_tokens", "tokens", "median", _tokens("output_tokens"), _untold),
    *map(_counted, ("llm_calls", "tool_calls", "handoffs", "errors")),
)


def metrics(tasks: Iterable[Task], success: Rule) -> list[Metric]:
    """Give what there is to measure: success first, last every score of these tasks that has a number."""

    def succeeded(task: Task) -> float | None:
        met = success.met(task)
        return None if met is None else float(met)

    def score(name: str) -> Metric:
        def value(task: Task) -> float | None:
            judged = task.scores.get(name)
            return None if judged is None else judged.mean

        return Metric(f"score:{name}", "number", "mean", value)

    names = sorted(
        {name for task in tasks for name, judged in task.scores.items() if judged.mean is not None}
    )
    return [Metric("success", "share", "rate", succeeded), *_AMOUNTS, *map(score, names)]


def measured(metric: Metric, tasks: Iterable[Task]) -> list[float]:
    """Give what is known of `tasks`."""
    return [value for value in map(metric.value, tasks) if value is not None]


def summed_up(metric: Metric, values: Sequence[float]) -> Interval:
    """Give one number for `values`, of which there is one at least."""
    if metric.summary == "rate":
        return statistics.rate(round(sum(values)), len(values))
    return statistics.median(values) if metric.summary == "median" else statistics.mean(values)


def scale(metric: Metric, strata: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Any:
    """Give `strata` as the whole numbers whose sums tell groups apart: successes, or ranks."""
    if metric.summary == "rate":
        return [([round(value) for value in one], [round(value) for value in other]) for one, other in strata]
    return statistics.aligned_ranks(strata)
