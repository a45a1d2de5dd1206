"""Which of CrewAI's events are told to whom: by their `type`. All others are no steps (mapping.md, section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from counterfoil.guard import guarded
from counterfoil_crewai import agents, crews, humans, models, tools
from counterfoil_crewai.pairs import PAIRS

if TYPE_CHECKING:
    from collections.abc import Callable

    from counterfoil_crewai.tracker import Tracker

__all__ = ["HANDLERS"]

#: `handle(tracker, source, event)` by the event's type; each fails for itself.
HANDLERS: Final[dict[str, Callable[[Tracker, Any, Any], None]]] = {
    kind: guarded(handle)
    for kind, handle in {
        "crew_kickoff_started": crews.crew_started,
        "crew_kickoff_completed": crews.crew_completed,
        "crew_kickoff_failed": crews.crew_failed,
        "task_started": crews.task_started,
        "task_completed": crews.task_completed,
        "task_failed": crews.task_failed,
        "flow_started": crews.flow_started,
        "flow_finished": crews.flow_finished,
        "flow_failed": crews.flow_failed,
        "flow_paused": crews.flow_paused,
        "method_execution_started": crews.method_started,
        "method_execution_finished": crews.method_finished,
        "method_execution_failed": crews.method_failed,
        "method_execution_paused": crews.method_paused,
        "agent_execution_started": agents.agent_started,
        "agent_execution_completed": agents.agent_completed,
        "agent_execution_error": agents.agent_failed,
        "lite_agent_execution_started": agents.lite_started,
        "lite_agent_execution_completed": agents.lite_completed,
        "lite_agent_execution_error": agents.lite_failed,
        "llm_call_started": models.model_called,
        "llm_stream_chunk": models.model_streamed,
        "llm_thinking_chunk": models.model_streamed,
        "llm_call_completed": models.model_answered,
        "llm_call_failed": models.model_failed,
        "tool_usage_started": tools.tool_started,
        "tool_usage_finished": tools.tool_finished,
        "tool_usage_error": tools.tool_failed,
        "tool_selection_error": tools.tool_not_found,
        "tool_failure_detected": tools.tool_not_run,
        "hook_dispatched": tools.hook_spoke,
        "human_feedback_requested": humans.asked,
        "human_feedback_received": humans.answered,
        "flow_input_requested": humans.asked,
        "flow_input_received": humans.answered,
        **PAIRS,
    }.items()
}
