"""Agents' turns: in a team, behind a tool, or by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autogen_core import MessageHandlerContext

from counterfoil_autogen import edges, humans, tools
from counterfoil_autogen.calls import Call, TeamRun, Turn, begin, ended, given, innermost
from counterfoil_autogen.messages import chat_of, text_of_message
from counterfoil_autogen.tracker import recording

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["begins", "gives"]


def begins(
    agent: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    streamed: bool,  # noqa: ARG001  # as all rooms are called
) -> Turn | None:
    """An agent's turn begins; on_messages and on_messages_stream call each other, a filter the agent that it wraps."""
    above = innermost()
    if isinstance(above, Turn) and id(agent) in {above.of, above.wraps}:
        return None
    turn, given_ = Turn(agent, above), given(args, kwargs, 0, "messages") or ()
    turn.task = text_of_message(given_[-1]) if given_ else None
    messages, native_id = chat_of(given_), _native_id(above, turn.name)
    for recorder, session in recording(agent, above):
        edges.arrives(above, recorder.path, turn.name)
        alone = above is None and recorder.here() is None
        begin(
            turn,
            recorder,
            "agent",
            turn.name,
            native_id=native_id,
            messages=messages,
            session=session if alone else None,
        )
    return turn if turn.scopes else None


def _native_id(above: Call | None, name: str) -> str | None:
    """Give AutoGen's id of the agent; where no runtime has called it, it has none."""
    try:
        found = MessageHandlerContext.agent_id()
    except RuntimeError:
        return None
    return str(found) if isinstance(above, TeamRun) and found.type == f"{name}_{above.team_id}" else None


def gives(call: Call, item: Any, *, own: bool, last: bool) -> None:  # noqa: ARG001  # as all rooms are called
    """An agent said something; its Response is the end of the turn."""
    if not isinstance(call, Turn):
        return
    said = getattr(item, "chat_message", None)
    if said is None:
        _hear(call, item)
        return
    _hear_all(call, getattr(item, "inner_messages", None) or ())
    if not own:
        return
    for scope in call.scopes.values():
        humans.answered(scope, said)
    if getattr(said, "type", None) == "HandoffMessage":
        edges.hands_over(call, said)
    edges.ended_here(call, call.name)
    ended(call, output=text_of_message(said))


def _hear_all(turn: Turn, messages: Sequence[Any]) -> None:
    for one in messages:
        _hear(turn, one)


def _hear(turn: Turn, event: Any) -> None:
    kind = getattr(event, "type", None)
    if kind not in _HEARD or event.source not in turn.names or event.id in turn.seen:
        return
    call: Call | None = turn
    while call is not None:  # what an agent inside said is passed on by those around it
        if isinstance(call, Turn):
            call.seen.add(event.id)
        call = call.above
    _HEARD[kind](turn, event)


def _tools_asked(turn: Turn, event: Any) -> None:
    turn.asked = {one.id: (one.name, one.arguments) for one in event.content}
    for scope in turn.scopes.values():
        for call_id in turn.asked:  # some models number their calls anew in each answer
            scope.tools.pop(call_id, None)


def _tools_answered(turn: Turn, event: Any) -> None:
    tools.never_ran(turn, event.content)


def _human_asked(turn: Turn, event: Any) -> None:
    humans.asked(turn, event.request_id, turn.task)


_HEARD = {
    "ToolCallRequestEvent": _tools_asked,
    "ToolCallExecutionEvent": _tools_answered,
    "UserInputRequestedEvent": _human_asked,
}
