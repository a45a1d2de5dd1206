"""A store opened for a command; what could not be seen goes to standard error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from counterfoil.cli.complaint import complain
from counterfoil.store import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from counterfoil.store.read import Store

__all__ = ["reading"]


@contextmanager
def reading(db: str | None, *, drain: bool = True) -> Iterator[Store]:
    """Open the store at `db`, drained where we may write; raises StoreError with one sentence."""
    with read.open(db, drain=drain) as store:
        for one in store.notices:
            complain(one)
        yield store
