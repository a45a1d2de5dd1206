"""Texts against what was sealed of them: each is there as it was, or an erasure says that it went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from counterfoil.store import erasures, seal
from counterfoil.store.check import Check

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

__all__ = ["against_seals"]

#: Texts whose digest is remembered: many events have the same ones.
REMEMBERED: Final = 100_000

_EVENTS: Final = (
    "SELECT seq, CAST(head AS BLOB), coalesce(commitments, x'') FROM events WHERE {only} ORDER BY seq"
)
_TEXTS: Final = """SELECT seq, slot, salt, payload_id, CAST(body AS BLOB), key FROM event_payloads
  LEFT JOIN payloads USING (payload_id) WHERE {only} ORDER BY seq, slot"""

_erased = msgspec.json.Decoder(list[erasures.Entry]).decode


def against_seals(db: sqlite3.Connection, only: str = "1", params: Sequence[Any] = ()) -> Check:
    """Check the texts of the events for which the condition `only` holds."""
    return _Texts(db).check(only, params)


class _Texts:
    """The texts of a store: what erasures say that went, and digests of what is there."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        (key,) = db.execute("SELECT value FROM meta WHERE key = 'store_key'").fetchone()
        self._content_key = seal.ContentKey(bytes(key)).of
        self._gone: dict[str, set[int] | None] = {}
        self._records = 0
        for (body,) in db.execute(erasures.BODIES):
            self._records += 1
            for leaf, slots in _erased(body):
                known = self._gone.get(leaf, set())
                self._gone[leaf] = None if slots is None or known is None else known | set(slots)
        self._digests: dict[int, bytes | None] = {}

    def check(self, only: str, params: Sequence[Any]) -> Check:
        db = self._db
        of_these = "1" if only == "1" else f"seq IN (SELECT seq FROM events WHERE {only})"
        rows = db.execute(_TEXTS.format(only=of_these), params)
        here = rows.fetchone()
        checked = erased = 0
        for seq, head, commitments in db.execute(_EVENTS.format(only=only), params):
            wanted = len(commitments) // seal.COMMITMENT
            there: set[int] = set()
            while here is not None and here[0] <= seq:
                at, slot, salt, payload_id, body, key = here
                if at < seq or slot >= wanted:
                    return _never_had(at)
                if body is not None:
                    committed = commitments[slot * seal.COMMITMENT : (slot + 1) * seal.COMMITMENT]
                    digest = self._digest(payload_id, body, key)
                    if digest is None or seal.commitment(salt, digest) != committed:
                        return Check("texts", "broken", f"a text of event {seq} is not what was sealed.", seq)
                    there.add(slot)
                    checked += 1
                here = rows.fetchone()
            if len(there) < wanted:
                missing = set(range(wanted)) - there
                named = self._gone.get(erasures.leaf_name(head, commitments), set())
                if named is not None and not missing <= named:
                    says = f"a text of event {seq} was removed, and no erasure says so."
                    return Check("texts", "broken", says, seq)
                erased += len(missing)
        if here is not None:
            return _never_had(here[0])
        records = "1 record says" if self._records == 1 else f"{self._records:,} records say"
        said = f"; {erased:,} were erased, as {records}" if erased else ""
        return Check("texts", "ok", f"{checked:,} texts are what was sealed{said}.")

    def _digest(self, payload_id: int, body: bytes, key: bytes) -> bytes | None:
        """Give the digest of a text; None for one that lies under another's key: the next to store that one would get it."""
        if payload_id not in self._digests:
            if len(self._digests) >= REMEMBERED:
                self._digests.clear()
            digest = seal.content_digest(body)
            self._digests[payload_id] = digest if self._content_key(digest) == key else None
        return self._digests[payload_id]


def _never_had(seq: int) -> Check:
    return Check("texts", "broken", f"event {seq} has a text that it never had.", seq)
