"""Answers that are read after their query has ended: the model is called while they are read (mapping.md, section 1)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any, Final

from counterfoil_llama_index.tracker import late_parent

__all__ = ["is_stream", "tie"]

#: What answers keep that are still to be read: of a query engine, of a chat engine.
_STREAMS: Final = frozenset({"achat_stream", "chat_stream", "response_gen"})


def is_stream(response: Any) -> bool:
    """Tell whether an answer is still to be read."""
    return not _STREAMS.isdisjoint(_attributes(response))


def tie(response: Any, span_id: str) -> None:
    """Have what happens while an answer is read stand where it was asked for: LlamaIndex has lost the span by then."""
    stream = _attributes(response).get("response_gen")
    # Told to two stores, or by a query engine inside another: one wrapping will do.
    if isinstance(stream, Generator):
        if getattr(stream, "__name__", "") != _counterfoil_read.__name__:
            response.response_gen = _counterfoil_read(stream, span_id)
    elif (
        isinstance(stream, AsyncGenerator)
        and getattr(stream, "__name__", "") != _counterfoil_read_async.__name__
    ):
        response.response_gen = _counterfoil_read_async(stream, span_id)


def _attributes(response: Any) -> dict[str, Any]:
    return vars(response) if hasattr(response, "__dict__") else {}


def _counterfoil_read(stream: Generator[Any, Any, Any], span_id: str) -> Generator[Any, Any, Any]:
    try:
        while True:
            token = late_parent.set(span_id)
            try:
                piece = next(stream)
            except StopIteration as done:
                return done.value
            finally:
                late_parent.reset(token)
            yield piece
    finally:
        token = late_parent.set(span_id)
        try:
            stream.close()
        finally:
            late_parent.reset(token)


async def _counterfoil_read_async(stream: AsyncGenerator[Any, Any], span_id: str) -> AsyncGenerator[Any, Any]:
    try:
        while True:
            token = late_parent.set(span_id)
            try:
                piece = await anext(stream)
            except StopAsyncIteration:
                return
            finally:
                late_parent.reset(token)
            yield piece
    finally:
        await stream.aclose()
