"""Nothing of ours may break the host: an error of our own is caught, counted, logged once per place."""

from __future__ import annotations

import functools
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from counterfoil.snapshot import text_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["counted", "guarded", "listen", "report"]

P = ParamSpec("P")
R = TypeVar("R")

#: Of an error's message, as it is logged.
LOGGED_CHARS: Final = 500

# Imported at once: a late import may meet a fork, or a process that has given up its rights.
_logger = logging.getLogger("counterfoil")
_counts: dict[str, int] = {}
_listeners: list[Callable[[str, BaseException, int], None]] = []


def report(place: str, error: BaseException) -> None:
    """Count `error` under `place`; log it if it is the first there, and tell the listeners."""
    if os.environ.get("COUNTERFOIL_RAISE") == "1":  # our own tests: a bug must surface, not be swallowed
        raise error
    # Not even this: the host's own log handlers may raise.
    with suppress(Exception):
        count = _counts[place] = _counts.get(place, 0) + 1
        if count == 1:
            _logger.warning(
                "%s failed: %s: %s (the application goes on; said once)",
                place,
                type(error).__name__,
                text_of(error, LOGGED_CHARS),
            )
        # Doubling: a place that fails a million times costs twenty lines of tape.
        if count & (count - 1) == 0:
            for listener in tuple(_listeners):
                _tell(listener, place, error, count)


def _tell(
    listener: Callable[[str, BaseException, int], None], place: str, error: BaseException, count: int
) -> None:
    try:
        listener(place, error, count)
    except Exception:
        _logger.debug("a listener for our own errors failed", exc_info=True)


def listen(listener: Callable[[str, BaseException, int], None]) -> None:
    """Have `listener(place, error, count)` called for the 1st, 2nd, 4th, ... error of each place."""
    _listeners.append(listener)


def counted() -> dict[str, int]:
    """Give how often each place failed in this process."""
    return dict(_counts)


def guarded(function: Callable[P, R]) -> Callable[P, R | None]:
    """Wrap `function` so that its exceptions are reported and it then gives None."""
    place = f"{function.__module__}.{function.__qualname__}"

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> R | None:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            report(place, error)
            return None

    return call
