"""Proofs that a run's events are under a signed root."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from counterfoil.store import seal, tree

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from counterfoil.store.checkpoints import Note

__all__ = ["is_as_sealed", "unproven"]

_OF_RUN: Final = """SELECT seq, CAST(head AS BLOB), coalesce(commitments, x'') FROM events
  WHERE run_id = ? ORDER BY seq"""
_LINK: Final = """SELECT chain, CAST(head AS BLOB), coalesce(commitments, x''), coalesce(
    (SELECT chain FROM events b WHERE b.seq = e.seq - 1), (SELECT chain FROM pruned b WHERE b.seq = e.seq - 1))
  FROM events e WHERE seq = ?"""


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


def is_as_sealed(db: sqlite3.Connection, seq: int) -> bool:
    """Tell whether the chain leads from the event ahead to `seq`; where that one's value is not kept, it is believed."""
    chain, head, commitments, before = db.execute(_LINK, (seq,)).fetchone()
    if before is None and seq > 1:
        return True
    return bool(seal.chained(before or seal.GENESIS, seq, seal.leaf(head, commitments)) == chain)
