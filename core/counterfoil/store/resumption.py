"""Which run resumes which, and what the answers that it brought do to the steps that waited for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from counterfoil.store.ingest import Made

__all__ = ["links"]


def links(db: sqlite3.Connection, *, before_ns: int) -> Iterator[list[Made]]:
    return iter(())
