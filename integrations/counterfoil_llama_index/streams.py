"""Answers that are read after their query has ended: the model is called while they are read (mapping.md, section 1)."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Generator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from counterfoil_llama_index.tracker import late_parents

if TYPE_CHECKING:
    from collections.abc import Callable

    from counterfoil.patches import Patches

__all__ = ["is_stream", "note_span", "tie", "wrap_models"]

#: What answers keep that are still to be read: of a query engine, of a chat engine.
_STREAMS: Final = frozenset({"achat_stream", "chat_stream", "response_gen"})


def is_stream(response: Any) -> bool:
    """Tell whether an answer is still to be read."""
    return not _STREAMS.isdisjoint(_attributes(response))


def tie(response: Any, span_id: str) -> None:
    """Have what happens while an answer is read stand where it was asked for: LlamaIndex has lost the span by then."""
    stream = _attributes(response).get("response_gen")
    tied = _tied(stream, span_id)
    if tied is not stream:
        response.response_gen = tied


def _tied(stream: Any, span_id: str) -> Any:
    # Told to two stores, or by a query engine inside another: one wrapping will do.
    if getattr(stream, "__name__", "") in _OURS:
        return stream
    if isinstance(stream, Generator):
        return _counterfoil_read(stream, span_id)
    return _counterfoil_read_async(stream, span_id) if isinstance(stream, AsyncGenerator) else stream


# -- models: a model object that asks another one does so while its stream is read

#: The methods of a model that hand out a stream.
_HAND_OUT: Final = ("stream_chat", "astream_chat", "stream_complete", "astream_complete")
#: The span of the method that was called, once it has begun.
_began: Final[ContextVar[list[str] | None]] = ContextVar("counterfoil_llama_index_began", default=None)


def note_span(span_id: str) -> None:
    """Take note of the span of a model's method."""
    began = _began.get()
    if began is not None and not began:
        began.append(span_id)


def wrap_models(patches: Patches) -> None:
    """Have what models do while their streams are read stand in their calls: of all that there are, and come."""
    base = sys.modules["llama_index.core.base.llms.base"].BaseLLM

    def wrap(kind: type[Any]) -> None:
        for name in _HAND_OUT:
            method = vars(kind).get(name)
            if callable(method) and not getattr(method, "__isabstractmethod__", False):
                patches.replace(kind, name, _handing_out(method))

    patches.in_every_class(base, wrap)


def _handing_out(original: Any) -> Callable[..., Any]:
    # Bound first: LlamaIndex's own wrapper asks to what.
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def awaited(self: Any, *args: Any, **kwargs: Any) -> Any:
            began: list[str] = []
            token = _began.set(began)
            try:
                stream = await original.__get__(self)(*args, **kwargs)
            finally:
                _began.reset(token)
            return _tied(stream, began[0]) if began else stream

        return awaited

    @functools.wraps(original)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        began: list[str] = []
        token = _began.set(began)
        try:
            stream = original.__get__(self)(*args, **kwargs)
        finally:
            _began.reset(token)
        return _tied(stream, began[0]) if began else stream

    return called


# -- reading


def _attributes(response: Any) -> dict[str, Any]:
    return vars(response) if hasattr(response, "__dict__") else {}


def _counterfoil_read(stream: Generator[Any, Any, Any], span_id: str) -> Generator[Any, Any, Any]:
    try:
        while True:
            token = late_parents.set((*late_parents.get(), span_id))
            try:
                piece = next(stream)
            except StopIteration as done:
                return done.value
            finally:
                late_parents.reset(token)
            yield piece
    finally:
        token = late_parents.set((*late_parents.get(), span_id))
        try:
            stream.close()
        finally:
            late_parents.reset(token)


async def _counterfoil_read_async(stream: AsyncGenerator[Any, Any], span_id: str) -> AsyncGenerator[Any, Any]:
    try:
        while True:
            token = late_parents.set((*late_parents.get(), span_id))
            try:
                piece = await anext(stream)
            except StopAsyncIteration:
                return
            finally:
                late_parents.reset(token)
            yield piece
    finally:
        await stream.aclose()


_OURS: Final = frozenset({_counterfoil_read.__name__, _counterfoil_read_async.__name__})
