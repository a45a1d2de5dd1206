"""The sums of runs: changed by what their steps add now, less what they added before."""

from __future__ import annotations

from operator import add, sub
from typing import TYPE_CHECKING, Final

import msgspec

from counterfoil.store import bulk
from counterfoil.store.contribution import NOTHING, Contribution, contribution
from counterfoil.store.rows import RunRow
from counterfoil.store.spending import Spending

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from counterfoil.store.rows import HandoffRow, StepRow

__all__ = ["Totals"]

_COLUMNS: Final = RunRow.__struct_fields__
_counts = msgspec.json.Decoder(dict[str, int]).decode
_encode: Final = msgspec.json.Encoder(order="sorted").encode


class Totals:
    """The rows of `t_runs` that a batch touches. `remember` what is loaded, then `settle` what it became."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._runs: dict[str, RunRow] = {}
        self._before: dict[str, Contribution] = {}
        self._handoffs_before: dict[str, tuple[str | None, bool]] = {}
        self._names: dict[tuple[str, str], dict[str, int]] = {}
        self._sums: dict[str, list[int]] = {}
        self._spending = Spending()

    def remember(self, step: StepRow) -> None:
        """Note what a stored step adds, before it changes."""
        self._before[step.step_id] = contribution(step)

    def remembers(self, step_id: str) -> bool:
        """Tell whether the step was stored before."""
        return step_id in self._before

    def remember_handoff(self, handoff: HandoffRow) -> None:
        """Note what a stored handoff adds, before it changes."""
        self._handoffs_before[handoff.handoff_id] = _handoff(handoff)

    def settle(
        self,
        steps: Mapping[str, StepRow],
        handoffs: Mapping[str, HandoffRow],
        links: Mapping[str, tuple[str, str]],
    ) -> None:
        """Bring the runs of all these up to date and write them. `links`: run > (run it resumes, first run)."""
        now = {handoff_id: _handoff(handoff) for handoff_id, handoff in handoffs.items()}
        self._load(
            {
                *links,
                *(step.run_id for step in steps.values() if step.run_id is not None),
                *(part.run_id for part in self._before.values() if part.run_id is not None),
                *(
                    run_id
                    for run_id, _ in (*now.values(), *self._handoffs_before.values())
                    if run_id is not None
                ),
            }
        )
        for step_id, step in steps.items():
            after, before = contribution(step), self._before.get(step_id, NOTHING)
            if after != before:
                if before is not NOTHING:
                    self._add(before, -1)
                self._add(after, 1)
            self._place(step)
        for handoff_id, handed in now.items():
            self._add_handoff(self._handoffs_before.get(handoff_id), -1)
            self._add_handoff(handed, 1)
        for run_id, sums in self._sums.items():
            run = self._runs[run_id]
            for column, amount in zip(Contribution.SUMS, sums, strict=True):
                setattr(run, column, getattr(run, column) + amount)
        for (run_id, column), counts in self._names.items():
            left = {name: count for name, count in counts.items() if count}
            setattr(self._runs[run_id], column, _encode(left).decode() if left else None)
        for run_id, (resumes, first_run) in links.items():
            run = self._runs[run_id]
            run.resumes, run.first_run_id, run.unlinked = resumes, first_run, None
        self._write(links)
        self._spending.write(self._db)

    def _load(self, wanted: Iterable[str]) -> None:
        self._runs = {run_id: RunRow(run_id=run_id, first_run_id=run_id) for run_id in wanted}
        for row in bulk.select_in(self._db, "t_runs", _COLUMNS, "run_id", list(self._runs)):
            self._runs[row[0]] = RunRow(*row)

    def _write(self, links: Mapping[str, tuple[str, str]]) -> None:
        rows = [msgspec.structs.astuple(run) for run in self._runs.values()]
        bulk.insert(self._db, "t_runs", _COLUMNS, rows, suffix=bulk.upsert_suffix(("run_id",), _COLUMNS))
        for run_id, (_, first_run) in links.items():
            # What had been resumed from here has a longer history now.
            self._db.execute(
                "UPDATE t_runs SET first_run_id = ? WHERE first_run_id = ? AND first_run_id <> run_id",
                (first_run, run_id),
            )

    def _add(self, part: Contribution, sign: int) -> None:
        self._spending.add(part, sign)
        if part.run_id is None:
            return
        run = self._runs[part.run_id]
        self._sums[part.run_id] = list(
            map(add if sign > 0 else sub, self._sums.get(part.run_id, NOTHING.sums), part.sums)
        )
        self._count(run, "agents", part.agent, sign)
        self._count(run, "frameworks", part.framework, sign)

    def _count(self, run: RunRow, column: str, name: str | None, sign: int) -> None:
        if name is None:
            return
        counts = self._names.get((run.run_id, column))
        if counts is None:
            stored: str | None = getattr(run, column)
            counts = self._names[run.run_id, column] = _counts(stored) if stored else {}
        counts[name] = counts.get(name, 0) + sign

    def _add_handoff(self, part: tuple[str | None, bool] | None, sign: int) -> None:
        if part is not None and part[0] is not None:
            run = self._runs[part[0]]
            run.handoffs += sign
            run.escalations += sign * part[1]

    def _place(self, step: StepRow) -> None:
        """When the run began, and which step is its root: the first that has no parent."""
        if step.started_ns is None or step.run_id is None:
            return
        run = self._runs[step.run_id]
        if run.started_ns is None or step.started_ns < run.started_ns:
            run.started_ns = step.started_ns
        if step.parent_id is not None:
            return
        if run.root_ns is None or (step.started_ns, step.step_id) < (run.root_ns, run.root_id or ""):
            run.root_id, run.root_ns = step.step_id, step.started_ns
        if step.resuming and run.root_id == step.step_id:
            known = step.session is not None or step.questions is not None
            run.unlinked = True if run.resumes is None and known else None


def _handoff(handoff: HandoffRow) -> tuple[str | None, bool]:
    return handoff.run_id, handoff.mode == "escalation"
