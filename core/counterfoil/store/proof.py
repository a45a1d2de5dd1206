"""Proofs that a run's events are under a signed root."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from counterfoil.store import seal, tree

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from counterfoil.store.checkpoints import Note

__all__ = ["unproven"]

_OF_RUN: Final = """SELECT seq, CAST(head AS BLOB), coalesce(commitments, x'') FROM events
  WHERE run_id = ? ORDER BY seq"""


def unproven(db: sqlite3.Connection, run: str, note: Note) -> Iterator[int]:
    """Give the events of `run` of which no proof leads to the root that `note` signs.

    Those that came after it are left out.
    """
    whole = tree.Tree(db)
    for seq, head, commitments in db.execute(_OF_RUN, (run,)):
        if seq > note.size:
            return
        try:
            proof = whole.inclusion(seq - 1, note.size)
        except tree.MissingError:
            yield seq
            continue
        if not tree.verify_inclusion(seal.leaf(head, commitments), seq - 1, note.size, proof, note.root):
            yield seq
