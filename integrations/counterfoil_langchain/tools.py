"""Tool calls that the framework answered by itself, and what a tool gave back (mapping.md, section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from counterfoil.snapshot import snapshot, text_of
from counterfoil_langchain.messages import plain
from counterfoil_langchain.tracker import FRAMEWORK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from counterfoil_langchain.tracker import Entry, Tracker

__all__ = [
    "calls_in",
    "failed_output",
    "is_invalid_call",
    "note_call",
    "output_of",
    "unrun_calls",
]

#: Where LangChain checks a tool's arguments before its body runs (langchain_core.tools.base.BaseTool).
_ARGUMENT_CHECKS: Final = frozenset({"_parse_input", "_to_args_and_kwargs"})


def is_invalid_call(error: BaseException) -> bool:
    """Tell whether a tool's arguments failed its schema, so that its body never ran."""
    if type(error).__name__ not in {"ValidationError", "ToolInvocationError"}:
        return False
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_name in _ARGUMENT_CHECKS:
            return True
        trace = trace.tb_next
    return False


def output_of(output: Any) -> Any:
    """Give a tool's output as plain values: a ToolMessage's content, a Command's destination."""
    if _is_tool_message(output):
        return plain(output.content)
    if isinstance(output, list):
        return [output_of(one) for one in output]
    return plain(output)


def failed_output(output: Any) -> str | None:
    """Give the text of a tool's error that was handed to the model as its answer, else None."""
    if _is_tool_message(output) and output.status == "error":
        return text_of(output.content)
    return None


def calls_in(inputs: Any) -> dict[str, tuple[str, bytes] | None] | None:
    """Give the tool calls that a node is to run: name and arguments by call id."""
    found: Any = ()
    if isinstance(inputs, dict):
        call, messages = inputs.get("tool_call"), inputs.get("messages")
        if isinstance(call, dict):  # create_react_agent: {"__type": "tool_call_with_context", ...}
            found = (call,)
        elif isinstance(messages, list) and messages:  # ToolNode in a graph of the user's own
            last = messages[-1]
            if getattr(last, "type", None) in {"ai", "AIMessageChunk"}:
                found = last.tool_calls
    elif isinstance(inputs, list):  # create_agent
        found = inputs
    calls: dict[str, tuple[str, bytes] | None] = {}
    for one in found:
        if isinstance(one, dict) and one.get("type") == "tool_call" and one.get("id"):
            calls[one["id"]] = (str(one.get("name") or ""), snapshot(one.get("args")))
    return calls or None


def note_call(tool: Entry, call_id: str | None) -> str | None:
    """Take note that a tool has run for a call of the node around it; give that call's id."""
    node = tool.node_above()
    calls = node.calls if node is not None else None
    if call_id is None and calls:
        # langchain-core 0.3 does not say which call it is.
        call_id = next(
            (one for one, asked in calls.items() if asked is not None and asked[0] == tool.name), None
        )
    if node is not None and call_id is not None:
        if calls is None:
            calls = node.calls = {}
        calls[call_id] = None
    return call_id


def unrun_calls(tracker: Tracker, node: Entry, output: Any) -> None:
    """Record the tool calls that a node answered with no run of a tool: unknown tools, a middleware's refusal."""
    known, parent = node.calls, node.step
    if not known or parent is None:
        return
    for answer in _tool_messages(output):
        call_id = answer.tool_call_id
        asked = known.get(call_id)
        if asked is None:  # it did run, or was no call of this node's
            continue
        known[call_id] = None
        name, arguments = answer.name or asked[0], msgspec.json.decode(asked[1])
        step = tracker.recorder.start(
            "tool",
            name,
            framework=FRAMEWORK,
            parent=parent,
            input=arguments,
            call_id=call_id,
            evidence="inferred",
            t=node.started_ns,
        )
        if answer.status != "error":
            tracker.recorder.end(step, output=plain(answer.content))
            continue
        text = text_of(answer.content)
        unknown = text.startswith(f"Error: {name} is not a valid tool")
        kind = "UnknownTool" if unknown else "ToolNotRun"
        tracker.recorder.end(step, "error", output=text, error_type=kind, error_message=text)


def _tool_messages(output: Any) -> Iterator[Any]:
    if isinstance(output, dict):
        found = output.get("messages")
        if isinstance(found, list):
            yield from (one for one in found if _is_tool_message(one))
    elif isinstance(output, list):
        for one in output:
            if _is_tool_message(one):
                yield one
            else:
                yield from _tool_messages(getattr(one, "update", None))


def _is_tool_message(value: Any) -> bool:
    return getattr(value, "type", None) == "tool" and hasattr(value, "tool_call_id")
