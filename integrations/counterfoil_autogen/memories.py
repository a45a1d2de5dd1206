"""What an agent's memories gave it to read (mapping.md, sections 2 and 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from counterfoil.events import encode
from counterfoil.recorder import UNSET, Item
from counterfoil_autogen.calls import Call, Reading, begin, ended, given, innermost
from counterfoil_autogen.messages import plain
from counterfoil_autogen.naming import memory_name
from counterfoil_autogen.tracker import recording

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["begins", "gives"]


def begins(
    memory: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    streamed: bool,  # noqa: ARG001  # as all rooms are called
) -> Reading | None:
    """A memory is asked; the question that it puts to itself is the same call."""
    above = innermost()
    query = given(args, kwargs, 0, "query")
    asked = query if isinstance(query, str) else plain(getattr(query, "content", None))
    if isinstance(above, Reading) and above.of == id(memory):
        above.query = asked if isinstance(asked, str) else None
        return None
    call = Reading(memory, above)
    call.name = memory_name(memory)
    call.query = asked if isinstance(asked, str) and asked else None
    for recorder, _ in recording(None, above):
        begin(call, recorder, "memory", call.name, input=UNSET if asked is None else asked)
    return call if call.scopes else None


def gives(call: Call, item: Any, *, own: bool, last: bool) -> None:  # noqa: ARG001  # as above
    """A memory gave what it knows: one row for each piece."""
    if not own or not isinstance(call, Reading):
        return
    found = getattr(item, "memories", item).results
    items = [_item(one.content, one.metadata or {}) for one in found]
    for scope in call.scopes.values():
        if items:
            scope.recorder.access(scope.step, call.name, query=call.query, items=items)
    ended(call, output=[plain(one.content) for one in found])


def _item(content: Any, metadata: Mapping[str, Any]) -> Item:
    known = metadata.get("id")
    size = len(content.encode()) if isinstance(content, str) else None
    if isinstance(content, (bytes, dict)):
        size = len(content if isinstance(content, bytes) else encode(plain(content)))
    return Item(item_id=None if known is None else str(known), score=metadata.get("score"), bytes=size)
