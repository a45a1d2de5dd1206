"""Runs taken out of a store into one of their own."""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from counterfoil.store import copying, schema
from counterfoil.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from counterfoil.store.read import Store

__all__ = ["Exported", "export"]

#: The runs of one task: what they resume, and what resumes them.
_TASK = """SELECT run_id FROM t_runs WHERE coalesce(first_run_id, run_id) IN (
  SELECT coalesce(first_run_id, run_id) FROM t_runs WHERE run_id IN ({marks})) ORDER BY started_ns, run_id"""
#: What happened in the runs, what their processes said of themselves, and what was erased of that.
_ONLY = """run_id IN ({runs}) OR (kind = 'erasure' AND run_id IS NULL) OR (kind IN ('open', 'exit') AND tape_id IN (
    SELECT tape_id FROM tapes WHERE writer_id IN ({writers})))
  OR (kind = 'gone' AND run_id IS NULL AND EXISTS (SELECT 1 FROM event_payloads l JOIN payloads p USING (payload_id)
    WHERE l.seq = events.seq AND iif(json_valid(p.body), json_extract(p.body, '$.writer'), NULL) IN (
      SELECT writer FROM writers WHERE writer_id IN ({writers}))))"""


class Exported(NamedTuple):
    """What an export wrote: the file, its runs, the oldest first, and how many events."""

    file: str
    runs: tuple[str, ...]
    events: int


def export(
    source: Store, runs: Sequence[str], file: str | os.PathLike[str], *, only: bool = False
) -> Exported:
    """Write a store of their own, `file`, that holds `runs` (ids, their beginnings, or `last`) whole.

    With them the other runs of the same task, those they resume and that resume them, unless `only`. The file is there
    when all of it is. Raises StoreError with one sentence, also where `file` exists.
    """
    path = os.path.realpath(os.fspath(file))
    if os.path.lexists(path):
        raise StoreError(f"{path} exists already; name a file that does not.")
    if not os.path.isdir(os.path.dirname(path)):
        raise StoreError(f"{path}: the folder does not exist.")
    wanted = tuple(dict.fromkeys(source.run(run).run_id for run in runs))
    marks = ",".join("?" * len(wanted))
    if not only:
        wanted = tuple(row[0] for row in source.sql(_TASK.format(marks=marks), wanted)[1])
        marks = ",".join("?" * len(wanted))
    new = f"{path}.{secrets.token_hex(4)}.new"
    try:
        events = _write(source, new, wanted, marks)
        _name(new, path)
    except FileExistsError:
        raise StoreError(f"{path} exists already; name a file that does not.") from None
    except (OSError, sqlite3.Error) as error:
        raise schema.explain(path, error) from None
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                os.unlink(new + end)
    return Exported(path, wanted, events)


def _name(new: str, path: str) -> None:
    """Give the file `new` its name, never in place of another that has come meanwhile."""
    try:
        os.link(new, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        os.rename(new, path)


def _write(source: Store, new: str, runs: Sequence[str], marks: str) -> int:
    rows = source.sql(
        f"SELECT DISTINCT writer_id FROM events JOIN tapes USING (tape_id) WHERE run_id IN ({marks})", runs
    )[1]
    condition = _ONLY.format(runs=marks, writers=",".join(str(int(writer_id)) for (writer_id,) in rows))
    params: list[Any] = list(runs)
    with closing(schema.open_writer(new)) as db:
        copied = copying.copy_events(source, db, only=condition, params=params)
        # One file, which can be read where nothing can be written beside it.
        db.execute("PRAGMA journal_mode=DELETE")
    return copied.events
