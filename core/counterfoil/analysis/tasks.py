"""What was asked of agents, one record a task: a run with all that resume it, and their sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from counterfoil.store.read import BARE, nanoseconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from counterfoil.store.read import Store
    from counterfoil.store.records import Run

__all__ = ["Found", "Judgement", "Task", "task_of", "tasks"]

#: Of tasks that go on.
OPEN: Final = frozenset({"running", "waiting"})

_COLUMNS: Final = """run_id, first_run_id, task, status, frameworks, started_ns, ended_ns, duration_ns, human_wait_ns,
    waiting, llm_calls, tool_calls, handoffs, errors, input_tokens, output_tokens, cost_nano, unpriced_calls,
    unknown_usage_calls, labels"""
# Of what resumes another run, the first run tells what it is: that is looked at afterwards.
_CHOSEN: Final = f"""SELECT {_COLUMNS} FROM runs WHERE (:since IS NULL OR started_ns >= :since)
    AND (:until IS NULL OR started_ns < :until OR resumes IS NOT NULL)
    AND (:task IS NULL OR task = :task OR resumes IS NOT NULL)
    AND (:agent IS NULL OR first_run_id IN (SELECT r.first_run_id FROM t_steps s JOIN t_runs r USING (run_id)
      WHERE s.agent = :agent))
    AND NOT {BARE} ORDER BY started_ns DESC, run_id DESC LIMIT :limit"""
_CHAIN: Final = f"""SELECT {_COLUMNS} FROM runs
  WHERE run_id = :first OR (first_run_id = :first AND first_run_id <> run_id) ORDER BY started_ns DESC, run_id DESC"""
_LISTED: Final = "run_id IN (SELECT value FROM json_each(:runs))"
_QUESTIONS: Final = """SELECT run_id, s.started_ns, s.ended_ns FROM t_runs r JOIN t_steps s USING (run_id)
  WHERE (r.human_wait_ns > 0 OR r.waiting > 0) AND s.kind = 'human' AND s.started_ns IS NOT NULL"""
_MODELS: Final = """SELECT DISTINCT run_id, coalesce(model, request_model) FROM t_steps
  WHERE kind = 'llm' AND folded_into IS NULL AND coalesce(model, request_model) IS NOT NULL"""
# Of a group's bare columns SQLite gives those of the row with the minimum.
_AGENTS: Final = """SELECT run_id, agent, version, min(started_ns) FROM t_steps
  WHERE kind = 'agent' AND agent IS NOT NULL AND (:agent IS NULL OR agent = :agent)"""
_SCORES: Final = "SELECT run_id, name, value, label FROM t_scores WHERE name IS NOT NULL"


_names: Final = msgspec.json.Decoder(list[str]).decode
_labels: Final = msgspec.json.Decoder(dict[str, str]).decode


class Judgement(msgspec.Struct, frozen=True):
    """The scores of one name that a task was given: the mean of their values, and the newest one."""

    mean: float | None
    value: float | None
    label: str | None


class Task(msgspec.Struct, frozen=True):
    """What was asked once. Sums are over all of its runs; what nobody told is None, or a sum that is at least so much.

    `working_ns` is the time in which no human was waited for. `agent` was the first to work on it.
    """

    first_run_id: str
    runs: tuple[str, ...]
    task: str | None
    status: str
    frameworks: tuple[str, ...]
    models: tuple[str, ...]
    agent: str | None
    version: str | None
    labels: dict[str, str]
    started_ns: int
    working_ns: int | None
    human_wait_ns: int
    llm_calls: int
    tool_calls: int
    handoffs: int
    errors: int
    input_tokens: int | None
    output_tokens: int | None
    unknown_usage_calls: int
    cost_nano: int | None
    unpriced_calls: int
    scores: dict[str, Judgement]

    @property
    def over(self) -> bool:
        """Tell whether nothing more is to come."""
        return self.status not in OPEN


class Found(msgspec.Struct, frozen=True):
    """Tasks, the oldest first; `limited` where there are more, of older runs."""

    tasks: list[Task]
    limited: bool


#: What is added up over the runs of a task.
_ADDED: Final = (
    "human_wait_ns", "llm_calls", "tool_calls", "handoffs", "errors", "input_tokens", "output_tokens", "cost_nano",
    "unpriced_calls", "unknown_usage_calls",
)  # fmt: skip


class _Row(msgspec.Struct, frozen=True):
    run_id: str
    first_run_id: str
    task: str | None
    status: str
    frameworks: str | None
    started_ns: int | None
    ended_ns: int | None
    duration_ns: int | None
    human_wait_ns: int
    waiting: int
    llm_calls: int
    tool_calls: int
    handoffs: int
    errors: int
    input_tokens: int | None
    output_tokens: int | None
    cost_nano: int | None
    unpriced_calls: int
    unknown_usage_calls: int
    labels: str | None


def tasks(
    store: Store,
    *,
    agent: str | None = None,
    task: str | None = None,
    since: int | str | datetime | None = None,
    until: int | str | datetime | None = None,
    limit: int | None = None,
) -> Found:
    """Give the tasks that were begun in that time, the oldest first; of kind `task`, where `agent` took part.

    With `agent`, that is also the agent whose name and version a task has. Without, the first that worked on it. Bare
    model and tool calls are no tasks. `limit` takes those of the newest so many runs.
    """
    first, last = (None if one is None else nanoseconds(one) for one in (since, until))
    chosen = {"since": first, "until": last, "task": task, "agent": agent}
    rows = store.sql(_CHOSEN, {**chosen, "limit": -1 if limit is None else limit + 1})[1]
    limited = limit is not None and len(rows) > limit
    found = _gathered(store, rows[:limit] if limited else rows, agent)
    return Found(
        [
            one
            for one in found
            # Else the task was begun before.
            if ((first is None and not limited) or one.runs[0] == one.first_run_id)
            and (last is None or one.started_ns < last)
            and (task is None or one.task == task)
            and (agent is None or one.agent == agent)
        ],
        limited,
    )


def task_of(store: Store, run: Run) -> Task:
    """Give the task that `run` is part of, a bare model or tool call too."""
    return _gathered(store, store.sql(_CHAIN, {"first": run.first_run_id})[1], None)[0]


def _gathered(store: Store, rows: Sequence[tuple[Any, ...]], agent: str | None) -> list[Task]:
    """Give the tasks of these `rows`, runs from the newest to the oldest."""
    runs = [_Row(*row) for row in reversed(rows)]
    params = {"runs": msgspec.json.encode([run.run_id for run in runs]).decode(), "agent": agent}

    def told(query: str) -> dict[str, list[tuple[Any, ...]]]:
        found: dict[str, list[tuple[Any, ...]]] = {}
        for run_id, *rest in store.sql(query, params)[1]:
            found.setdefault(run_id, []).append(tuple(rest))
        return found

    questions = told(f"{_QUESTIONS} AND {_LISTED}")
    models = told(f"{_MODELS} AND {_LISTED}")
    agents = told(f"{_AGENTS} AND {_LISTED} GROUP BY run_id")
    scores = told(f"{_SCORES} AND {_LISTED} ORDER BY at_ns, seq")
    chains: dict[str, list[_Row]] = {}
    for run in runs:
        chains.setdefault(run.first_run_id, []).append(run)
    made = []
    for chain in chains.values():
        worked = [one for run in chain for one in agents.get(run.run_id, ())]
        by = min(worked, key=lambda one: int(one[2] or 0), default=None)
        made.append(_task(chain, by, questions, models, scores))
    return made


def _task(
    runs: Sequence[_Row],
    agent: tuple[Any, ...] | None,
    questions: dict[str, list[tuple[Any, ...]]],
    models: dict[str, list[tuple[Any, ...]]],
    scores: dict[str, list[tuple[Any, ...]]],
) -> Task:
    origin, whole = runs[0], _whole(runs)
    return Task(
        first_run_id=origin.first_run_id,
        runs=tuple([run.run_id for run in runs]),
        task=origin.task,
        status=runs[-1].status,
        frameworks=_used(runs),
        models=tuple(sorted({name for run in runs for (name,) in models.get(run.run_id, ())})),
        agent=None if agent is None else agent[0],
        version=None if agent is None else agent[1],
        labels=_labels(origin.labels) if origin.labels else {},
        started_ns=origin.started_ns or 0,
        working_ns=_working(runs, questions),
        human_wait_ns=whole.human_wait_ns,
        llm_calls=whole.llm_calls,
        tool_calls=whole.tool_calls,
        handoffs=whole.handoffs,
        errors=whole.errors,
        input_tokens=whole.input_tokens,
        output_tokens=whole.output_tokens,
        unknown_usage_calls=whole.unknown_usage_calls,
        cost_nano=whole.cost_nano,
        unpriced_calls=whole.unpriced_calls,
        scores=_judged([score for run in runs for score in scores.get(run.run_id, ())]),
    )


def _whole(runs: Sequence[_Row]) -> _Row:
    """Give the first of `runs` with the sums of all; a sum of which nothing is known is None."""
    if len(runs) == 1:
        return runs[0]
    sums: dict[str, int | None] = {}
    for name in _ADDED:
        known = [value for run in runs if (value := getattr(run, name)) is not None]
        sums[name] = sum(known) if known else None
    return msgspec.structs.replace(runs[0], **sums)


def _used(runs: Sequence[_Row]) -> tuple[str, ...]:
    """Give the frameworks. Our own decorators around another one are no second."""
    used = {name for run in runs for name in _names(run.frameworks or "[]")}
    return tuple(sorted(used - {"python"} or used))


def _working(runs: Iterable[_Row], questions: dict[str, list[tuple[Any, ...]]]) -> int | None:
    """Give how long the runs took, less the time in which a question to a human was open, however many were at once."""
    working = 0
    for run in runs:
        if run.duration_ns is None or run.ended_ns is None:
            return None
        upto = run.ended_ns - run.duration_ns
        working += run.duration_ns
        asked = questions.get(run.run_id, ())
        for since, until in sorted((since, until or run.ended_ns) for since, until in asked):
            start, end = max(since, upto), min(until, run.ended_ns)
            if end > start:
                working, upto = working - (end - start), end
    return working


def _judged(scores: Iterable[tuple[Any, ...]]) -> dict[str, Judgement]:
    named: dict[str, list[tuple[float | None, str | None]]] = {}
    for name, value, label in scores:
        named.setdefault(name, []).append((value, label))
    return {name: _judgement(found) for name, found in named.items()}


def _judgement(found: Sequence[tuple[float | None, str | None]]) -> Judgement:
    values = [value for value, _ in found if value is not None]
    return Judgement(sum(values) / len(values) if values else None, *found[-1])
