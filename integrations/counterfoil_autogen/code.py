"""Code that an agent executes: a tool call, perhaps one that a human approves first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from counterfoil_autogen.calls import Call, ToolCall, begin, ended, given, innermost
from counterfoil_autogen.tracker import recording

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["begins", "gives"]

#: As AutoGen calls it.
NAME: Final = "execute_code_block"


def begins(
    agent: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    streamed: bool,  # noqa: ARG001  # as all rooms are called
) -> ToolCall | None:
    """Code is about to be executed, or to be approved."""
    above = innermost()
    if isinstance(above, ToolCall) and above.of == id(agent):
        return None  # a subclass's own
    call = ToolCall(agent, above, None)
    blocks = given(args, kwargs, 0, "code_blocks") or ()
    code = {"code_blocks": [{"language": one.language, "code": one.code} for one in blocks]}
    for recorder, _ in recording(None, above):
        begin(call, recorder, "tool", NAME, input=code)
    return call if call.scopes else None


def gives(call: Call, item: Any, *, own: bool, last: bool) -> None:  # noqa: ARG001  # as above
    """The code was executed, or a human did not want it to be: AutoGen tells both as a result."""
    if not own or not isinstance(call, ToolCall):
        return
    if call.approved is False:
        ended(call, "denied", output=item.output)
    elif item.exit_code:
        said = f"exit code {item.exit_code}"
        ended(call, "error", output=item.output, error_type="ExitCode", error_message=said)
    else:
        ended(call, output=item.output)
