"""Which recording processes have died, and what becomes of the steps that they left open.

Death is known by the lock that a process holds on its newest segment as long as it lives, never by a pid, and
only for processes of this host: another host's silence says nothing.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from counterfoil.events import Head, Text
from counterfoil.store import tapes
from counterfoil.store.made import Made
from counterfoil.store.steps import RANKS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

__all__ = ["Here", "Process", "events", "is_old", "process"]

#: A closed segment whose lock says nothing (no flock here) is let go when nothing was written for so long.
OLD_SECONDS: Final = 3600.0


class Process(NamedTuple):
    """What the store knows of a writer."""

    host: str | None
    boot: str | None
    machine: str | None
    exited: bool


def process(db: sqlite3.Connection, writer_id: int) -> Process | None:
    """Give what the store knows of a writer; None when it wrote no whole line."""
    row = db.execute(
        "SELECT host, boot, machine, coalesce(exit_ns >= last_ns, 0) FROM t_processes WHERE writer_id = ?",
        (writer_id,),
    ).fetchone()
    return None if row is None else Process(row[0], row[1], row[2], bool(row[3]))


class Here:
    """Where this drainer stands: whether a free lock in `folder` proves a writer's death."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._origin = tapes.origin()
        self._local: bool | None = None

    def can_tell(self, writer: Process) -> bool:
        """Tell whether `writer` must be dead if its lock is free."""
        if sys.platform == "win32":
            return False
        mine = self._origin
        if writer.boot is not None and writer.boot == mine.boot:
            return True
        if (
            writer.host is None
            or writer.machine is None
            or (writer.host, writer.machine) != (mine.host, mine.machine)
        ):
            return False
        # This machine before it was started anew: on a disk of its own nobody else can be the writer.
        if self._local is None:
            self._local = tapes.is_local(self._folder)
        return self._local


def is_old(path: str) -> bool:
    """Tell whether nothing was written to `path` for an hour."""
    try:
        return time.time() - os.stat(path).st_mtime > OLD_SECONDS
    except OSError:
        return False


def events(db: sqlite3.Connection, writers: Iterable[int]) -> Iterator[list[Made]]:
    """Give, for each of `writers` that are dead or have ended, what is to be said about it and its open steps.

    A human step whose run's root had ended by then stays: the question outlives the process that asked it. By then is
    by the process's last event, so that it does not matter when the tapes are read.
    """
    for writer_id in writers:
        row = db.execute(
            """SELECT writer, last_ns, coalesce(exit_ns >= last_ns, 0), gone_ns FROM t_processes
            JOIN writers USING (writer_id) WHERE writer_id = ?""",
            (writer_id,),
        ).fetchone()
        if row is None:
            continue
        writer, last_ns, exited, gone_ns = row
        made = (
            []
            if exited or gone_ns is not None
            else [Made(Head(k="gone", t=last_ns, q=0), Text(writer=writer))]
        )
        open_steps = db.execute(
            """SELECT s.step_id, s.run_id FROM t_steps s LEFT JOIN t_runs r ON r.run_id = s.run_id
            LEFT JOIN t_steps root ON root.step_id = r.root_id
            WHERE s.writer_id = ? AND s.end_rank = 0
              AND NOT (s.kind IS 'human' AND coalesce(root.end_rank, 0) > ? AND root.ended_ns <= ?)
            ORDER BY s.started_ns, s.step_id""",
            (writer_id, RANKS["gone"], last_ns),
        )
        made += [
            Made(Head(k="gone", t=last_ns, q=0, run=run_id, step=step_id, status="interrupted"))
            for step_id, run_id in open_steps
        ]
        if made:
            yield made
