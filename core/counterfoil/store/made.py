"""An event that ingest itself makes: what is found, or decided, later."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from counterfoil.events import Head, Text

__all__ = ["Made"]


class Made(NamedTuple):
    """Sealed like any other event, and on no tape. `body` is its part named `part`."""

    head: Head
    text: Text | None = None
    body: bytes | None = None
    part: str = "output"
