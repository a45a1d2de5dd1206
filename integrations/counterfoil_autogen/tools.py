"""Tool calls: run, failed, or never run at all (mapping.md, section 5)."""

from __future__ import annotations

import asyncio
import functools
import json
from typing import TYPE_CHECKING, Any

from counterfoil.adapters import tidy
from counterfoil.guard import guarded
from counterfoil.recorder import UNSET
from counterfoil_autogen import edges
from counterfoil_autogen.calls import FRAMEWORK, Call, ToolCall, Turn, begin, ended, given, innermost
from counterfoil_autogen.messages import plain, text_of_message
from counterfoil_autogen.tracker import recording

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from counterfoil_autogen.calls import Scope

__all__ = ["CarriedFunction", "begins", "gives", "never_ran"]


def begins(
    tool: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    streamed: bool,  # noqa: ARG001  # as all rooms are called
) -> ToolCall | None:
    """A tool is about to run: its body comes after this."""
    if hasattr(tool, "call_tool"):  # a workbench: an MCP server's, or the user's
        name, arguments, call_id = (
            given(args, kwargs, at, key) for at, key in ((0, "name"), (1, "arguments"), (3, "call_id"))
        )
    else:
        name = tool.name
        arguments, call_id = given(args, kwargs, 0, "args"), given(args, kwargs, 2, "call_id")
    above = innermost()
    if isinstance(above, ToolCall) and (above.of == id(tool) or (call_id and call_id == above.call_id)):
        return None  # by a subclass's own method, or by a workbench
    return _begun(tool, above, name, arguments, call_id)


def _begun(tool: Any, above: Call | None, name: str, arguments: Any, call_id: str | None) -> ToolCall | None:
    call = ToolCall(tool, above, call_id)
    if isinstance(above, Turn) and call_id in above.asked:
        name = above.asked[call_id][0]  # a workbench may show a tool under another name than its own
    for recorder, _ in recording(None, above):
        scope = begin(
            call, recorder, "tool", name, input=plain(arguments), call_id=call_id, native_id=call_id
        )
        turn = above.scopes.get(recorder.path) if isinstance(above, Turn) else None
        if turn is not None and call_id is not None:
            turn.tools[call_id] = scope.step
        runner = getattr(tool, "_task_runner", None)  # AgentTool, TeamTool
        if runner is not None:
            edges.asks(scope, runner)
    return call if call.scopes else None


def gives(call: Call, item: Any, *, own: bool, last: bool) -> None:
    """A tool gave its answer: of a stream the last item is."""
    if not own or not last or not isinstance(call, ToolCall):
        return
    if type(item).__name__ == "ToolResult":  # a workbench's
        text = item.to_text()
        if item.is_error:
            kind = "UnknownTool" if _not_found(text) else "ToolError"
            ended(call, "error", output=text, error_type=kind, error_message=text)
        else:
            ended(call, output=text)
    elif type(item).__name__ == "TaskResult":  # an agent's or a team's
        ended(call, output=text_of_message(item.messages[-1]) if item.messages else UNSET)
    else:
        ended(call, output=plain(item))


# -- calls that AutoGen answers by itself


def never_ran(turn: Turn, results: Sequence[Any]) -> None:
    """Record the calls for which no tool was called: nobody knows such a tool, or the arguments are no JSON."""
    for result in results:
        for scope in turn.scopes.values():
            if result.call_id in scope.tools:
                continue
            name, arguments = turn.asked.get(result.call_id, (result.name, ""))
            _answered(scope, result, name, arguments)


def _answered(scope: Scope, result: Any, name: str, arguments: str) -> None:
    try:
        parsed = json.loads(arguments)
        kind = "UnknownTool" if _not_found(result.content) else "ToolError"
    except ValueError:
        parsed, kind = arguments, "InvalidArguments"
    step = scope.recorder.start(
        "tool",
        tidy(name),
        framework=FRAMEWORK,
        parent=scope.step,
        input=parsed,
        call_id=result.call_id,
        native_id=result.call_id,
    )
    scope.tools[result.call_id] = step
    if result.is_error:
        scope.recorder.end(
            step, "error", output=result.content, error_type=kind, error_message=result.content
        )
    else:
        scope.recorder.end(step, output=result.content)


def _not_found(text: str) -> bool:
    # autogen-agentchat 0.7: "Error: tool 'x' not found in any workbench"; autogen-core: "Tool x not found."
    return "not found" in text and text.lower().lstrip().startswith(("error: tool", "tool "))


# -- functions that run in threads


class CarriedFunction:
    """Stands for `FunctionTool._func`: AutoGen 0.7 runs a plain function in a thread without the caller's context.

    There `counterfoil.access()` and other frameworks would not find the tool's step.
    """

    def __get__(self, tool: Any, owner: Any = None) -> Any:
        """Give the function; while it is recorded, with its step."""
        if tool is None:
            return self
        try:
            function = vars(tool)["_func"]
        except KeyError:
            raise AttributeError("_func") from None
        return _carried(tool, function) or function

    def __set__(self, tool: Any, function: Any) -> None:
        """Keep the function where AutoGen would."""
        vars(tool)["_func"] = function


@guarded
def _carried(tool: Any, function: Any) -> Callable[..., Any] | None:
    call = innermost()
    if not isinstance(call, ToolCall) or call.of != id(tool) or asyncio.iscoroutinefunction(function):
        return None

    @functools.wraps(function)
    def carried(*args: Any, **kwargs: Any) -> Any:
        before = call.enter()
        try:
            return function(*args, **kwargs)
        finally:
            call.leave(before)

    return carried
