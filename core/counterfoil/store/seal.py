"""Sealing: each event is committed to by a leaf, and each leaf by a chain over the whole store.

    digest     = sha256(body)
    key        = HMAC-SHA256(store key, digest)[:16]       (where the body is stored, once by content)
    commitment = sha256(salt + digest)                     (16 random bytes of salt for each part of each event)
    leaf       = sha256(0x00 + len(head) + head + len(commitment) + commitment + ...)
    chain_n    = sha256(0x02 + chain_(n-1) + n + leaf)     (lengths are 4 bytes, n is 8, big-endian)

Body, salt and key stand outside of what is hashed: a text can be erased and the chain still holds, and
it cannot be guessed from the commitment that stays.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "COMMITMENT",
    "GENESIS",
    "SALT",
    "ContentKey",
    "chained",
    "commitment",
    "content_digest",
    "leaf",
    "verify_chain",
]

GENESIS: Final = b"\0" * 32
SALT: Final = 16
COMMITMENT: Final = 32
#: hashlib gives up the GIL for 2 048 bytes and more: beside a busy thread each time costs 5 ms to get it back.
SLICE: Final = 2_047

_COMMITMENT_LENGTH: Final = COMMITMENT.to_bytes(4, "big")


def content_digest(data: bytes) -> bytes:
    """Give the SHA-256 of `data`, taken in pieces that keep the GIL."""
    if len(data) <= SLICE:
        return sha256(data).digest()
    hasher = sha256()
    view = memoryview(data)
    for at in range(0, len(data), SLICE):
        hasher.update(view[at : at + SLICE])
    return hasher.digest()


class ContentKey:
    """HMAC-SHA256 under the store's key, by hand: `hmac.digest` gives up the GIL each time."""

    def __init__(self, store_key: bytes) -> None:
        padded = store_key.ljust(64, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in padded))

    def of(self, digest: bytes) -> bytes:
        """Give the key under which the body with `digest` is stored: nobody without the store's key can tell it."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(digest)
        outer.update(inner.digest())
        return outer.digest()[:16]


def commitment(salt: bytes, digest: bytes) -> bytes:
    """Give the 32 bytes that commit to a body without telling it."""
    return sha256(salt + digest).digest()


def leaf(head: bytes, commitments: bytes) -> bytes:
    """Give the leaf over `head` and its parts' commitments, each 32 bytes, one after the other."""
    fields = [b"\0", len(head).to_bytes(4, "big"), head]
    for at in range(0, len(commitments), COMMITMENT):
        fields += (_COMMITMENT_LENGTH, commitments[at : at + COMMITMENT])
    return content_digest(b"".join(fields))


def chained(before: bytes, seq: int, leaf_: bytes) -> bytes:
    """Give the chain's value at `seq`."""
    return sha256(b"\x02" + before + seq.to_bytes(8, "big") + leaf_).digest()


def verify_chain(db: sqlite3.Connection) -> int | None:
    """Give the first `seq` whose event is not what was sealed, or that is missing; None when all hold.

    It shows that the store agrees with itself. Whoever can write the file can seal it anew.
    """
    before, expected = GENESIS, 1
    rows = db.execute("SELECT seq, CAST(head AS BLOB), commitments, chain FROM events ORDER BY seq")
    for seq, head, commitments, chain in rows:
        if seq != expected:
            return expected
        before = chained(before, seq, leaf(head, commitments or b""))
        if before != chain:
            return expected
        bad = _bad_body(db, seq, commitments or b"")
        if bad:
            return expected
        expected += 1
    last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    if last is not None and last[0] >= expected:
        return expected
    return None


def _bad_body(db: sqlite3.Connection, seq: int, commitments: bytes) -> bool:
    rows = db.execute(
        "SELECT slot, salt, CAST(body AS BLOB) FROM event_payloads JOIN payloads USING (payload_id) WHERE seq = ?",
        (seq,),
    )
    return any(
        commitment(salt, content_digest(body)) != commitments[slot * COMMITMENT : (slot + 1) * COMMITMENT]
        for slot, salt, body in rows
    )
