"""Which of two does the same task better: groups of tasks, or two runs step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from counterfoil.analysis.differences import Difference, differences
from counterfoil.analysis.groups import Group, grouped, named, others, portrait
from counterfoil.analysis.metrics import metrics
from counterfoil.analysis.pair import Pair, pair
from counterfoil.analysis.success import rule
from counterfoil.analysis.tasks import tasks
from counterfoil.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from counterfoil.analysis.success import Rule
    from counterfoil.analysis.tasks import Task
    from counterfoil.store.read import Store
    from counterfoil.store.records import Run

__all__ = ["LIMIT", "Groups", "groups", "runs"]

#: So many runs, the newest, if not told otherwise: the verdict needs no more, and more take longer than a second.
LIMIT: Final = 5_000
#: So many groups, the largest, are compared with each other: of ten there would be 45 pairs.
MOST: Final = 6


class Groups(msgspec.Struct, frozen=True):
    """Groups of tasks, the largest first, what tells every two of them apart, and `notes`: sentences to read it by.

    `success` is the rule, `tasks` how many there are. `open_tasks` go on and are left out. `limited`: so are older ones.
    """

    by: str
    success: str
    tasks: int
    open_tasks: int
    limited: bool
    groups: tuple[Group, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


def groups(
    store: Store,
    *,
    by: str,
    agent: str | None = None,
    task: str | None = None,
    since: int | str | datetime | None = None,
    until: int | str | datetime | None = None,
    success: str | None = None,
    only: Collection[str] = (),
    limit: int | None = LIMIT,
) -> Groups:
    """Compare tasks by `framework`, `agent` (the first that worked on it), `version` (of that agent), `model` or `label:KEY`.

    A run and those that resume it are one task. `agent`, `task`, `since` and `until` choose tasks, of the newest `limit`
    runs (None: all), `only` chooses groups.
    `success` is `SCORE>=X` or `SCORE=LABEL`; by default that the task ended ok. Raises StoreError with one sentence.
    """
    wanted = rule(success)
    found = tasks(store, agent=agent, task=task, since=since, until=until, limit=limit)
    over = [one for one in found.tasks if one.over]
    still_open = len(found.tasks) - len(over)
    all_groups = grouped(over, by)
    missing = [name for name in only if name not in all_groups]
    if missing:
        there = ", ".join(named(key) for key in all_groups) or "none"
        raise StoreError(f"There is no group {missing[0]!r}; there are: {there}.")
    chosen = {key: mine for key, mine in all_groups.items() if not only or key in only}
    kept = [one for mine in chosen.values() for one in mine]
    if wanted.score is not None and kept and all(wanted.met(one) is None for one in kept):
        there = ", ".join(sorted({name for one in kept for name in one.scores})) or "none"
        raise StoreError(f"No task has such a score as {wanted.text!r} asks for; there are: {there}.")
    measures = metrics(kept, wanted)
    compared = dict([(key, mine) for key, mine in chosen.items() if len(mine) > 1][:MOST])
    return Groups(
        by=by,
        success=wanted.text,
        tasks=len(kept),
        open_tasks=still_open,
        limited=found.limited,
        groups=tuple(portrait(key, mine, measures) for key, mine in chosen.items()),
        differences=tuple(differences(compared, measures)),
        notes=tuple(_notes(by, chosen, compared, wanted, still_open, limit if found.limited else None)),
    )


def _notes(
    by: str,
    chosen: Mapping[str | None, Sequence[Task]],
    compared: dict[str | None, list[Task]],
    success: Rule,
    still_open: int,
    limit: int | None,
) -> Iterator[str]:
    if limit is not None:
        yield f"Of the newest {limit:,} runs; older ones are left out (--limit)."
    if still_open:
        yield f"Tasks that go on or wait for an answer are left out: {still_open:,}."
    if len(chosen) == 1:
        (key,) = chosen
        yield f"All tasks are of one group, {named(key)}: there is nothing to compare them with."
    single = [named(key) for key, mine in chosen.items() if len(mine) == 1]
    if single and len(chosen) > 1:
        yield f"One task tells nothing of a group, so not compared: {', '.join(single)}."
    more = len(chosen) - len(single) - len(compared)
    if more:
        yield f"The {MOST} largest groups are compared with each other; {more} more are not."
    yield from others(compared, by)
    unknown = sum(success.met(task) is None for mine in compared.values() for task in mine)
    if unknown:
        yield f"Success is unknown of {unknown:,} tasks, which have no such score as {success.text} asks for."
    unpriced = sum(task.unpriced_calls > 0 for mine in compared.values() for task in mine)
    if unpriced:
        yield (
            f"Cost is at least what is shown: {unpriced:,} of the tasks have calls without a known price; "
            "differences are those of the others."
        )
    yield from _alone(compared)


def _alone(compared: Mapping[str | None, Sequence[Task]]) -> Iterator[str]:
    """Name the kinds of task that only one group was asked: they are in no difference."""
    asked: dict[str, set[str | None]] = {}
    for key, mine in compared.items():
        for task in mine:
            asked.setdefault(named(task.task), set()).add(key)
    alone: dict[str, list[str]] = {}
    for kind, keys in asked.items():
        if len(keys) == 1 and len(compared) > 1:
            alone.setdefault(named(next(iter(keys))), []).append(kind)
    for key, kinds in alone.items():
        yield f"Only {key} was asked {', '.join(sorted(kinds))}: those tasks are in no difference."


def runs(store: Store, a: Run | str, b: Run | str) -> Pair:
    """Put two runs beside each other, each with those that it resumes and that resume it.

    Their steps are aligned by meaning, whatever the framework. Raises StoreError with one sentence.
    """
    return pair(store, a, b)
