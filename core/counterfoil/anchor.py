"""What a plugin brings that keeps checkpoints out of reach of whoever can write the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Anchor"]


class Anchor(msgspec.Struct, frozen=True):
    """A place elsewhere: its name, which stays the same, and what puts a signed note there.

    `append` is called with each note in turn, from whichever process drains; what it raises is reported, and the note
    comes again.
    """

    name: str
    append: Callable[[str], None]
