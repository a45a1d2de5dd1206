"""What CrewAI's agents, tasks and flows are called (mapping.md, section 2)."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["agent_name", "is_internal_agent", "is_internal_flow", "task_name"]

#: Agents that CrewAI makes: of the hierarchical process, of a guardrail in words, of `planning=True`.
_MADE: Final = frozenset({"Crew Manager", "Guardrail Agent", "Task Execution Planner"})


def agent_name(agent: Any, role: str = "") -> str:
    """Give the role's template, before inputs are filled in: one agent, whatever it is asked about."""
    return str(getattr(agent, "_original_role", None) or getattr(agent, "role", None) or role)


def is_internal_agent(name: str) -> bool:
    """Tell whether CrewAI made an agent, not the user."""
    return name in _MADE


def is_internal_flow(source: Any) -> bool:
    """Tell whether a flow is CrewAI's own machinery: an agent's executor, a memory's recall."""
    return bool(getattr(type(source), "is_crewai_internal", False))


def task_name(task: Any) -> str:
    """Give a task's name. Its description is content: with inputs filled in, it may hold anything."""
    return str(getattr(task, "name", None) or "task")
