"""Crews and their tasks, flows and their methods: `workflow` and `task` steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from counterfoil_crewai import edges, humans, kickoffs
from counterfoil_crewai.messages import plain
from counterfoil_crewai.naming import is_internal_flow, task_name
from counterfoil_crewai.scopes import begin, ended, fail, fold

if TYPE_CHECKING:
    from counterfoil_crewai.tracker import Tracker

__all__ = [
    "crew_completed", "crew_failed", "crew_started", "flow_failed", "flow_finished", "flow_paused", "flow_started",
    "method_failed", "method_finished", "method_paused", "method_started", "task_completed", "task_failed",
    "task_started",
]  # fmt: skip


def crew_started(tracker: Tracker, source: Any, event: Any) -> None:
    """A crew begins; `event.crew` is never filled in, the crew is the source."""
    entry = begin(
        tracker,
        event,
        "crew",
        "workflow",
        event.crew_name or "crew",
        str(source.id),
        input=plain(event.inputs),
    )
    if entry is not None:
        entry.stages = edges.Stages()
        kickoffs.began(source, tracker, entry)


def crew_completed(tracker: Tracker, source: Any, event: Any) -> None:
    """A crew ended. Its `total_tokens` are counted per agent, twice where two share a model: not used."""
    entry = tracker.joined(event, "crew", str(source.id))
    if entry is not None:
        ended(tracker, entry, output=plain(event.output))


def crew_failed(tracker: Tracker, source: Any, event: Any) -> None:
    """A crew raised."""
    entry = tracker.joined(event, "crew", str(source.id))
    if entry is not None:
        fail(tracker, entry, event)


def task_started(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as all handlers are called
    """A task begins."""
    task = event.task
    given = {"description": task.description, "expected_output": task.expected_output}
    if event.context:
        given["context"] = event.context
    entry = begin(tracker, event, "task", "task", task_name(task), event.task_id, input=given)
    if entry is not None:
        entry.reason = task.description
        entry.beside = bool(task.async_execution)
        if isinstance(task.context, list):  # else a mark: all tasks before
            entry.context = tuple(str(one.id) for one in task.context)


def task_completed(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
    """A task ended."""
    entry = tracker.joined(event, "task", event.task_id)
    if entry is not None:
        ended(tracker, entry, output=plain(event.output))


def task_failed(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
    """A task raised."""
    entry = tracker.joined(event, "task", event.task_id)
    if entry is not None:
        fail(tracker, entry, event)


def flow_started(tracker: Tracker, source: Any, event: Any) -> None:
    """A flow begins; an agent's executor is a flow too, and part of its agent's turn."""
    ident = id(source)
    if is_internal_flow(source):
        fold(tracker, event, ident)
        folded = tracker.find(event.event_id)
        if folded is not None:
            kickoffs.began(source, tracker, folded)
        return
    facts: dict[str, Any] = {"input": plain(event.inputs), "session": source.flow_id or None}
    answer = humans.resuming(source)
    if answer is not None:
        facts["resuming"] = True
    entry = begin(tracker, event, "flow", "workflow", event.flow_name, ident, **facts)
    if entry is not None and entry.step is not None:
        entry.visits = edges.Visits()
        kickoffs.began(source, tracker, entry)
        if answer is not None:
            tracker.recorder.answers(entry.step, [answer])


def flow_finished(tracker: Tracker, source: Any, event: Any) -> None:
    """A flow ended."""
    role = "folded" if is_internal_flow(source) else "flow"
    entry = tracker.joined(event, role, id(source))
    if entry is not None and role == "flow":
        ended(tracker, entry, output=plain(event.result))


def flow_failed(tracker: Tracker, source: Any, event: Any) -> None:
    """A flow raised."""
    role = "folded" if is_internal_flow(source) else "flow"
    entry = tracker.joined(event, role, id(source))
    if entry is not None and role == "flow":
        fail(tracker, entry, event)


def flow_paused(tracker: Tracker, source: Any, event: Any) -> None:
    """A flow stopped until a human answers: another run, perhaps another process, goes on."""
    entry = tracker.joined(event, "flow", id(source))
    if entry is not None:
        ended(tracker, entry, "waiting")


def method_started(tracker: Tracker, source: Any, event: Any) -> None:
    """A flow's method begins; the state of an executor's methods is its agent's conversation, once more."""
    if is_internal_flow(source):
        fold(tracker, event, event.method_name)
        return
    given = {"state": plain(event.state)}
    if event.params:
        given["params"] = plain(event.params)
    entry = begin(tracker, event, "method", "task", event.method_name, event.method_name, input=given)
    if entry is not None:
        edges.method_begins(entry, source)


def method_finished(tracker: Tracker, source: Any, event: Any) -> None:
    """A flow's method ended."""
    entry = _method(tracker, source, event)
    if entry is not None:
        edges.method_ends(tracker, entry, event.result)
        ended(tracker, entry, output=plain(event.result))


def method_failed(tracker: Tracker, source: Any, event: Any) -> None:
    """A flow's method raised."""
    entry = _method(tracker, source, event)
    if entry is not None:
        fail(tracker, entry, event)


def method_paused(tracker: Tracker, source: Any, event: Any) -> None:
    """A flow's method stopped until a human answers."""
    entry = _method(tracker, source, event)
    if entry is not None:
        humans.left_open(tracker, entry, event)
        ended(tracker, entry, "waiting")


def _method(tracker: Tracker, source: Any, event: Any) -> Any:
    role = "folded" if is_internal_flow(source) else "method"
    entry = tracker.joined(event, role, event.method_name)
    return None if role == "folded" else entry
