"""AutoGen's methods, wrapped: what their code does stands in a step of ours.

AutoGen sends no event when something starts, and none at all for the calls of a model.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Protocol

from counterfoil.guard import guarded
from counterfoil_autogen.calls import ended, innermost
from counterfoil_autogen.failures import failed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from counterfoil_autogen.calls import Call

__all__ = ["Room", "awaited", "streamed"]


class Room(Protocol):
    """The module that says what is recorded of one kind of call."""

    def begins(
        self, of: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, streamed: bool
    ) -> Call | None:
        """Start it; None where it is no step of its own."""

    def gives(self, call: Call, item: Any, *, own: bool, last: bool) -> None:
        """Take in what it returned, or an item of its stream, the last one once more when that has ended.

        Not `own`: of a method that stands in it, of the same object.
        """


def awaited(original: Callable[..., Awaitable[Any]], room: Room) -> Callable[..., Awaitable[Any]]:
    """Wrap a coroutine method."""
    begins, gives = guarded(room.begins), guarded(room.gives)

    @functools.wraps(original)
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        one = begins(self, args, kwargs, streamed=False)
        if one is None:
            return await original(self, *args, **kwargs)
        before = one.enter()
        try:
            result = await original(self, *args, **kwargs)
        except BaseException as error:
            one.leave(before)
            failed(one, error)
            raise
        one.leave(before)
        gives(one, result, own=True, last=True)
        ended(one)
        return result

    return call


def streamed(
    original: Callable[..., AsyncGenerator[Any, None]], room: Room
) -> Callable[..., AsyncGenerator[Any, None]]:
    """Wrap a method that gives an asynchronous generator. The context is ours only while that runs."""
    begins, gives = guarded(room.begins), guarded(room.gives)

    @functools.wraps(original)
    async def stream(self: Any, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        mine = begins(self, args, kwargs, streamed=True)
        one = mine if mine is not None else innermost()
        items = original(self, *args, **kwargs)
        item: Any = None
        try:
            while True:
                inside = mine if mine is not None and mine.open else None
                before = inside.enter() if inside is not None else None
                try:
                    item = await items.__anext__()
                except StopAsyncIteration:
                    break
                finally:
                    if inside is not None:
                        inside.leave(before)
                if one is not None and one.open:
                    gives(one, item, own=mine is not None, last=False)
                yield item
        except BaseException as error:
            if isinstance(error, GeneratorExit):  # whoever read it has had enough
                await _close(items)
            if mine is not None:
                failed(mine, error)
            raise
        if mine is not None:
            if mine.open:
                gives(mine, item, own=True, last=True)
            ended(mine)

    return stream


async def _close(items: Any) -> None:
    close = getattr(items, "aclose", None)  # an iterator of the user's may have none
    if close is not None:
        await close()
