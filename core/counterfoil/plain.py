"""For agents in plain Python: `run`, `step`, `@agent`, `@tool`, `access`, `handoff`, `wrap`.

They also work inside any recorded framework: a tool's own reads, a span of your own in a graph's node. Without
`db` they record to every store that records what they stand in, else to the default one.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from counterfoil import context
from counterfoil.events import Item
from counterfoil.guard import guarded, report
from counterfoil.recorder import UNSET
from counterfoil.snapshot import Pieces, text_of
from counterfoil.spans import Block, Span, places
from counterfoil.steps import PYTHON

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence

    from counterfoil.events import StepKind
    from counterfoil.recorder import Recorder, Step

__all__ = ["access", "agent", "handoff", "run", "score", "step", "tool", "traceparent", "wrap"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound="Callable[..., Any]")


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
            framework=PYTHON,
            parent=place,
            under=context.parse_traceparent(traceparent) if traceparent and place is None else None,
            task=task,
            session=session,
            labels=labels,
            input=input,
        )

    return Span(Block(db, start))


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
        return recorder.start(kind, name, framework=PYTHON, parent=place, input=input)

    return Span(Block(db, start))


@overload
def agent(function: F) -> F: ...
@overload
def agent(
    *, name: str | None = None, version: str | None = None, owner: str | None = None
) -> Callable[[F], F]: ...
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
        report(
            f"counterfoil.{kind}",
            TypeError(f"it takes a function; a {type(inner).__name__} is left as it is"),
        )
        return inner
    called = text_of(getattr(inner, "__name__", type(inner).__name__) if name is None else name)
    sources = _names(reads) or ()
    signature = _signature(inner)

    def block(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Block:
        def start(recorder: Recorder, place: Step | None) -> Step:
            arguments = _named(signature, args, kwargs)
            begun = recorder.start(kind, called, framework=PYTHON, parent=place, input=arguments, **extra)
            for source in sources:
                recorder.access(begun, source)
            return begun

        return Block(None, start)

    made: Any
    if inspect.isasyncgenfunction(inner):

        @functools.wraps(inner)
        async def made(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            call, pieces = block(args, kwargs), Pieces()
            call.begin()
            try:
                generator = inner(*args, **kwargs)
                resume, value = generator.asend, None
                while True:
                    # Entered only while the generator's own code runs: its caller is not inside the step.
                    call.enter()
                    try:
                        item = await resume(value)
                    except StopAsyncIteration:
                        break
                    finally:
                        call.leave()
                    pieces.add(item)
                    try:
                        value, resume = (yield item), generator.asend
                    except GeneratorExit:
                        await generator.aclose()
                        raise
                    except BaseException as error:  # thrown in from outside: the generator's own to handle
                        value, resume = error, generator.athrow
            except BaseException as error:
                call.said["output"] = pieces.taken()
                call.finish(error)
                raise
            call.said["output"] = pieces.taken()
            call.finish(None)

    elif inspect.isgeneratorfunction(inner):

        @functools.wraps(inner)
        def made(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            call, pieces = block(args, kwargs), Pieces()
            call.begin()
            try:
                generator = inner(*args, **kwargs)
                resume, value = generator.send, None
                while True:
                    call.enter()
                    try:
                        item = resume(value)
                    except StopIteration as stop:
                        result = stop.value
                        break
                    finally:
                        call.leave()
                    pieces.add(item)
                    try:
                        value, resume = (yield item), generator.send
                    except GeneratorExit:
                        generator.close()
                        raise
                    except BaseException as error:
                        value, resume = error, generator.throw
            except BaseException as error:
                call.said["output"] = pieces.taken()
                call.finish(error)
                raise
            call.said["output"] = pieces.taken()
            call.finish(None)
            return result

    elif inspect.iscoroutinefunction(inner):

        @functools.wraps(inner)
        async def made(*args: Any, **kwargs: Any) -> Any:
            with Span(block(args, kwargs)) as call:
                result = await inner(*args, **kwargs)
                call.set(output=result)
            return result

    else:

        @functools.wraps(inner)
        def made(*args: Any, **kwargs: Any) -> Any:
            with Span(block(args, kwargs)) as call:
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


def _named(
    signature: inspect.Signature | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
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
    read = [one if isinstance(one, Item) else Item(text_of(one)) for one in several]
    for recorder, place in places(db):
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
    for recorder, place in places(db):
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
    for recorder, place in places(db):
        recorder.score(place, name, value, label=label, comment=comment)


@guarded
def traceparent(db: str | os.PathLike[str] | None = None) -> str | None:
    """Give the W3C traceparent of the current step, to send along to another process; None outside of any."""
    for _recorder, place in places(db):
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
