"""One thing that a verification looked at, and what it found."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

__all__ = ["Check", "Level"]

Level: TypeAlias = Literal["ok", "broken", "open"]


class Check(NamedTuple):
    """`ok`, `broken`, or `open`, where it cannot be told; and that in a sentence.

    `seq` is the first event that is not as it was.
    """

    name: str
    level: Level
    says: str
    seq: int | None = None
