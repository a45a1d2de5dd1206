"""What numbers were told by texts, and is told again in numbers when the texts go.

Of a run: how many agents it had, how many steps failed, which of two reports of one model call counts, what a call
cost. Each is an event about its step (`amend`), so that a rebuild gives the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from counterfoil.events import Head, Text
from counterfoil.ids import now_ns
from counterfoil.store import bulk
from counterfoil.store.made import Made

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator

__all__ = ["ERASED", "changed", "remember"]

#: Stands for the type of an error, and with a number for the name of an agent.
ERASED: Final = "erased"

_LOST: Final = """SELECT w.step_id, w.run_id, iif(s.folded_into IS NOT w.folded_into, w.folded_into, NULL),
    iif(s.cost_nano IS NOT w.cost_nano, w.cost_nano, NULL), w.failed AND s.error_type IS NULL
  FROM temp.was w JOIN t_steps s USING (step_id)
  WHERE s.folded_into IS NOT w.folded_into OR s.cost_nano IS NOT w.cost_nano OR (w.failed AND s.error_type IS NULL)
  ORDER BY w.run_id, w.step_id"""
#: One step for each agent of a run that no step names any more.
_AGENTS: Final = """SELECT w.run_id, w.agent, w.step_id FROM temp.was w WHERE w.agent IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM t_steps s WHERE s.run_id = w.run_id AND +s.agent = w.agent)
  ORDER BY w.run_id, w.kind IS NOT 'agent', w.started_ns, w.step_id"""
_names = msgspec.json.Decoder(dict[str, int]).decode


def remember(db: sqlite3.Connection, runs: Collection[str | None]) -> None:
    """Note what the steps of `runs` tell, before their texts go."""
    db.execute("DROP TABLE IF EXISTS temp.was")
    db.execute(
        """CREATE TEMP TABLE was(step_id TEXT PRIMARY KEY, run_id TEXT, kind TEXT, started_ns INTEGER, agent TEXT,
        folded_into TEXT, cost_nano INTEGER, failed INTEGER) WITHOUT ROWID"""
    )
    wanted = [run for run in runs if run is not None]
    for at in range(0, len(wanted), bulk.ROWS):
        part = wanted[at : at + bulk.ROWS]
        db.execute(
            f"""INSERT INTO temp.was SELECT step_id, run_id, kind, started_ns, agent, folded_into, cost_nano,
            error_type IS NOT NULL FROM t_steps WHERE run_id IN ({",".join("?" * len(part))})""",
            part,
        )


def changed(db: sqlite3.Connection) -> list[Made]:
    """Give the events that tell again what the steps told before."""
    heads: dict[str, dict[str, Any]] = {}
    texts: dict[str, Text] = {}
    for step_id, run_id, folded_into, cost_nano, failed in db.execute(_LOST):
        heads[step_id] = {"run": run_id, "folded_into": folded_into, "cost_nano": cost_nano}
        if failed:
            texts[step_id] = Text(error_type=ERASED)
    for run_id, step_id, name in _agents(db):
        heads.setdefault(step_id, {"run": run_id})
        texts.setdefault(step_id, Text()).agent = name
    now = now_ns()
    return [
        Made(Head(k="amend", t=now, q=0, step=step_id, **head), texts.get(step_id))
        for step_id, head in heads.items()
    ]


def _agents(db: sqlite3.Connection) -> Iterator[tuple[str, str, str]]:
    """Give run, step and new name of each agent that lost its name."""
    done: set[tuple[str, str]] = set()
    taken: set[str] = set()
    run = ""
    for run_id, agent, step_id in db.execute(_AGENTS).fetchall():
        if (run_id, agent) in done:
            continue
        done.add((run_id, agent))
        if run_id != run:
            run = run_id
            row = db.execute("SELECT agents FROM t_runs WHERE run_id = ?", (run_id,)).fetchone()
            taken = set(_names(row[0])) if row is not None and row[0] else set()
        number = 1
        while (name := f"{ERASED} {number}") in taken:
            number += 1
        taken.add(name)
        yield run_id, step_id, name
