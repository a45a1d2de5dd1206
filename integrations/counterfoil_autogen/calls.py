"""The calls of AutoGen's that are under way: a team's run, an agent's turn, a call of a model, a tool, a memory.

A runtime of the user's runs agents in tasks of its own, where the context of whoever called the team is lost: there
AutoGen's own id of the agent says which team it works for.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from autogen_core import MessageHandlerContext

from counterfoil import context
from counterfoil.adapters import tidy
from counterfoil.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from counterfoil.recorder import Recorder, Step
    from counterfoil_autogen.edges import Left, Pick

__all__ = [
    "FRAMEWORK", "Call", "ModelCall", "Reading", "Scope", "TeamRun", "ToolCall", "Turn", "begin", "by_runtime", "closed", "ended", "given",
    "innermost", "runs",
]  # fmt: skip

FRAMEWORK: Final = "autogen"


class Scope:
    """A call as one store has it: its step, and which steps below it must be known."""

    __slots__ = (
        "last", "left", "picks", "question", "recorder", "said", "step", "told", "tools", "turns",
    )  # fmt: skip

    def __init__(self, recorder: Recorder, step: Step) -> None:
        self.recorder: Final = recorder
        self.step: Final = step
        self.told: list[str] = []  # errors told below
        # of a turn
        self.tools: dict[str, Step] = {}  # by call id
        self.question: Step | None = None  # that a human is asked
        # of a team's run, see edges.py
        self.turns: dict[str, Step] = {}  # the last turn of each participant that has ended
        self.last: str | None = None  # who ended last
        self.said: tuple[str, str] | None = None  # the last model call of the coordinator, and its answer
        self.picks: dict[str, Pick] = {}  # who was chosen and has not begun
        self.left: Left | None = None  # control was passed to nobody of the team


class Call:
    """One call under way, by whose id: no live object of the host's."""

    __slots__ = ("__weakref__", "above", "of", "open", "scopes")

    def __init__(self, of: Any, above: Call | None) -> None:
        self.of: Final = id(of)
        self.above: Final = above
        self.open = True
        self.scopes: dict[str, Scope] = {}  # by store

    def within(self, other: Call) -> bool:
        """Tell whether this is `other`, or stands in it."""
        call: Call | None = self
        while call is not None and call is not other:
            call = call.above
        return call is not None

    def enter(self) -> Call | None:
        """Make this the call that the code is in; give what `leave` takes."""
        before = _current.get()
        _current.set(self)
        for scope in self.scopes.values():
            context.enter(scope.step)
        return before

    def leave(self, before: Call | None) -> None:
        """Undo `enter`, also where the context has changed meanwhile."""
        if _current.get() is self:
            _current.set(before)
        for scope in self.scopes.values():
            context.leave(scope.step)


class TeamRun(Call):
    """A team's run."""

    __slots__ = ("led", "manager", "name", "names", "team_id")

    def __init__(self, team: Any, above: Call | None) -> None:
        super().__init__(team, above)
        self.name = str(team.name)
        self.team_id = str(getattr(team, "_team_id", ""))
        self.manager = str(getattr(team, "_group_chat_manager_name", ""))
        self.names = frozenset(getattr(team, "_participant_names", ()))
        self.led: list[tuple[str, str, str | None]] = []  # edges of a graph: from, to, condition


class Turn(Call):
    """An agent's turn."""

    __slots__ = ("asked", "asks_team", "handoffs", "name", "names", "seen", "task", "wraps")

    def __init__(self, agent: Any, above: Call | None) -> None:
        super().__init__(agent, above)
        inner = getattr(agent, "_wrapped_agent", None)  # of a MessageFilterAgent: no turn of its own
        self.wraps = id(inner) if inner is not None else None
        self.name = str(agent.name)
        self.names = {self.name} if inner is None else {self.name, str(inner.name)}
        self.asks_team = any(kind.__name__ == "SocietyOfMindAgent" for kind in type(agent).__mro__)
        self.task: Any = None  # what it was told last
        known = getattr(inner if inner is not None else agent, "_handoffs", None) or {}
        self.handoffs = {str(tool): str(one.target) for tool, one in known.items()}
        self.asked: dict[str, tuple[str, str]] = {}  # tools that the model asked for last: name, arguments
        self.seen: set[str] = set()  # ids of messages


class ModelCall(Call):
    """A call of a model client, and what only the provider's own response says of it."""

    __slots__ = ("finish_reason", "model", "response_id", "streamed", "ttft_ns", "usage")

    def __init__(self, client: Any, above: Call | None, *, streamed: bool) -> None:
        super().__init__(client, above)
        self.streamed = streamed
        self.response_id: str | None = None
        self.model: str | None = None
        self.finish_reason: str | None = None
        self.usage: dict[str, Any] | None = None
        self.ttft_ns: int | None = None


class ToolCall(Call):
    """A call of a tool."""

    __slots__ = ("approved", "call_id", "schema")

    def __init__(self, tool: Any, above: Call | None, call_id: str | None) -> None:
        super().__init__(tool, above)
        self.call_id = call_id
        self.schema: str | None = getattr(getattr(tool, "_args_type", None), "__name__", None)
        self.approved: bool | None = None  # of code: what a human said


class Reading(Call):
    """A call of a memory."""

    __slots__ = ("name", "query")

    def __init__(self, memory: Any, above: Call | None) -> None:
        super().__init__(memory, above)
        self.name = ""
        self.query: str | None = None


_current: Final[ContextVar[Call | None]] = ContextVar("counterfoil_autogen", default=None)

#: The runs under way, by the team's id: a team cannot run twice at once.
runs: Final[WeakValueDictionary[str, TeamRun]] = WeakValueDictionary()


def by_runtime() -> TeamRun | None:
    """Give the team's run for which AutoGen's runtime has called the code that we are in."""
    try:
        run = runs.get(MessageHandlerContext.agent_id().key)
    except RuntimeError:  # not called by a runtime
        return None
    return run if run is not None and run.open else None


def innermost() -> Call | None:
    """Give the call that the code is in."""
    call = _current.get()
    while call is not None and not call.open:
        call = call.above
    run = by_runtime()
    # The context of a user's runtime is that of its start, whatever it works for.
    return run if run is not None and (call is None or not call.within(run)) else call


def begin(call: Call, recorder: Recorder, kind: str, name: str, **facts: Any) -> Scope:
    """Start the step of a call in one store. `facts` are further arguments of `Recorder.start`."""
    step = recorder.start(kind, tidy(name), framework=FRAMEWORK, parent=_place(call.above, recorder), **facts)
    scope = call.scopes[recorder.path] = Scope(recorder, step)
    return scope


def _place(above: Call | None, recorder: Recorder) -> Step | None:
    here = recorder.here()
    while above is not None and recorder.path not in above.scopes:
        above = above.above
    if above is None:
        return here
    step = above.scopes[recorder.path].step
    # A step of the host's, or of another framework's, may stand between.
    return here if here is not None and here.open and step in here.above() else step


def given(args: tuple[Any, ...], kwargs: Mapping[str, Any], position: int, name: str) -> Any:
    """Give an argument of a wrapped method, None where it was not passed."""
    return args[position] if len(args) > position else kwargs.get(name)


@guarded
def ended(call: Call, status: str = "ok", **said: Any) -> None:
    """End the steps of a call, unless they have ended; `said` goes to `Recorder.end`."""
    if call.open:
        closed(call)
        for scope in call.scopes.values():
            scope.recorder.end(scope.step, status, **said)


def closed(call: Call) -> None:
    """Take note that nothing begins in this call any more."""
    call.open = False
    if isinstance(call, TeamRun) and runs.get(call.team_id) is call:
        del runs[call.team_id]
