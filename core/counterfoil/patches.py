"""The undo registry: what of a framework was replaced, so that all of it can be put back."""

from __future__ import annotations

import threading
from typing import Any

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
