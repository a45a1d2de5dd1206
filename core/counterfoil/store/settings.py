"""What a store is told once and keeps: after how long content is erased, and whole runs are dropped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from counterfoil.store import read
from counterfoil.store.errors import StoreError
from counterfoil.store.exclusive import alone, transaction

if TYPE_CHECKING:
    import os

__all__ = ["ERASE_AFTER", "NAMES", "PRUNE_AFTER", "made", "nanoseconds", "put"]

ERASE_AFTER: Final = "erase-after"
PRUNE_AFTER: Final = "prune-after"
#: Name, and what it does.
NAMES: Final = {
    ERASE_AFTER: "erase the content of runs that ended so long ago",
    PRUNE_AFTER: "drop runs that ended so long ago",
}

_SPAN: Final = re.compile(r"([1-9]\d{0,4})([dhw])")
_HOURS: Final = {"h": 1, "d": 24, "w": 168}
_HOUR: Final = 3_600_000_000_000


def nanoseconds(value: str) -> int:
    """Give how long `value` is: hours, days or weeks, as `12h`, `90d`, `52w`. Raises StoreError with one sentence."""
    span = _SPAN.fullmatch(value)
    if span is None:
        raise StoreError(f"{value!r} is no length of time: give 12h, 90d, 52w, or off.")
    return int(span[1]) * _HOURS[span[2]] * _HOUR


def made(path: str | os.PathLike[str]) -> dict[str, str]:
    """Give what is set in the store at `path`, by name, in the order of `NAMES`. Raises StoreError with one sentence."""
    with read.open(path, drain=False) as store:
        kept = dict(store.sql("SELECT key, value FROM meta")[1])
    return {name: str(kept[name]) for name in NAMES if name in kept}


def put(path: str | os.PathLike[str], name: str, value: str) -> None:
    """Set `name` in the store at `path` to `value`; `off` takes it back. Raises StoreError with one sentence."""
    if name not in NAMES:
        raise StoreError(f"there is no setting {name!r}; there are {' and '.join(NAMES)}.")
    if value != "off":
        nanoseconds(value)
    with alone(str(path)) as db, transaction(db):
        if value == "off":
            db.execute("DELETE FROM meta WHERE key = ?", (name,))
        else:
            db.execute("INSERT OR REPLACE INTO meta(key, value) VALUES (?, ?)", (name, value))
