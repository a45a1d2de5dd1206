"""The undo registry: what of a framework was replaced, so that all of it can be put back."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from counterfoil.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Patches"]

_MISSING = object()


class Patches:
    """What one adapter has replaced. `undo` puts it back in reverse order; both may be called again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done: list[tuple[Any, str, Any, Any]] = []

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Set the attribute `name` of `owner` (a module, a class) to `value`, once."""
        with self._lock:
            if any(done[0] is owner and done[1] == name for done in self._done):
                return
            self._done.append((owner, name, vars(owner).get(name, _MISSING), value))
            setattr(owner, name, value)

    def in_every_class(self, base: type[Any], wrap: Callable[[type[Any]], None]) -> None:
        """Have `wrap` called for `base` and all classes that derive from it, also those that are made later."""
        for kind in set(_kinds(base)):
            wrap(kind)
        own: Any = vars(base).get("__init_subclass__")

        @guarded
        def wrap_later(kind: type[Any]) -> None:
            wrap(kind)

        def init_subclass(cls: type[Any], /, **options: Any) -> None:
            if own is None:
                later: Any = super(base, cls)
                later.__init_subclass__(**options)
            else:
                own.__get__(None, cls)(**options)
            wrap_later(cls)

        self.replace(base, "__init_subclass__", classmethod(init_subclass))

    def undo(self) -> None:
        """Put everything back, except where somebody else has replaced it since: theirs calls ours."""
        with self._lock:
            while self._done:
                owner, name, original, ours = self._done.pop()
                if vars(owner).get(name) is not ours:
                    continue
                if original is _MISSING:
                    delattr(owner, name)
                else:
                    setattr(owner, name, original)

    def __len__(self) -> int:
        return len(self._done)


def _kinds(base: type[Any]) -> Iterator[type[Any]]:
    yield base
    for below in base.__subclasses__():
        yield from _kinds(below)
