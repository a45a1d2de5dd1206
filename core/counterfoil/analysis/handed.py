"""Who hands work to whom, how often, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from counterfoil.store.read import Store

__all__ = ["Edge", "edges"]

_EDGES: Final = """SELECT source, coalesce(target, target_asked), target_type, mode, count(*), sum(status = 'refused'),
    sum(status = 'failed'), sum(status = 'abandoned'), sum(status = 'accepted'), sum(status = 'returned'),
    max(coalesce(requested_ns, asked_ns))
  FROM t_handoffs GROUP BY 1, 2, 3, 4 ORDER BY 1 IS NULL, 1, 5 DESC, 2, 4"""


class Edge(msgspec.Struct, frozen=True):
    """All handoffs from one agent to another in one mode; source and target None: none, or the name was erased.

    `count` is how many; of these so many were `refused`, `failed`, `abandoned`, are `accepted` (and stay so, but for an
    escalation, which waits for its answer), `returned`. The rest was asked for and not taken up yet.
    """

    source: str | None
    target: str | None
    target_type: str | None
    mode: str | None
    count: int
    refused: int
    failed: int
    abandoned: int
    accepted: int
    returned: int
    last_ns: int | None


def edges(store: Store) -> list[Edge]:
    """Give the handoffs of all runs, added up, by source; the most frequent target first."""
    return [Edge(*row) for row in store.sql(_EDGES)[1]]
