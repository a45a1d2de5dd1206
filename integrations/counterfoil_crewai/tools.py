"""Tool calls: run, failed, refused by a hook, or never run at all (mapping.md, section 5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from counterfoil.adapters import tidy
from counterfoil.content import arguments_of
from counterfoil.snapshot import text_of
from counterfoil_crewai import edges
from counterfoil_crewai.messages import plain
from counterfoil_crewai.scopes import begin, cause, ended

if TYPE_CHECKING:
    from counterfoil_crewai.tracker import Entry, Tracker

__all__ = [
    "hook_spoke", "tool_failed", "tool_finished", "tool_not_found", "tool_not_run", "tool_started",
]  # fmt: skip

#: Both of CrewAI's tool classes say so where arguments do not fit the schema; the body did not run.
_BAD_ARGUMENTS: Final = re.compile(r"\barguments validation failed: ", re.IGNORECASE)
#: CrewAI's words, given to the agent as the tool's answer.
_FAILED: Final = ("Error executing tool", "Error executing task with agent")
_REASONS: Final = {
    "unknown_tool": "UnknownTool",
    "invalid_input": "InvalidArguments",
    "usage_limit": "UsageLimit",
    "repeated_call": "RepeatedCall",
}


def tool_started(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as all handlers are called
    """A tool is about to run: its body comes after this event, on this thread."""
    name = event.tool_name
    given = arguments_of(plain(event.tool_args))
    entry = begin(tracker, event, "tool", "tool", name, _ident(name), input=given)
    if entry is not None and entry.step is not None:
        edges.tool_begins(tracker, entry.step)


def tool_finished(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
    """A tool gave its answer, which may say that it failed."""
    entry = tracker.joined(event, "tool", _ident(event.tool_name))
    if entry is None or entry.step is None:
        return
    output = plain(event.output)
    text = output.strip() if isinstance(output, str) else ""
    edges.tool_answers(tracker, entry.step, text, denied=entry.denied)
    failure = getattr(event, "failure", None)
    if entry.denied:
        ended(tracker, entry, "denied", output=output)
    elif failure is not None:
        kind = _REASONS.get(str(failure.reason.value), "ToolError")
        ended(tracker, entry, "error", output=output, error_type=kind, error_message=str(failure.message))
    elif text.startswith(_FAILED):
        ended(tracker, entry, "error", output=output, error_type="ToolError", error_message=text)
    else:
        # The native path says False even where the answer came from the cache (1.15.30).
        ended(tracker, entry, output=output, cached=bool(event.from_cache))


def tool_failed(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
    """A tool raised, or its arguments did not fit."""
    entry = tracker.joined(event, "tool", _ident(event.tool_name))
    if entry is None:
        return
    error, text = cause(event), text_of(event.error)
    if _BAD_ARGUMENTS.search(text):
        ended(tracker, entry, "error", error_type="InvalidArguments", error_message=text)
    elif error is not None:
        ended(tracker, entry, "error", error=error)
    else:
        ended(tracker, entry, "error", error_type="ToolError", error_message=text)


def tool_not_found(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
    """The ReAct path found no tool of this name; it says so up to six times, then `tool_failure_detected` once."""
    turn = tracker.find(event.parent_event_id)
    if turn is not None:
        turn.unrun = (turn.unrun or set()) | {event.tool_name}


def tool_not_run(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
    """A tool call that never ran: arguments that are no JSON, or in the ReAct path an unknown tool.

    All other failures have been told with the tool's end, and then the arguments are a dict.
    """
    if not isinstance(event.tool_args, str):
        return
    turn: Entry | None = tracker.find(event.parent_event_id)
    unknown = turn is not None and turn.unrun is not None and event.tool_name in turn.unrun
    if unknown and turn is not None and turn.unrun is not None:
        turn.unrun.discard(event.tool_name)
    name = event.tool_name or "tool"
    given = arguments_of(plain(event.tool_args))
    entry = begin(tracker, event, "tool", "tool", name, _ident(name), input=given)
    if entry is not None:
        entry.ended = True
        kind = "UnknownTool" if unknown else "InvalidArguments"
        ended(tracker, entry, "error", error_type=kind, error_message=str(event.failure.message))


def hook_spoke(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
    """A hook was asked about a tool call; where it said no, the body does not run."""
    if event.outcome != "aborted" or event.interception_point != "pre_tool_call":
        return
    entry = tracker.find(event.parent_event_id)
    if entry is not None and entry.role == "tool" and entry.step is not None:
        entry.denied = True
        tracker.recorder.decision(
            entry.step,
            action="call_tool",
            resource=entry.step.name,
            verdict="deny",
            reason=event.abort_reason,
            policy=event.abort_source,
        )


def _ident(name: str) -> str:
    """CrewAI writes a tool's name now as it is, now in small letters with underscores."""
    return tidy(name).casefold().replace(" ", "_")
