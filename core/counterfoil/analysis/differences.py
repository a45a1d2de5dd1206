"""What tells groups of tasks apart, within the same kind of task, and corrected for looking at many things at once."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from counterfoil.analysis import statistics
from counterfoil.analysis.metrics import scale, summed_up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from counterfoil.analysis.metrics import Metric
    from counterfoil.analysis.statistics import Interval
    from counterfoil.analysis.tasks import Task

__all__ = ["ERROR", "Difference", "KindDifference", "Verdict", "differences"]

#: Where groups do not differ in anything, at most this share of comparisons says that some do.
ERROR: Final = 0.01
#: Where the shares of tasks of which not all is known are further apart, the others are not compared.
UNEVEN: Final = 0.1

Verdict: TypeAlias = Literal["higher", "lower", "not told apart", "not compared"]


class KindDifference(msgspec.Struct, frozen=True):
    """As `Difference`, of one kind of task alone."""

    task: str | None
    tasks_a: int
    tasks_b: int
    value: float
    low: float
    high: float
    chance: float
    verdict: Verdict


class Difference(msgspec.Struct, frozen=True):
    """How much more of a metric the tasks of group `a` have than those of `b`, within kinds of task; interval of 95 %.

    `chance` is how often chance alone parts groups as far, counted for all that was compared at once. `verdict` is of
    `a`. `why` says why it was not compared; then there are no numbers.
    """

    metric: str
    unit: str
    a: str | None
    b: str | None
    tasks_a: int
    tasks_b: int
    value: float | None
    low: float | None
    high: float | None
    chance: float | None
    verdict: Verdict
    why: str | None
    kinds: tuple[KindDifference, ...]


class _Cell(msgspec.Struct, frozen=True):
    """What is known of a metric in a group's tasks of one kind."""

    values: list[float]
    interval: Interval


class _Measured(msgspec.Struct, frozen=True):
    """A metric in a group: a cell for each kind of task of which two or more tell all; the share that lacks some."""

    cells: dict[str | None, _Cell]
    lacking: float


class _Tested(msgspec.Struct, frozen=True):
    """A comparison before its verdict: `together` first, then the kinds of task one by one where they are several."""

    metric: Metric
    a: str | None
    b: str | None
    tasks: list[tuple[str | None, int, int]]
    together: Interval
    chance: float
    kinds: list[tuple[Interval, float]]


def differences(groups: Mapping[str | None, Sequence[Task]], measures: Sequence[Metric]) -> list[Difference]:
    """Compare every two of `groups` in every one of `measures`."""
    tested: list[_Tested | Difference] = []
    for metric in measures:
        known = {key: _measured(metric, tasks) for key, tasks in groups.items()}
        tested += [
            _tested(metric, one, other, known[one], known[other]) for one, other in combinations(groups, 2)
        ]
    compared = [one for one in tested if isinstance(one, _Tested)]
    several = any(one.kinds for one in compared)
    # Half of the error for all kinds together, half for them one by one.
    error = ERROR / 2 if several else ERROR
    # Where nothing varies there is nothing to test.
    chances = iter(statistics.holm(one.chance for one in compared if one.chance < 1))
    of_kinds = iter(statistics.holm(chance for one in compared for _, chance in one.kinds if chance < 1))
    return [
        _judged(
            one,
            next(chances) if one.chance < 1 else 1.0,
            [next(of_kinds) if chance < 1 else 1.0 for _, chance in one.kinds],
            error,
        )
        if isinstance(one, _Tested)
        else one
        for one in tested
    ]


def _measured(metric: Metric, tasks: Sequence[Task]) -> _Measured:
    found: dict[str | None, list[float]] = {}
    for task in tasks:
        value = metric.value(task)
        if value is not None and not metric.least(task):
            found.setdefault(task.task, []).append(value)
    return _Measured(
        {kind: _Cell(values, summed_up(metric, values)) for kind, values in found.items() if len(values) > 1},
        sum(map(metric.least, tasks)) / len(tasks),
    )


def _tested(
    metric: Metric, a: str | None, b: str | None, mine: _Measured, theirs: _Measured
) -> _Tested | Difference:
    # What is known may be the cheap part of one and all of the other.
    if abs(mine.lacking - theirs.lacking) > UNEVEN:
        why = f"not all of it is known in {mine.lacking * 100:.0f} % and {theirs.lacking * 100:.0f} % of their tasks"
        return _not_compared(metric, a, b, why)
    strata = [(kind, cell, theirs.cells[kind]) for kind, cell in mine.cells.items() if kind in theirs.cells]
    if not strata:
        return _not_compared(metric, a, b, "there is no kind of task of which both have two that tell it")
    values = [(first.values, second.values) for _, first, second in strata]
    intervals = [
        (first.interval, len(first.values), second.interval, len(second.values))
        for _, first, second in strata
    ]
    kinds = []
    if len(strata) > 1:
        kinds = [
            (statistics.difference([interval]), statistics.permutation(scale(metric, [value])))
            for interval, value in zip(intervals, values, strict=True)
        ]
    return _Tested(
        metric,
        a,
        b,
        [(kind, len(first.values), len(second.values)) for kind, first, second in strata],
        statistics.difference(intervals),
        statistics.permutation(scale(metric, values)),
        kinds,
    )


def _not_compared(metric: Metric, a: str | None, b: str | None, why: str) -> Difference:
    return Difference(metric.name, metric.unit, a, b, 0, 0, None, None, None, None, "not compared", why, ())


def _judged(tested: _Tested, chance: float, of_kinds: Sequence[float], error: float) -> Difference:
    kinds = tuple(
        KindDifference(
            *at, found.value, found.low, found.high, its_chance, _verdict(found, its_chance, error)
        )
        for at, (found, _), its_chance in zip(tested.tasks, tested.kinds, of_kinds, strict=False)
    )
    return Difference(
        tested.metric.name,
        tested.metric.unit,
        tested.a,
        tested.b,
        sum(mine for _, mine, _ in tested.tasks),
        sum(theirs for _, _, theirs in tested.tasks),
        tested.together.value,
        tested.together.low,
        tested.together.high,
        chance,
        _verdict(tested.together, chance, error),
        None,
        kinds,
    )


def _verdict(found: Interval, chance: float, error: float) -> Verdict:
    """Say that there is a difference only where the test and the interval both do."""
    if chance > error or found.low <= 0 <= found.high:
        return "not told apart"
    return "higher" if found.value > 0 else "lower"
