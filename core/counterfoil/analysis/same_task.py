"""The newest runs of the same task as one: what to set it beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from counterfoil.store.read import BARE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from counterfoil.store.read import Store
    from counterfoil.store.records import Run

__all__ = ["MOST", "Kin", "agents_of", "same_task"]

#: So many runs are looked at.
MOST: Final = 500

_COLUMNS: Final = "run_id, first_run_id, status, frameworks, agent_names, labels, started_ns"
_SAME: Final = f"""SELECT {_COLUMNS} FROM runs WHERE task IS :task AND (:task IS NOT NULL OR name IS :name) AND NOT {BARE}
  ORDER BY started_ns DESC LIMIT {MOST}"""
_THIS: Final = f"SELECT {_COLUMNS} FROM runs WHERE first_run_id = ?"

_names: Final = msgspec.json.Decoder(list[str]).decode
_labels: Final = msgspec.json.Decoder(dict[str, str]).decode


class Kin(msgspec.Struct, frozen=True):
    """A run of the same task, or, where no task was given, of the same name."""

    run_id: str
    first_run_id: str
    status: str
    frameworks: tuple[str, ...]
    agents: tuple[str, ...]
    labels: dict[str, str]
    started_ns: int


def same_task(store: Store, run: Run) -> list[Kin]:
    """Give the newest runs of the same task, the oldest of them first, with `run` and those that it resumes among them."""
    rows = store.sql(_SAME, {"task": run.task, "name": run.name})[1]
    rows += store.sql(_THIS, (run.first_run_id,))[1]
    return sorted(
        (
            Kin(run_id, first, status, tuple(_names(frameworks or "[]")), tuple(_names(agents or "[]")),
                _labels(labels) if labels else {}, started_ns or 0)
            for run_id, first, status, frameworks, agents, labels, started_ns in {row[0]: row for row in rows}.values()
        ),
        key=lambda one: (one.started_ns, one.run_id),
    )  # fmt: skip


def agents_of(kin: Sequence[Kin]) -> frozenset[str]:
    """Give the agents that ever worked on that task."""
    return frozenset(name for one in kin for name in one.agents)
