"""Memory and knowledge: what was read, with which query; guardrails, reasoning, and all else that starts and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from counterfoil.recorder import UNSET
from counterfoil.snapshot import snapshot
from counterfoil_crewai.messages import plain
from counterfoil_crewai.scopes import begin, ended, fail, fold

if TYPE_CHECKING:
    from collections.abc import Callable

    from counterfoil_crewai.tracker import Tracker

    Handler = Callable[[Tracker, Any, Any], None]

__all__ = ["PAIRS"]

#: What an event says of the step that it begins, and of the one that it ends.
_INPUTS: Final = ("query", "value", "task_prompt", "guardrail", "step_description", "attempt")
_OUTPUTS: Final = ("results", "retrieved_knowledge", "memory_content", "value", "plan", "result")


def _starting(scope: str, kind: str, name: str) -> Handler:
    def started(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as all handlers are called
        # In words, its name is all that it says: content, and no name.
        named = event.guardrail_name if getattr(event, "guardrail_type", None) == "function" else None
        begin(
            tracker,
            event,
            scope,
            kind,
            str(named or name),
            _ident(scope, event),
            input=_taken(event, _INPUTS),
        )

    return started


def _ending(scope: str, *, source_name: str | None = None) -> Handler:
    def over(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
        entry = tracker.joined(event, scope, _ident(scope, event))
        if entry is None or entry.step is None:
            return
        output = _taken(event, _OUTPUTS)
        if source_name is not None:
            tracker.recorder.access(
                entry.step, source_name, query=getattr(event, "query", None), size=_size(output)
            )
        problem = getattr(event, "error", None)
        if problem is None:
            ended(tracker, entry, output=output)
        elif scope == "llm_guardrail":  # it did its work: the task is done again
            ended(tracker, entry, output={"rejected": str(problem)})
        else:
            fail(tracker, entry, event)

    return over


def _failing(scope: str) -> Handler:
    def failed(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
        entry = tracker.joined(event, scope, _ident(scope, event))
        if entry is not None:
            fail(tracker, entry, event)

    return failed


def _folding(scope: str) -> Handler:
    def started(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
        fold(tracker, event, scope)

    return started


def _unfolding(scope: str) -> Handler:
    def over(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
        tracker.joined(event, "folded", scope)

    return over


def _ident(scope: str, event: Any) -> Any:
    number = getattr(event, "step_number", None)
    # These are no scopes to CrewAI: their ends are known by where they stand, and by number.
    return (event.parent_event_id, number) if scope in _NO_SCOPES else scope


def _taken(event: Any, names: tuple[str, ...]) -> Any:
    return next((plain(one) for name in names if (one := getattr(event, name, None)) is not None), UNSET)


def _size(output: Any) -> int:
    return (
        0 if output is UNSET else len(output.encode()) if isinstance(output, str) else len(snapshot(output))
    )


_NO_SCOPES: Final = frozenset(
    {"plan_step", "step_observation", "context_window_summarization", "conversation_turn"}
)

PAIRS: Final[dict[str, Handler]] = {}

for _scope, _kind, _name, _access in (
    ("memory_query", "memory", "query", "memory"),
    ("memory_retrieval", "memory", "retrieval", None),
    ("memory_save", "memory", "save", None),
    ("knowledge_search_query", "retrieval", "knowledge", "knowledge"),
    ("llm_guardrail", "guardrail", "guardrail", None),
    ("agent_reasoning", "other", "reasoning", None),
    ("plan_step", "other", "plan step", None),
    ("step_observation", "other", "step observation", None),
    ("context_window_summarization", "other", "context window summarization", None),
    ("conversation_turn", "other", "conversation turn", None),
    ("agent_evaluation", "other", "agent evaluation", None),
    ("crew_train", "other", "crew train", None),
    ("crew_test", "other", "crew test", None),
    ("a2a_delegation", "other", "a2a delegation", None),
    ("a2a_conversation", "other", "a2a conversation", None),
    ("a2a_server_task", "other", "a2a server task", None),
    ("a2a_parallel_delegation", "other", "a2a parallel delegation", None),
):
    PAIRS[f"{_scope}_started"] = _starting(_scope, _kind, _name)
    PAIRS[f"{_scope}_completed"] = _ending(_scope, source_name=_access)
    PAIRS[f"{_scope}_failed"] = _failing(_scope)
# The rewriting of a knowledge query stands in its search; a call of an MCP server in its tool.
for _scope in ("knowledge_query", "mcp_connection", "mcp_tool_execution"):
    PAIRS[f"{_scope}_started"] = _folding(_scope)
    PAIRS[f"{_scope}_completed"] = PAIRS[f"{_scope}_failed"] = _unfolding(_scope)
