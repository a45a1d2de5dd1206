"""Walking over all events in their order: the chain from one to the next, and the tree over them."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from counterfoil.store import seal, tree
from counterfoil.store.check import Check

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection

    from counterfoil.store.checkpoints import Note

__all__ = ["Walked", "at_the_end", "walk"]

_EVENTS: Final = """SELECT seq, CAST(head AS BLOB), commitments, chain, NULL FROM events WHERE seq > :after
  UNION ALL SELECT seq, NULL, NULL, NULL, leaf FROM pruned WHERE seq > :after ORDER BY seq"""
#: What this store's own prunings say that they took away; those of other stores speak of their numbers.
_PRUNED: Final = """SELECT p.body FROM events e INDEXED BY events_made JOIN event_payloads l USING (seq)
  JOIN payloads p USING (payload_id) WHERE e.tape_id IS NULL AND e.kind = 'prune'
  AND json_extract(e.head, '$.parts[' || l.slot || ']') = 'pruned'
  AND e.seq NOT IN (SELECT seq FROM copies)"""
_CHAIN: Final = (
    """SELECT chain FROM events WHERE seq = :n UNION ALL SELECT chain FROM pruned WHERE seq = :n"""
)


class Walked(NamedTuple):
    """How far the walk went, the tree's root at each size that was asked for, and what was found.

    `bad` is the first event that is not what was sealed.
    """

    size: int
    roots: dict[int, bytes]
    checks: tuple[Check, ...]
    bad: int | None = None


class _Prunes(msgspec.Struct):
    seqs: list[tuple[int, int]]


_prunes = msgspec.json.Decoder(_Prunes).decode


def walk(db: sqlite3.Connection, sizes: Collection[int], base: Note | None = None) -> Walked:
    """Walk over the events after those that `base` signs, or over all of them."""
    after = 0 if base is None else base.size
    growing, before = tree.Growing(), seal.GENESIS
    if base is not None:
        says = f"The {after:,} events before are not those of {base.time}."
        try:
            growing = tree.Tree(db).growing(after)
        except tree.MissingError as error:
            return Walked(after, {}, (Check("events", "broken", says, error.seq),), error.seq)
        if growing.root() != base.root:
            return Walked(after, {}, (Check("events", "broken", says, after),), after)
        (before,) = db.execute(_CHAIN, {"n": after}).fetchone()
    return _Walking(db, sizes, growing, before).run()


class _Walking:
    """One walk: the tree so far, and the chain's value."""

    def __init__(
        self, db: sqlite3.Connection, sizes: Collection[int], growing: tree.Growing, before: bytes | None
    ) -> None:
        self._db = db
        self._after = growing.size
        self._sizes = frozenset(sizes)
        self._growing = growing
        self._chain = before
        self._roots = {growing.size: growing.root()} if growing.size in self._sizes else {}
        self._allowed = sorted(pair for (body,) in db.execute(_PRUNED) for pair in _prunes(body).seqs)
        self._tiles = {
            (level, n): bytes(hash_) for level, n, hash_ in db.execute("SELECT level, n, hash FROM tiles")
        }
        self._bad_tile: int | None = None
        self._pruned = 0

    def run(self) -> Walked:
        bad: int | None = None
        growing, sizes, roots = self._growing, self._sizes, self._roots
        for seq, head, commitments, chain, kept in self._db.execute(_EVENTS, {"after": self._after}):
            if seq != growing.size + 1:
                bad = growing.size + 1
                says = f"event {bad} is missing" if seq > bad else f"event {seq} is there twice"
                break
            if head is None:
                self._pruned += 1
                leaf = bytes(kept)
                if not self._is_allowed(seq):
                    bad, says = seq, f"event {seq} was taken away, and no pruning says so"
                    break
            else:
                leaf = seal.leaf(head, commitments or b"")
            # The first after some that were pruned, where the chain's value was not kept, is taken at its word.
            value = chain if self._chain is None else seal.chained(self._chain, seq, leaf)
            if chain is not None and chain != value:
                bad, says = seq, f"event {seq} is not what was sealed, or not in its place"
                break
            self._chain = value
            growing.add(leaf)
            if growing.tiles:
                self._compare_tiles()
            if growing.size in sizes:
                roots[growing.size] = growing.root()
        checks = []
        if bad is not None:
            checks.append(
                Check(
                    "events", "broken", f"{says}. What comes after it was not checked against the chain.", bad
                )
            )
        else:
            count = growing.size - self._after - self._pruned
            gone = (
                f"; {self._pruned:,} more were dropped with old runs, and left their leaves"
                if self._pruned
                else ""
            )
            checks.append(Check("events", "ok", f"{count:,} events, each sealed to the one before{gone}."))
            if self._bad_tile is None and any(
                (n + 1) * tree.WIDTH**level > growing.size for level, n in self._tiles
            ):
                checks.append(Check("tree", "broken", "The stored tree is over events that are not there."))
        if self._bad_tile is not None:
            says = f"The stored tree is not over the events up to {self._bad_tile}."
            checks.append(Check("tree", "broken", says, self._bad_tile))
        return Walked(growing.size, roots, tuple(checks), bad)

    def _is_allowed(self, seq: int) -> bool:
        at = bisect.bisect_right(self._allowed, (seq, 1 << 62)) - 1
        return at >= 0 and self._allowed[at][0] <= seq <= self._allowed[at][1]

    def _compare_tiles(self) -> None:
        size = self._growing.size
        for level, hash_ in self._growing.tiles:
            if self._tiles.get((level, size // tree.WIDTH**level - 1), hash_) != hash_:
                self._bad_tile = self._bad_tile or size


def at_the_end(db: sqlite3.Connection, walked: Walked) -> Check:
    """Tell whether events were cut off at the end, by the count that SQLite keeps of numbers given."""
    row = db.execute("SELECT seq FROM store.sqlite_sequence WHERE name = 'events'").fetchone()
    given = int(row[0]) if row is not None else 0
    if walked.bad is None and given > walked.size:
        says = f"Events {walked.size + 1} to {given} were there and are not."
        return Check("end", "broken", says, walked.size + 1)
    if walked.bad is None and given < walked.size:
        return Check("end", "broken", f"The count of events was set back to {given}.", given + 1)
    return Check("end", "ok", "No event is missing at the end, as far as the store itself can tell.")
