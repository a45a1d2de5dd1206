"""What the store says when it cannot be used."""

from __future__ import annotations

__all__ = ["StoreError"]


class StoreError(Exception):
    """The store cannot be opened, read or written. The message is one sentence for a person."""
