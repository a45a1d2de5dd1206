"""For agents in plain Python: `run`, `step`, `@agent`, `@tool`, `access`, `handoff`, `wrap`.

They also work inside any recorded framework: a tool's own reads, a span of your own in a graph's node.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar, cast, overload

from counterfoil import context
from counterfoil.events import Item, StepKind, Usage
from counterfoil.guard import guarded
from counterfoil.recorder import UNSET, Recorder, Step, recorder_at

__all__ = ["Span", "access", "agent", "handoff", "run", "score", "step", "tool", "traceparent", "wrap"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

FRAMEWORK = "python"


class Span:
    """An open `run` or `step`: what its block came to, said with `set`."""

    def __init__(self, recorder: Recorder, step: Step) -> None:
        self._recorder = recorder
        self._step = step
        self._end: dict[str, Any] = {}

    @property
    def run_id(self) -> str:
        """The run's id: 32 hex digits, a W3C trace id."""
        return self._step.run_id

    @property
    def step_id(self) -> str:
        """The step's id: 16 hex digits, a W3C span id."""
        return self._step.step_id

    def set(
        self,
        *,
        output: Any = UNSET,
        usage: Usage | None = None,
        model: str | None = None,
        provider: str | None = None,
        response_id: str | None = None,
        status: str | None = None,
        stop_reason: str | None = None,
    ) -> None:
        """Say what the block gave: its output, a model call's usage and model, another status than `ok`."""
        said = {
            "output": output,
            "usage": usage,
            "model": model,
            "provider": provider,
            "response_id": response_id,
            "status": status,
            "stop_reason": stop_reason,
        }
        self._end.update({key: value for key, value in said.items() if value is not None and value is not UNSET})

    def score(self, name: str, value: float | None = None, *, label: str | None = None, comment: str | None = None) -> None:
        """Judge this step; on a run's span, the run."""
        self._recorder.score(self._step, name, value, label=label, comment=comment)


@contextmanager
def _span(recorder: Recorder, start: Callable[[], Step]) -> Iterator[Span]:
    step = start()
    span = Span(recorder, step)
    token = context.enter(step)
    try:
        yield span
    except BaseException as error:
        context.leave(token, step)
        _end_with(recorder, step, error, span._end)  # noqa: SLF001  # the same module's
        raise
    context.leave(token, step)
    recorder.end(step, **span._end)  # noqa: SLF001  # the same module's


def _end_with(recorder: Recorder, step: Step, error: BaseException, said: Mapping[str, Any] = {}) -> None:
    """End `step` for an exception; its type and text stand at the deepest step alone."""
    said = {key: value for key, value in said.items() if key != "status"}
    if isinstance(error, (GeneratorExit, KeyboardInterrupt)) or _is_cancelled(error):
        recorder.end(step, "cancelled", **said)
        return
    if isinstance(error, SystemExit):
        recorder.end(step, "ok" if error.code in {None, 0} else "error", **said)
        return
    # An int on the exception itself: nothing of ours keeps the host's exception alive.
    first = getattr(error, "__counterfoil_step__", None)
    if first is None or first == step.step_id:
        try:
            error.__counterfoil_step__ = step.step_id  # type: ignore[attr-defined]  # a mark of ours
        except AttributeError:  # an exception with slots
            first = None
        recorder.end(step, "error", error=error, **said)
    else:
        recorder.end(step, "error", **said)


def _is_cancelled(error: BaseException) -> bool:
    # asyncio takes 30 ms to import: where nobody has, nobody was cancelled by it.
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


def run(
    name: str,
    *,
    task: str | None = None,
    session: str | None = None,
    labels: Mapping[str, str] | None = None,
    input: Any = UNSET,  # noqa: A002  # the column's name
    db: str | os.PathLike[str] | None = None,
    traceparent: str | None = None,
) -> Any:
    """Make everything inside `with counterfoil.run(name):` one run, whatever frameworks take part.

    `task` names the kind of task, so that runs of different agents can be compared; `session` is the
    conversation; `labels` are yours. `traceparent` (W3C) makes it a part of a run in another process.
    Inside another run it is a workflow step of that run.
    """
    recorder = recorder_at(db)

    def start() -> Step:
        parent = recorder.here()
        under = context.parse_traceparent(traceparent) if traceparent and parent is None else None
        return recorder.start(
            "workflow",
            name,
            framework=FRAMEWORK,
            parent=parent,
            under=under,
            task=task,
            session=session,
            labels={str(key): str(value) for key, value in labels.items()} if labels else None,
            input=input,
        )

    return _span(recorder, start)


def step(
    name: str,
    *,
    kind: StepKind = "other",
    input: Any = UNSET,  # noqa: A002  # the column's name
    db: str | os.PathLike[str] | None = None,
) -> Any:
    """Record a block of your own: `with counterfoil.step("parse", input=...) as span: ... span.set(output=...)`.

    With `kind="llm"`, `span.set(usage=..., model=...)` makes it a model call that costs.
    """
    recorder = recorder_at(db)
    return _span(
        recorder,
        lambda: recorder.start(kind, name, framework=FRAMEWORK, parent=recorder.here(), input=input),
    )


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

    def decorate(inner: F) -> F:
        return _recorded(inner, "agent", name or inner.__name__, {"version": version, "owner": owner}, ())

    return decorate if function is None else decorate(function)


@overload
def tool(function: F) -> F: ...
@overload
def tool(*, name: str | None = None, reads: str | Sequence[str] = ()) -> Callable[[F], F]: ...
def tool(
    function: F | None = None, *, name: str | None = None, reads: str | Sequence[str] = ()
) -> F | Callable[[F], F]:
    """Record each call of a function as a tool call; `reads` names the data that every call reads."""
    sources = (reads,) if isinstance(reads, str) else tuple(reads)

    def decorate(inner: F) -> F:
        return _recorded(inner, "tool", name or inner.__name__, {}, sources)

    return decorate if function is None else decorate(function)


def _recorded(inner: F, kind: str, name: str, extra: dict[str, Any], sources: tuple[str, ...]) -> F:
    try:
        signature: inspect.Signature | None = inspect.signature(inner)
    except (TypeError, ValueError):
        signature = None

    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Recorder, Step] | None:
        recorder = recorder_at()
        step = recorder.start(
            kind,
            name,
            framework=FRAMEWORK,
            parent=recorder.here(),
            input=_named(signature, args, kwargs),
            **extra,
        )
        for source in sources:
            recorder.access(step, source)
        return recorder, step

    safe_begin = guarded(begin)

    if inspect.isasyncgenfunction(inner):

        @functools.wraps(inner)
        async def recorded_async_generator(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            begun = safe_begin(args, kwargs)
            if begun is None:
                async for item in inner(*args, **kwargs):
                    yield item
                return
            recorder, step = begun
            items: list[Any] = []
            generator = inner(*args, **kwargs)
            try:
                while True:
                    # Entered only while the generator's own code runs: its caller is not inside the step.
                    token = context.enter(step)
                    try:
                        item = await anext(generator)
                    except StopAsyncIteration:
                        break
                    finally:
                        context.leave(token, step)
                    items.append(item)
                    yield item
            except BaseException as error:
                await generator.aclose()
                _end_with(recorder, step, error)
                raise
            recorder.end(step, output=items)

        return cast("F", recorded_async_generator)

    if inspect.isgeneratorfunction(inner):

        @functools.wraps(inner)
        def recorded_generator(*args: Any, **kwargs: Any) -> Iterator[Any]:
            begun = safe_begin(args, kwargs)
            if begun is None:
                return (yield from inner(*args, **kwargs))
            recorder, step = begun
            items: list[Any] = []
            generator = inner(*args, **kwargs)
            try:
                while True:
                    token = context.enter(step)
                    try:
                        item = next(generator)
                    except StopIteration as stop:
                        result = stop.value
                        break
                    finally:
                        context.leave(token, step)
                    items.append(item)
                    yield item
            except BaseException as error:
                generator.close()
                _end_with(recorder, step, error)
                raise
            recorder.end(step, output=items)
            return result

        return cast("F", recorded_generator)

    if inspect.iscoroutinefunction(inner):

        @functools.wraps(inner)
        async def recorded_async(*args: Any, **kwargs: Any) -> Any:
            begun = safe_begin(args, kwargs)
            if begun is None:
                return await inner(*args, **kwargs)
            recorder, step = begun
            token = context.enter(step)
            try:
                result = await inner(*args, **kwargs)
            except BaseException as error:
                context.leave(token, step)
                _end_with(recorder, step, error)
                raise
            context.leave(token, step)
            recorder.end(step, output=result)
            return result

        return cast("F", recorded_async)

    @functools.wraps(inner)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        begun = safe_begin(args, kwargs)
        if begun is None:
            return inner(*args, **kwargs)
        recorder, step = begun
        token = context.enter(step)
        try:
            result = inner(*args, **kwargs)
        except BaseException as error:
            context.leave(token, step)
            _end_with(recorder, step, error)
            raise
        context.leave(token, step)
        recorder.end(step, output=result)
        return result

    return cast("F", recorded)


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


def _places(db: str | os.PathLike[str] | None) -> list[tuple[Recorder, Step]]:
    """Give the steps we are in: of the store named, else of every store that records this context."""
    from counterfoil.recorder import all_recorders  # noqa: PLC0415  # kept out of the module's own namespace

    recorders = [recorder_at(db)] if db is not None else all_recorders()
    found = [(recorder, recorder.here()) for recorder in recorders]
    return [(recorder, place) for recorder, place in found if place is not None]


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
    read = [one if isinstance(one, Item) else Item(str(one)) for one in items]
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
