"""Which runs are old: ended, or last heard of, before some time, and not under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from counterfoil.store import tapes

if TYPE_CHECKING:
    import sqlite3

__all__ = ["runs_before"]


def runs_before(db: sqlite3.Connection, path: str, before_ns: int) -> list[str]:
    """Give the runs that ended, or were last heard of, before `before_ns`; none that still runs.

    A run still runs while a step of it is open in a process that lives, or was heard of since. A question to a human
    may be open for ever, and does not count.
    """
    living = _living_writers(db, path, before_ns)
    rows = db.execute(
        f"""SELECT r.run_id FROM t_runs r LEFT JOIN t_steps s USING (run_id) GROUP BY r.run_id
        HAVING coalesce(max(max(coalesce(s.ended_ns, 0), coalesce(s.started_ns, 0))), 0) < ?
          AND NOT coalesce(max(s.end_rank = 0 AND s.kind IS NOT 'human'
            AND s.writer_id IN ({",".join(map(str, living))})), 0)
        ORDER BY r.run_id""",
        (before_ns,),
    )
    return [run_id for (run_id,) in rows]


def _living_writers(db: sqlite3.Connection, path: str, before_ns: int) -> list[int]:
    newest = {segment.writer: segment.path for segment in tapes.listing(tapes.folder_of(path))}
    rows = db.execute(
        """SELECT writer_id, writer, last_ns FROM t_processes JOIN writers USING (writer_id)
        WHERE gone_ns IS NULL AND coalesce(exit_ns, -1) < last_ns"""
    )
    return [
        int(writer_id)
        for writer_id, writer, last_ns in rows
        if last_ns >= before_ns or (writer in newest and _is_held(newest[writer]))
    ]


def _is_held(path: str) -> bool:
    """Tell whether somebody has the lock on a segment, as its writer has as long as it lives."""
    try:
        fd = tapes.open_to_read(path)
    except OSError:
        return False
    try:
        return not tapes.lock(fd)
    finally:
        tapes.close(fd)
