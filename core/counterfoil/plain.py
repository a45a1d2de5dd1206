"""For agents in plain Python: `run`, `step`, `@agent`, `@tool`, `access`, `handoff`, `wrap`.

They also work inside any recorded framework: a tool's own reads, a span of your own in a graph's node. Without
`db` they record to every store that records what they stand in, else to the default one.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import os
import sys
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast, overload

from counterfoil import context
from counterfoil.events import STEP_STATUSES, Item, StepKind, Usage
from counterfoil.guard import guarded, report
from counterfoil.recorder import UNSET, Recorder, Step, all_recorders, recorder_at
from counterfoil.snapshot import Pieces, Taken, snapshot

__all__ = ["Span", "access", "agent", "handoff", "run", "score", "step", "tool", "traceparent", "wrap"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

FRAMEWORK = "python"


class Span:
    """A `run` or `step`, open inside its `with` block: what the block came to is said with `set`."""

    def __init__(self, db: str | os.PathLike[str] | None, start: Callable[[Recorder, Step | None], Step]) -> None:
        self._db = db
        self._start = start
        self._places: list[tuple[Recorder, Step]] = []
        self._said: dict[str, Any] = {}

    @property
    def run_id(self) -> str:
        """The run's id: 32 hex digits, a W3C trace id; empty where nothing is recorded."""
        return self._places[0][1].run_id if self._places else ""

    @property
    def step_id(self) -> str:
        """The step's id: 16 hex digits, a W3C span id; empty where nothing is recorded."""
        return self._places[0][1].step_id if self._places else ""

    @guarded
    def set(
        self,
        *,
        output: Any = UNSET,
        usage: Usage | Mapping[str, Any] | None = None,
        model: str | None = None,
        provider: str | None = None,
        response_id: str | None = None,
        status: str | None = None,
        stop_reason: str | None = None,
    ) -> None:
        """Say what the block gave: its output, a model call's usage and model, another status than `ok`."""
        said = {
            "model": model,
            "provider": provider,
            "response_id": response_id,
            "stop_reason": stop_reason,
        }
        self._said.update({key: value for key, value in said.items() if value is not None})
        if output is not UNSET:
            self._said["output"] = Taken(snapshot(output))  # as it is now: it may change before the block ends
        if usage is not None:
            self._said["usage"] = usage if isinstance(usage, Usage) else Usage(**usage)
        if status is not None:
            if status not in STEP_STATUSES or status == "running":
                raise ValueError(f"a step's status is one of {', '.join(STEP_STATUSES)}, not {status!r}")
            self._said["status"] = status

    def score(self, name: str, value: float | None = None, *, label: str | None = None, comment: str | None = None) -> None:
        """Judge this step; on a run's span, the run."""
        for recorder, place in self._places:
            recorder.score(place, name, value, label=label, comment=comment)

    def __enter__(self) -> Span:
        self._begin()
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        self._finish(error)

    @guarded
    def _begin(self) -> None:
        self._places = []
        self._said = {}
        for recorder, place in _recorders(self._db):
            self._places.append((recorder, self._start(recorder, place)))

    def _enter(self) -> None:
        for _recorder, place in self._places:
            context.enter(place)

    def _leave(self) -> None:
        for _recorder, place in reversed(self._places):
            context.leave(place)

    @guarded
    def _finish(self, error: BaseException | None) -> None:
        said = dict(self._said)
        if error is not None:
            said["status"] = _status_for(error)
            if said["status"] == "error":
                said["error"] = error
        for recorder, place in self._places:
            recorder.end(place, **said)


def _recorders(db: str | os.PathLike[str] | None) -> list[tuple[Recorder, Step | None]]:
    """Give where to record, and in which step: the store named, else all that we are in, else the default one."""
    if db is not None:
        recorder = recorder_at(db)
        return [(recorder, recorder.here())]
    inside: list[tuple[Recorder, Step | None]] = [(recorder, place) for recorder, place in _places(None)]
    return inside or [(recorder_at(), None)]


def _places(db: str | os.PathLike[str] | None) -> list[tuple[Recorder, Step]]:
    """Give the steps we are in: of the store named, else of every store that records this context."""
    recorders = (recorder_at(db),) if db is not None else all_recorders()
    found = [(recorder, recorder.here()) for recorder in recorders]
    return [(recorder, place) for recorder, place in found if place is not None]


def _status_for(error: BaseException) -> str:
    if isinstance(error, (GeneratorExit, KeyboardInterrupt)) or _is_cancelled(error):
        return "cancelled"
    if isinstance(error, SystemExit):
        return "ok" if error.code is None or error.code == 0 else "error"
    return "error"


def _is_cancelled(error: BaseException) -> bool:
    # asyncio takes 30 ms to import: where nobody has, nobody was cancelled by it.
    for module, name in (("asyncio", "CancelledError"), ("concurrent.futures", "CancelledError"), ("trio", "Cancelled")):
        kind = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type) and isinstance(error, kind):
            return True
    return False


def run(
    name: str,
    *,
    task: str | None = None,
    session: str | None = None,
    labels: Mapping[str, str] | None = None,
    input: Any = UNSET,  # noqa: A002  # the column's name
    db: str | os.PathLike[str] | None = None,
    traceparent: str | None = None,
) -> Span:
    """Make everything inside `with counterfoil.run(name):` one run, whatever frameworks take part.

    `task` names the kind of task, so that runs of different agents can be compared; `session` is the
    conversation; `labels` are yours. `traceparent` (W3C) makes it a part of a run in another process.
    Inside another run it is a workflow step of that run.
    """

    def start(recorder: Recorder, place: Step | None) -> Step:
        return recorder.start(
            "workflow",
            name,
            framework=FRAMEWORK,
            parent=place,
            under=context.parse_traceparent(traceparent) if traceparent and place is None else None,
            task=task,
            session=session,
            labels=labels,
            input=input,
        )

    return Span(db, start)


def step(
    name: str,
    *,
    kind: StepKind = "other",
    input: Any = UNSET,  # noqa: A002  # the column's name
    db: str | os.PathLike[str] | None = None,
) -> Span:
    """Record a block of your own: `with counterfoil.step("parse", input=...) as span: ... span.set(output=...)`.

    With `kind="llm"`, `span.set(usage=..., model=...)` makes it a model call that costs.
    """

    def start(recorder: Recorder, place: Step | None) -> Step:
        return recorder.start(kind, name, framework=FRAMEWORK, parent=place, input=input)

    return Span(db, start)


@overload
def agent(function: F) -> F: ...
@overload
def agent(*, name: str | None = None, version: str | None = None, owner: str | None = None) -> Callable[[F], F]: ...
def agent(
    function: F | None = None,
    *,
    name: str | None = None,
    version: str | None = None,
    owner: str | None = None,
) -> F | Callable[[F], F]:
    """Record each call of a function as an agent's turn. Sync, async and generator functions."""
    if isinstance(function, str):  # @agent("name")
        function, name = None, function

    def decorate(inner: F) -> F:
        return _recorded(inner, "agent", name, {"version": version, "owner": owner}, ())

    return decorate if function is None else decorate(function)


@overload
def tool(function: F) -> F: ...
@overload
def tool(*, name: str | None = None, reads: str | Sequence[str] = ()) -> Callable[[F], F]: ...
def tool(
    function: F | None = None, *, name: str | None = None, reads: str | Sequence[str] = ()
) -> F | Callable[[F], F]:
    """Record each call of a function as a tool call; `reads` names the data that every call reads."""
    if isinstance(function, str):  # @tool("name")
        function, name = None, function

    def decorate(inner: F) -> F:
        return _recorded(inner, "tool", name, {}, reads)

    return decorate if function is None else decorate(function)


def _recorded(inner: F, kind: str, name: str | None, extra: dict[str, Any], reads: str | Sequence[str]) -> F:
    if isinstance(inner, (classmethod, staticmethod)):
        return cast("F", type(inner)(_recorded(inner.__func__, kind, name, extra, reads)))
    if not inspect.isroutine(inner) and not isinstance(inner, functools.partial):
        # Put into a function, a class or another framework's tool object would be of no use to anybody.
        report(f"counterfoil.{kind}", TypeError(f"it takes a function; a {type(inner).__name__} is left as it is"))
        return inner
    called = str(name or getattr(inner, "__name__", "") or type(inner).__name__)
    sources = _names(reads) or ()
    signature = _signature(inner)

    def span(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span:
        def start(recorder: Recorder, place: Step | None) -> Step:
            arguments = _named(signature, args, kwargs)
            begun = recorder.start(kind, called, framework=FRAMEWORK, parent=place, input=arguments, **extra)
            for source in sources:
                recorder.access(begun, source)
            return begun

        return Span(None, start)

    made: Any
    if inspect.isasyncgenfunction(inner):

        @functools.wraps(inner)
        async def made(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            call, pieces = span(args, kwargs), Pieces()
            call._begin()  # noqa: SLF001  # the same module's, as all below
            try:
                generator = inner(*args, **kwargs)
                resume, value = generator.asend, None
                while True:
                    # Entered only while the generator's own code runs: its caller is not inside the step.
                    call._enter()  # noqa: SLF001
                    try:
                        item = await resume(value)
                    except StopAsyncIteration:
                        break
                    finally:
                        call._leave()  # noqa: SLF001
                    pieces.add(item)
                    try:
                        value, resume = (yield item), generator.asend
                    except GeneratorExit:
                        await generator.aclose()
                        raise
                    except BaseException as error:  # thrown in from outside: the generator's own to handle
                        value, resume = error, generator.athrow
            except BaseException as error:
                call.set(output=pieces.taken())
                call._finish(error)  # noqa: SLF001
                raise
            call.set(output=pieces.taken())
            call._finish(None)  # noqa: SLF001

    elif inspect.isgeneratorfunction(inner):

        @functools.wraps(inner)
        def made(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            call, pieces = span(args, kwargs), Pieces()
            call._begin()  # noqa: SLF001
            try:
                generator = inner(*args, **kwargs)
                resume, value = generator.send, None
                while True:
                    call._enter()  # noqa: SLF001
                    try:
                        item = resume(value)
                    except StopIteration as stop:
                        result = stop.value
                        break
                    finally:
                        call._leave()  # noqa: SLF001
                    pieces.add(item)
                    try:
                        value, resume = (yield item), generator.send
                    except GeneratorExit:
                        generator.close()
                        raise
                    except BaseException as error:
                        value, resume = error, generator.throw
            except BaseException as error:
                call.set(output=pieces.taken())
                call._finish(error)  # noqa: SLF001
                raise
            call.set(output=pieces.taken())
            call._finish(None)  # noqa: SLF001
            return result

    elif inspect.iscoroutinefunction(inner):

        @functools.wraps(inner)
        async def made(*args: Any, **kwargs: Any) -> Any:
            with span(args, kwargs) as call:
                result = await inner(*args, **kwargs)
                call.set(output=result)
            return result

    else:

        @functools.wraps(inner)
        def made(*args: Any, **kwargs: Any) -> Any:
            with span(args, kwargs) as call:
                result = inner(*args, **kwargs)
                call.set(output=result)
            return result

    return cast("F", made)


@guarded
def _names(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except Exception:  # some builtins have none
        return None


def _named(signature: inspect.Signature | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    if signature is not None:
        try:
            bound = dict(signature.bind_partial(*args, **kwargs).arguments)
        except TypeError:
            pass
        else:
            bound.pop("self", None)
            bound.pop("cls", None)
            return bound
    return {**{str(index): value for index, value in enumerate(args)}, **kwargs}


@guarded
def access(
    source: str,
    *,
    query: str | None = None,
    items: Sequence[str | Item] = (),
    size: int | None = None,
    db: str | os.PathLike[str] | None = None,
) -> None:
    """Record that the current step read data: from `source`, by `query`, these items (ids), `size` bytes.

    Outside of any step it does nothing.
    """
    several = (items,) if isinstance(items, (str, Item)) else items
    read = [one if isinstance(one, Item) else Item(str(one)) for one in several]
    for recorder, place in _places(db):
        recorder.access(place, source, query=query, items=read, size=size)


@guarded
def handoff(
    target: str,
    *,
    mode: str = "transfer",
    reason: str | None = None,
    payload: Any = UNSET,
    db: str | os.PathLike[str] | None = None,
) -> None:
    """Record that the current agent passes control to `target`, or with `mode="escalation"` asks it.

    It is accepted when an agent of that name starts; an escalation returns when that agent ends.
    """
    if mode not in {"transfer", "escalation"}:
        raise ValueError(f"mode is 'transfer' or 'escalation', not {mode!r}")
    for recorder, place in _places(db):
        choice = place.turn.chose() if place.turn is not None else None
        recorder.handoff(
            mode,
            target=target,
            step=place,
            reason=reason,
            payload=payload,
            decided=choice.step_id if choice else None,
            decided_evidence=choice.evidence if choice else None,
        )


@guarded
def score(
    name: str,
    value: float | None = None,
    *,
    label: str | None = None,
    comment: str | None = None,
    db: str | os.PathLike[str] | None = None,
) -> None:
    """Judge the current step: a number, a label, or both."""
    for recorder, place in _places(db):
        recorder.score(place, name, value, label=label, comment=comment)


@guarded
def traceparent(db: str | os.PathLike[str] | None = None) -> str | None:
    """Give the W3C traceparent of the current step, to send along to another process; None outside of any."""
    for _recorder, place in _places(db):
        return context.format_traceparent(place)
    return None


def wrap(function: Callable[P, R]) -> Callable[P, R]:
    """Give `function` bound to this context, for raw threads and executors: steps inside keep their parent.

    May be called many times and at once.
    """
    captured = contextvars.copy_context()

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # A copy for each call: one context cannot be entered by two threads at once.
        return captured.copy().run(function, *args, **kwargs)

    return call
