"""The stores that events were copied from: which event was which there, and that store's chain, still verifiable.

A copied event keeps its head and commitments, so its leaf is the same in every store. Its number and its place in
the chain are each store's own: those of the source are kept beside (tables `sources` and `copies`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from counterfoil.store import bulk, seal

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

__all__ = ["Claim", "copied_before", "note", "store_id", "verify_sources"]


class Claim(NamedTuple):
    """What a store says of an event in it: its number there, the chain's value at it and ahead of it.

    `seq` is the event's number here. `leaf` is None where the event has the same one here. `line` tells two stores of
    one id apart: 0, or the number of the source in the store that the event is copied from.
    """

    store: str
    line: int
    source_seq: int
    seq: int
    chain: bytes
    before: bytes | None
    leaf: bytes | None


def store_id(db: sqlite3.Connection) -> str:
    """Give the id of the store that `db` is connected to: 32 hexadecimal digits, the same in copies of the file."""
    return str(db.execute("SELECT value FROM meta WHERE key = 'store_id'").fetchone()[0])


def note(db: sqlite3.Connection, claims: Iterable[Claim]) -> None:
    """Keep `claims`, those that are known left out."""
    by_store: dict[tuple[str, int], dict[int, Claim]] = {}
    for claim in claims:
        by_store.setdefault((claim.store, claim.line), {})[claim.source_seq] = claim
    for (store, _), theirs in by_store.items():
        source_id, known = _source(db, store, theirs)
        rows = [
            (
                source_id,
                number,
                claim.seq,
                claim.chain,
                # The chain's first value stands for itself; elsewhere the event ahead gives it, if it is here.
                None if number == 1 or number - 1 in known or number - 1 in theirs else claim.before,
                claim.leaf,
            )
            for number, claim in theirs.items()
            if number not in known
        ]
        bulk.insert(db, "copies", ("source_id", "source_seq", "seq", "chain", "before", "leaf"), rows)


def _source(db: sqlite3.Connection, store: str, claims: dict[int, Claim]) -> tuple[int, set[int]]:
    """Find, or make, the source whose events these are, and which of them and their neighbours are known."""
    wanted = {*claims, *(number - 1 for number in claims)}
    for (source_id,) in db.execute(
        "SELECT source_id FROM sources WHERE store = ? ORDER BY source_id", (store,)
    ).fetchall():
        own = f"(SELECT source_seq, hex(chain) AS chain FROM copies WHERE source_id = {source_id})"
        known = dict(bulk.select_in(db, own, ("source_seq", "chain"), "source_seq", wanted))
        # A file that was copied, and then written to on both sides: the same numbers, other events.
        if all(bytes.fromhex(known[one]) == claims[one].chain for one in claims.keys() & known.keys()):
            return int(source_id), set(known)
    made = db.execute("INSERT INTO sources(store) VALUES (?) RETURNING source_id", (store,)).fetchone()
    return int(made[0]), set()


def copied_before(
    db: sqlite3.Connection, store: str, first: int, chain_at: Callable[[int], bytes | None]
) -> int:
    """Give the number up to which all events of `store` have been copied here; 0 when that cannot be told.

    `first` is the number of that store's first event, `chain_at` gives its chain's value at a number.
    """
    for (source_id,) in db.execute("SELECT source_id FROM sources WHERE store = ?", (store,)).fetchall():
        count, low, high = db.execute(
            "SELECT count(*), min(source_seq), max(source_seq) FROM copies WHERE source_id = ?", (source_id,)
        ).fetchone()
        if count and low == first and count == high - low + 1:
            row = db.execute(
                "SELECT chain FROM copies WHERE source_id = ? AND source_seq = ?", (source_id, high)
            ).fetchone()
            if bytes(row[0]) == chain_at(high):
                return int(high)
    return 0


def verify_sources(db: sqlite3.Connection) -> dict[str, int | None]:
    """Give for each store that events came from the first number whose event is not what it had sealed; None: all hold.

    Only of the events that are here; that all of them are is not said.
    """
    found: dict[str, int | None] = {}
    for source_id, store in db.execute("SELECT source_id, store FROM sources ORDER BY source_id").fetchall():
        bad = _verify(db, source_id)
        if found.get(store) is None:
            found[store] = bad
    return found


def _verify(db: sqlite3.Connection, source_id: int) -> int | None:
    rows = db.execute(
        """SELECT source_seq, c.chain, before, leaf, CAST(head AS BLOB), commitments FROM copies c
        LEFT JOIN events USING (seq) WHERE source_id = ? ORDER BY source_seq""",
        (source_id,),
    )
    last, tip = 0, seal.GENESIS
    for number, chain, before, leaf, head, commitments in rows:
        if before is None and number != last + 1:
            return int(number)
        if head is None and leaf is None:
            return int(number)
        value = leaf if leaf is not None else seal.leaf(head, commitments or b"")
        if seal.chained(tip if before is None else before, number, value) != chain:
            return int(number)
        last, tip = number, bytes(chain)
    return None
