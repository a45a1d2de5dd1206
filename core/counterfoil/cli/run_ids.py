"""Run ids as people type them: as short as tells them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from counterfoil.store.read import Store

__all__ = ["short_ids"]

#: Ids begin with the time: shorter ones would soon be another run's too.
LEAST: Final = 8


def short_ids(store: Store, run_ids: Iterable[str], *, least: int = LEAST) -> dict[str, str]:
    """Give for each of `run_ids` a beginning that no other run in the store has; all equally long, `least` characters or more."""
    wanted = list(run_ids)
    length = least
    for run_id in wanted:
        _, rows = store.sql(
            """SELECT (SELECT max(run_id) FROM t_runs WHERE run_id < :id),
            (SELECT min(run_id) FROM t_runs WHERE run_id > :id)""",
            {"id": run_id},
        )
        for other in rows[0]:
            if other is not None:
                length = max(length, _shared(run_id, other) + 1)
    return {run_id: run_id[:length] for run_id in wanted}


def _shared(one: str, other: str) -> int:
    """Give how many characters `one` and `other` begin with in common."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
