"""Agents' turns: in a task, behind a tool, or by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from counterfoil.adapters import tidy
from counterfoil_crewai import edges
from counterfoil_crewai.messages import messages_of
from counterfoil_crewai.naming import agent_name, is_internal_agent
from counterfoil_crewai.scopes import begin, ended, fail

if TYPE_CHECKING:
    from counterfoil_crewai.tracker import Tracker

__all__ = [
    "agent_completed",
    "agent_failed",
    "agent_started",
    "lite_completed",
    "lite_failed",
    "lite_started",
]


def agent_started(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as all handlers are called
    """An agent's turn begins. The event's own `agent_id` and `task_id` are empty."""
    name = tidy(agent_name(event.agent))
    internal = is_internal_agent(name)
    entry = begin(
        tracker, event, "agent", "agent", name, _turn(event), input=event.task_prompt, internal=internal
    )
    if entry is not None:
        edges.agent_begins(tracker, entry, internal=internal)


def agent_completed(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
    """An agent's turn ended."""
    entry = tracker.joined(event, "agent", _turn(event))
    if entry is not None:
        ended(tracker, entry, output=event.output)


def agent_failed(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
    """An agent's turn raised; CrewAI may begin another for the same task."""
    entry = tracker.joined(event, "agent", _turn(event))
    if entry is not None:
        fail(tracker, entry, event)
        edges.agent_fails(entry)


def _turn(event: Any) -> tuple[str, str]:
    return str(event.agent.id), str(getattr(event.task, "id", None))


def lite_started(tracker: Tracker, source: Any, event: Any) -> None:
    """An agent begins without a task: `Agent.kickoff()`."""
    name = tidy(agent_name(source, str(event.agent_info.get("role") or "")))
    internal = is_internal_agent(name)
    entry = begin(
        tracker,
        event,
        "agent",
        "agent",
        name,
        str(event.agent_info.get("id")),
        messages=messages_of(event.messages),
        internal=internal,
    )
    if entry is not None:
        edges.agent_begins(tracker, entry, internal=internal)


def lite_completed(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
    """An agent without a task ended."""
    entry = tracker.joined(event, "agent", str(event.agent_info.get("id")))
    if entry is not None:
        ended(tracker, entry, output=event.output)


def lite_failed(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
    """An agent without a task raised."""
    entry = tracker.joined(event, "agent", str(event.agent_info.get("id")))
    if entry is not None:
        fail(tracker, entry, event)
