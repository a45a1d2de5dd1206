"""Tool calls: an agent's step says which and by what id, the tool's own span when it ran and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from counterfoil.adapters import tidy
from counterfoil.snapshot import text_of
from counterfoil.steps import status_of
from counterfoil_llama_index import edges, failures
from counterfoil_llama_index.messages import plain
from counterfoil_llama_index.naming import lineage
from counterfoil_llama_index.tracker import FRAMEWORK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from counterfoil_llama_index.tracker import Entry, Tracker

__all__ = ["answered", "asked", "tool_begins", "tool_ends"]


def asked(entry: Entry, event: Any) -> None:
    """An agent's step is about to call a tool."""
    entry.call = str(event.tool_name)
    entry.call_id = str(event.tool_id)


def tool_begins(tracker: Tracker, entry: Entry, instance: Any, arguments: Mapping[str, Any]) -> None:
    """A tool is about to run: its body comes after this, on this thread."""
    name = entry.name = str(getattr(instance.metadata, "name", None) or type(instance).__name__)
    call = _call_of(entry, name)
    if call is not None:
        call.ran = True
        entry.call_id = call.call_id
    given = plain(_given(arguments))
    step = tracker.begin(entry, "tool", tidy(name), input=given, call_id=entry.call_id)
    run = edges.workflow_of_agents(call)
    if run is not None:
        edges.asked(tracker, run, step, given)


def _call_of(entry: Entry, name: str) -> Entry | None:
    """Give the agent's step that calls this tool; a tool that another tool calls is nobody's but that one's."""
    above = entry.parent
    while above is not None and above.role in {"folded", "call"}:
        if above.role == "call":
            return above if above.call == name and not above.ran else None
        above = above.parent
    return None


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Give a tool's arguments without the workflow's context, which LlamaIndex passes among them."""
    given = {key: value for key, value in arguments.items() if key not in {"args", "kwargs"}}
    positional = arguments.get("args") or ()
    given |= {str(index): value for index, value in enumerate(positional)}
    given |= arguments.get("kwargs") or {}
    return {key: value for key, value in given.items() if "Context" not in lineage(type(value))}


def tool_ends(
    tracker: Tracker,
    entry: Entry,
    instance: Any,
    arguments: Mapping[str, Any],
    result: Any,
    error: BaseException | None,
) -> None:
    """A tool gave its answer, raised, or stopped until a human answers."""
    step = entry.step
    if step is None:
        return
    if error is None and getattr(result, "is_error", False):
        raised = getattr(result, "exception", None)
        output = plain(result)
        if raised is not None:
            tracker.end(entry, "error", output=output, error=raised)
        else:
            tracker.end(entry, "error", output=output, error_type="ToolError", error_message=text_of(output))
    elif error is None:
        tracker.end(entry, output=plain(result))
    else:
        kind = None
        if status_of(error) == "error":
            edges.asking_failed(tracker, step, error)
            if failures.is_bad_call(instance, _given(arguments), error):
                kind = "InvalidArguments"
        tracker.fail(entry, error, error_type=kind)


def answered(tracker: Tracker, entry: Entry, result: Any) -> None:
    """An agent's step has the answer to a tool call; where no tool ran for it, that is told here."""
    output = getattr(result, "tool_output", None)
    if entry.ran or output is None or entry.call is None:
        return
    entry.ran = True
    step = tracker.recorder.start(
        "tool",
        tidy(entry.call),
        framework=FRAMEWORK,
        parent=entry.step,
        native_id=str(entry.key),
        call_id=entry.call_id,
        input=plain(result.tool_kwargs),
        t=entry.started_ns,
    )
    text = text_of(plain(output))
    if not output.is_error:
        tracker.recorder.end(step, output=plain(output))
    elif output.exception is not None:
        tracker.recorder.end(step, "error", output=text, error=output.exception)
    else:
        tracker.recorder.end(step, "error", output=text, error_type="UnknownTool", error_message=text)
