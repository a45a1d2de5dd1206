"""Questions to a human and their answers: user proxies, handoffs to a person, code to approve (mapping.md, section 4)."""

from __future__ import annotations

import asyncio
import functools
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from counterfoil.guard import guarded
from counterfoil.recorder import UNSET
from counterfoil_autogen.calls import ToolCall, innermost
from counterfoil_autogen.messages import text_of_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from counterfoil.recorder import Step
    from counterfoil_autogen.calls import Scope, TeamRun, Turn

__all__ = ["ApprovedCode", "answered", "answers", "asked", "left_to", "unanswered"]

#: Teams whose last run left a question open, of this process.
MOST: Final = 4096
_waiting: Final[OrderedDict[str, None]] = OrderedDict()


# -- a user proxy: it waits for the answer


def asked(turn: Turn, request_id: str, question: Any) -> None:
    """An agent asks the human whom it stands for."""
    for scope in turn.scopes.values():
        scope.question = scope.recorder.ask(scope.step, question, native_id=request_id)


def answered(scope: Scope, said: Any) -> None:
    """The human's answer is the agent's."""
    step, scope.question = scope.question, None
    if step is not None:
        scope.recorder.answered(step, text_of_message(said))


def unanswered(scope: Scope, error: BaseException) -> None:
    """The turn ended by `error`, without an answer."""
    step, scope.question = scope.question, None
    if step is not None:
        scope.recorder.fail(step, error)


# -- control passes to somebody who is none of the team: the run ends, and another one brings the answer


def left_to(scope: Scope, step: Step, team_id: str, name: str, question: Any, message_id: str) -> None:
    """A team has ended with a handoff to a human."""
    scope.recorder.ask(step, question, name=name, native_id=message_id)
    _waiting[team_id] = None
    while len(_waiting) > MOST:
        _waiting.popitem(last=False)


def answers(run: TeamRun, task: Any, *, named: bool) -> Any:
    """Give the message by which a task answers a question of the run before, if it may; else None.

    A HandoffMessage says so itself. A plain text does where this team waits, or where the user has `named` the
    session: then the store knows whether it waits.
    """
    waits = _waiting.pop(run.team_id, run) is None
    last = task[-1] if isinstance(task, list) and task else task
    if last is None or not (waits or named or getattr(last, "type", None) == "HandoffMessage"):
        return None
    return last if isinstance(last, str) else text_of_message(last)


# -- code that a human approves


class ApprovedCode:
    """Stands for `CodeExecutorAgent._approval_func`, so that what it says is known."""

    def __get__(self, agent: Any, owner: Any = None) -> Any:
        """Give the function; while code is about to be executed, with a question around it."""
        if agent is None:
            return self
        try:
            function = vars(agent)["_approval_func"]
        except KeyError:
            raise AttributeError("_approval_func") from None
        return None if function is None else _asking(function) or function

    def __set__(self, agent: Any, function: Any) -> None:
        """Keep the function where AutoGen would."""
        vars(agent)["_approval_func"] = function


@guarded
def _asking(function: Callable[..., Any]) -> Callable[..., Any] | None:
    call = innermost()
    if not isinstance(call, ToolCall):
        return None
    if asyncio.iscoroutinefunction(function):

        @functools.wraps(function)
        async def later(request: Any) -> Any:
            steps = _ask(call, request)
            try:
                return _decided(call, steps, await function(request))
            except BaseException as error:
                _not_decided(call, steps, error)
                raise

        return later

    @functools.wraps(function)
    def now(request: Any) -> Any:
        steps = _ask(call, request)
        try:
            return _decided(call, steps, function(request))
        except BaseException as error:
            _not_decided(call, steps, error)
            raise

    return now


@guarded
def _ask(call: ToolCall, request: Any) -> list[tuple[Scope, Step]]:
    return [
        (scope, scope.recorder.ask(scope.step, UNSET, approval=(scope.step.name, {"code": request.code})))
        for scope in call.scopes.values()
    ]


def _decided(call: ToolCall, steps: list[tuple[Scope, Step]] | None, response: Any) -> Any:
    _note(call, steps, response)
    return response


@guarded
def _note(call: ToolCall, steps: list[tuple[Scope, Step]] | None, response: Any) -> None:
    call.approved = bool(response.approved)
    status = "approved" if response.approved else "rejected"
    for scope, step in steps or ():
        scope.recorder.answered(step, response.approved, approval=status, comment=response.reason)


@guarded
def _not_decided(call: ToolCall, steps: list[tuple[Scope, Step]] | None, error: BaseException) -> None:
    for scope, step in steps or ():
        if call.approved is None:
            scope.recorder.fail(step, error)
