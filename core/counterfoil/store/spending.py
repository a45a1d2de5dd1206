"""What model calls cost, by day, agent, framework, provider and model: kept up to date, so that nobody adds up all steps."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Final

import msgspec

from counterfoil.store import bulk
from counterfoil.store.contribution import Contribution

if TYPE_CHECKING:
    import sqlite3

    from counterfoil.store.contribution import Group

__all__ = ["Spending"]

_GROUP: Final = ("day", "agent", "framework", "provider", "model")
#: What of a step's sums is added up here; `calls` is one for each step.
_SUMS: Final = (
    "input_tokens", "input_known", "output_tokens", "output_known", "cost_nano", "priced_calls", "unpriced_calls",
    "unknown_usage_calls",
)  # fmt: skip
_sums_of: Final = itemgetter(*(Contribution.SUMS.index(name) for name in _SUMS))
_COLUMNS: Final = ("key", *_GROUP, "calls", *_SUMS)
_ADD: Final = " ON CONFLICT(key) DO UPDATE SET " + ",".join(
    f"{name}={name}+excluded.{name}" for name in ("calls", *_SUMS)
)
_encode: Final = msgspec.json.Encoder().encode


class Spending:
    """What a batch adds to `t_spending`, and takes away."""

    def __init__(self) -> None:
        self._groups: dict[Group, list[int]] = {}

    def add(self, part: Contribution, sign: int) -> None:
        """Count a step's part, or with `sign` -1 no longer."""
        if part.group is None:
            return
        sums = self._groups.setdefault(part.group, [0] * (len(_SUMS) + 1))
        sums[0] += sign
        for at, amount in enumerate(_sums_of(part.sums), 1):
            sums[at] += sign * amount

    def write(self, db: sqlite3.Connection) -> None:
        """Write all of it."""
        # As text, where NULL is as good as any other: a primary key would take it for another each time.
        rows = [(_encode(group).decode(), *group, *sums) for group, sums in self._groups.items() if any(sums)]
        bulk.insert(db, "t_spending", _COLUMNS, rows, suffix=_ADD)
        if any(sums[0] < 0 for sums in self._groups.values()):
            db.execute("DELETE FROM t_spending WHERE calls = 0")
