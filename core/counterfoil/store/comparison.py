"""The built tables of a store beside those that its events make: which rows are not the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from counterfoil.store import bulk, refold, schema

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator

__all__ = ["changed_rows", "related"]

#: Rows named of a table that was changed.
NAMED: Final = 3

_OF_RUNS: Final = "run_id IN (SELECT run_id FROM temp.compared)"
#: Which rows of a table are a run's.
_WHERE: Final = {
    **dict.fromkeys(
        ("t_runs", "t_steps", "t_handoffs", "t_accesses", "t_decisions", "t_approvals", "t_scores", "t_answers",
         "t_findings", "t_erasures"),
        _OF_RUNS,
    ),
    "t_messages": f"step_id IN (SELECT step_id FROM store.t_steps WHERE {_OF_RUNS})",
}  # fmt: skip
#: What rows of these runs are made of too: the runs of the same task, and those that tell of the same model calls.
_RELATED: Final = """WITH RECURSIVE related(run_id) AS (
    VALUES {values}
    UNION
    SELECT o.run_id FROM related r JOIN store.t_runs a ON a.run_id = r.run_id
      JOIN store.t_runs o ON coalesce(o.first_run_id, o.run_id) = coalesce(a.first_run_id, a.run_id)
    UNION
    SELECT o.run_id FROM related r JOIN store.t_steps a ON a.run_id = r.run_id
      JOIN store.t_steps o ON o.response_id = a.response_id WHERE a.response_id IS NOT NULL)
  SELECT run_id FROM related"""


def related(db: sqlite3.Connection, runs: Collection[str]) -> list[str]:
    """Give `runs` and those without which their rows cannot be built."""
    values = ",".join(["(?)"] * len(runs))
    return [run for (run,) in db.execute(_RELATED.format(values=values), list(runs)) if run is not None]


def changed_rows(db: sqlite3.Connection, path: str, runs: Collection[str] | None = None) -> Iterator[str]:
    """Fold the events into the empty tables of `main`, and tell by table which rows of `store` are not the same.

    Only those of `runs`, if given. Raises StoreError with one sentence for an event that cannot be read.
    """
    if runs is None:
        refold.fold_again(db, path)
        conditions = dict.fromkeys(schema.BUILT, "1")
    else:
        db.execute("CREATE TEMP TABLE IF NOT EXISTS compared(run_id TEXT PRIMARY KEY) WITHOUT ROWID")
        db.execute("DELETE FROM temp.compared")
        bulk.insert(db, "temp.compared", ("run_id",), [(run,) for run in runs])
        refold.fold_again(db, path, _OF_RUNS)
        conditions = _WHERE
    for table, where in conditions.items():
        was, now = (f"SELECT * FROM {name}.{table} WHERE {where}" for name in ("store", "main"))
        gone = db.execute(f"SELECT * FROM ({was} EXCEPT {now}) LIMIT {NAMED + 1}").fetchall()
        new = db.execute(f"SELECT * FROM ({now} EXCEPT {was}) LIMIT {NAMED + 1}").fetchall()
        ids = list(dict.fromkeys(str(row[0]) for row in (*new, *gone)))
        if ids:
            more = " and more" if len(ids) > NAMED else ""
            yield f"{table}: {', '.join(ids[:NAMED])}{more}"
