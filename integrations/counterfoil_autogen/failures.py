"""What an exception means: an error, told where it is deepest, or a cancelled call (mapping.md, section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from counterfoil.guard import guarded
from counterfoil.snapshot import text_of
from counterfoil.steps import raised_here, status_of
from counterfoil_autogen import edges, humans
from counterfoil_autogen.calls import TeamRun, ToolCall, Turn, closed

if TYPE_CHECKING:
    from counterfoil_autogen.calls import Call, Scope

__all__ = ["failed"]


@guarded
def failed(call: Call, error: BaseException) -> None:
    """End the steps of a call that raised, unless they have ended."""
    if not call.open:
        return
    closed(call)
    status = status_of(error)
    for scope in call.scopes.values():
        if isinstance(call, Turn):
            humans.unanswered(scope, error)
        elif isinstance(call, TeamRun):
            edges.given_up(scope, error)
        if status != "error":
            scope.recorder.end(scope.step, status)
            continue
        said: dict[str, Any] = {"error": error}
        if isinstance(call, TeamRun):
            said = _of_a_team(scope, error)
        elif isinstance(call, ToolCall):
            edges.not_handed_over(call, scope, error)
            if type(error).__name__ == "ValidationError" and getattr(error, "title", None) == call.schema:
                said["error_type"] = "InvalidArguments"
        scope.recorder.end(scope.step, status, **said)
        _tell_above(call, scope, text_of(error))


def _tell_above(call: Call, scope: Scope, text: str) -> None:
    above = call.above
    while above is not None:
        other = above.scopes.get(scope.recorder.path)
        if other is not None:
            other.told.append(text)
        above = above.above


def _of_a_team(scope: Scope, error: BaseException) -> dict[str, Any]:
    """Give what to tell of a team's error: AutoGen raises another one, whose text holds the first and its traceback."""
    text = text_of(error)
    first, found, _ = text.partition("\nTraceback:\n")
    if not found:
        return {"error": error}
    raised_here(scope.step, error)  # the steps above it need not tell it
    if any(one in text for one in scope.told):
        return {}
    kind, _, said = first.partition(": ")
    return {"error_type": kind, "error_message": said}
