"""Tasks in groups: what each group is like, and what else differs between them than what groups them."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Final

import msgspec

from counterfoil.analysis import metrics, statistics
from counterfoil.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from counterfoil.analysis.metrics import Metric, Summary
    from counterfoil.analysis.tasks import Task

__all__ = ["KEYS", "Estimate", "Group", "grouped", "key_of", "named", "others", "portrait"]

#: What tasks are grouped by; also `label:KEY`.
KEYS: Final = ("framework", "agent", "version", "model")
#: Shares of the tasks of two groups that are further apart are said.
APART: Final = 0.1
LABEL: Final = "label:"


class Estimate(msgspec.Struct, frozen=True):
    """A metric of a group: the number and its interval of 95 %, None where there are too few tasks to give one.

    `tasks` is how many it is known of. With `least`, it is at least this: of some tasks not all is known.
    """

    metric: str
    unit: str
    summary: Summary
    tasks: int
    value: float | None
    low: float | None
    high: float | None
    least: bool


class Group(msgspec.Struct, frozen=True):
    """The tasks that have `key` in common; None: they have none."""

    key: str | None
    tasks: int
    runs: int
    human_wait_ns: int
    estimates: tuple[Estimate, ...]


def key_of(by: str) -> Callable[[Task], str | None]:
    """Give what tells a task's group. Raises StoreError for a `by` that is none."""
    keys: dict[str, Callable[[Task], str | None]] = {
        "framework": lambda task: " + ".join(task.frameworks) or None,
        "agent": lambda task: task.agent,
        "version": _version,
        "model": lambda task: " + ".join(task.models) or None,
    }
    if by.startswith(LABEL) and len(by) > len(LABEL):
        label = by.removeprefix(LABEL)
        return lambda task: task.labels.get(label)
    if by not in keys:
        raise StoreError(f"Tasks by {by!r} is not known: choose one of {', '.join(KEYS)}, label:KEY.")
    return keys[by]


def _version(task: Task) -> str | None:
    return None if task.agent is None else f"{task.agent} {task.version or '(no version)'}"


def named(key: str | None) -> str:
    """Give a group's name for a sentence."""
    return "(none)" if key is None else key


def grouped(tasks: Iterable[Task], by: str) -> dict[str | None, list[Task]]:
    """Give the tasks of every group, the largest first."""
    key = key_of(by)
    found: dict[str | None, list[Task]] = {}
    for task in tasks:
        found.setdefault(key(task), []).append(task)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0] is None, item[0] or "")))


def portrait(key: str | None, tasks: Sequence[Task], measures: Sequence[Metric]) -> Group:
    """Give what the group is like."""
    return Group(
        key=key,
        tasks=len(tasks),
        runs=sum(len(task.runs) for task in tasks),
        human_wait_ns=sum(task.human_wait_ns for task in tasks),
        estimates=tuple(_estimate(metric, tasks) for metric in measures),
    )


def _estimate(metric: Metric, tasks: Sequence[Task]) -> Estimate:
    values = metrics.measured(metric, tasks)
    least = any(map(metric.least, tasks))
    known = metrics.summed_up(metric, values) if values else None
    # Nothing is known of it but that there was something.
    if known is not None and least and not known.value:
        known = None
    sure = known is not None and not least and (metric.summary == "rate" or len(values) >= statistics.LEAST)
    return Estimate(
        metric=metric.name,
        unit=metric.unit,
        summary=metric.summary,
        tasks=len(values),
        value=None if known is None else known.value,
        low=known.low if known is not None and sure else None,
        high=known.high if known is not None and sure else None,
        least=least,
    )


def others(groups: dict[str | None, list[Task]], by: str) -> Iterator[str]:
    """Say in sentences what else differs between groups: kinds of task, models, frameworks."""
    if len(groups) < 2:
        return
    unnamed = sum(task.task is None for tasks in groups.values() for task in tasks)
    total = sum(map(len, groups.values()))
    if unnamed:
        some = "No task has" if unnamed == total else f"{unnamed:,} of {total:,} tasks have no"
        kind = " a kind (task=)" if unnamed == total else " kind (task=)"
        yield f"{some}{kind}: whether the groups were asked the same is not known."
    apart = _apart(groups, lambda task: [named(task.task)])
    if apart:
        yield f"What was asked differs: {apart}. Differences are those within the same kind of task."
    if by != "model" and (apart := _apart(groups, lambda task: task.models)):
        yield f"Models differ too: {apart}. What differs may be due to them."
    if by != "framework" and (apart := _apart(groups, lambda task: task.frameworks)):
        yield f"Frameworks differ too: {apart}. What differs may be due to them."


def _apart(groups: dict[str | None, list[Task]], values: Callable[[Task], Iterable[str]]) -> str:
    """Name the value whose shares in two groups are furthest apart; nothing where all are close."""
    shares: dict[str | None, dict[str, float]] = {}
    for key, tasks in groups.items():
        mine = shares[key] = {}
        for task in tasks:
            for value in set(values(task)):
                mine[value] = mine.get(value, 0) + 1 / len(tasks)
    furthest = max(
        (
            (abs(shares[one].get(value, 0) - shares[other].get(value, 0)), value, one, other)
            for one, other in combinations(groups, 2)
            for value in {**shares[one], **shares[other]}
        ),
        key=lambda found: found[0],
        default=None,
    )
    if furthest is None or furthest[0] <= APART:
        return ""
    _, value, one, other = furthest
    if shares[one].get(value, 0) < shares[other].get(value, 0):
        one, other = other, one
    return (
        f"{value} in {_percent(shares[one][value])} of the tasks of {named(one)}, "
        f"{_percent(shares[other].get(value, 0))} of those of {named(other)}"
    )


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"
