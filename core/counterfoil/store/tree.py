"""The tree over all events' leaves, after RFC 6962: one hash, the root, stands for all of them in their order.

    node(left, right) = sha256(0x01 + left + right)

An event's leaf (`seal.leaf`) is a leaf hash of that RFC: it begins with 0x00. Event `seq` is leaf `seq - 1`. The hashes
of full subtrees of 256, 256^2, ... leaves are kept (table `tiles`), so that a root, or a proof, costs some hundred hashes.
https://www.rfc-editor.org/rfc/rfc6962#section-2.1
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from counterfoil.store import bulk, seal
from counterfoil.store.exclusive import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

__all__ = [
    "EMPTY", "WIDTH", "Growing", "MissingError", "Tree", "extend", "leaves", "node", "root_of", "verify_consistency",
    "verify_inclusion",
]  # fmt: skip

#: A tile stands for 256 leaves, or for 256 tiles of the level below.
DIGITS: Final = 8
WIDTH: Final = 1 << DIGITS
EMPTY: Final = sha256(b"").digest()
#: Hashes remembered by one who asks for many proofs.
KNOWN: Final = 10_000
#: Tiles made in one transaction.
GROUP: Final = 64


class MissingError(LookupError):
    """An event that the tree stands on is not there; its `seq`."""

    def __init__(self, seq: int) -> None:
        super().__init__(seq)
        self.seq = seq


def node(left: bytes, right: bytes) -> bytes:
    """Give the hash over two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Give the root over `hashes`: of leaves, or of full subtrees of one size."""
    if not hashes:
        return EMPTY
    row = list(hashes)
    while len(row) > 1:
        odd = row[-1:] if len(row) % 2 else []
        row = [node(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)] + odd
    return row[0]


class Growing:
    """A tree that leaves are put to, one after the other; it holds as many hashes as its size has binary digits.

    `tiles` are those that the last leaf has filled: level and hash.
    """

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        self.size = size
        self.tiles: list[tuple[int, bytes]] = []
        self._peaks = list(peaks)

    def add(self, leaf: bytes) -> None:
        """Put one leaf to the right of all others."""
        peaks = self._peaks
        size, self.size = self.size, self.size + 1
        if self.tiles:
            self.tiles = []
        height = 0
        while size & 1:
            leaf = node(peaks.pop(), leaf)
            size >>= 1
            height += 1
            if height % DIGITS == 0:
                self.tiles.append((height // DIGITS, leaf))
        peaks.append(leaf)

    def root(self) -> bytes:
        """Give the root over all leaves so far."""
        if not self._peaks:
            return EMPTY
        *before, whole = self._peaks
        for peak in reversed(before):
            whole = node(peak, whole)
        return whole


def leaves(db: sqlite3.Connection, first: int, last: int) -> Iterator[bytes]:
    """Give the leaves of the events `first` to `last`, from what is stored of them now. Raises MissingError."""
    rows = db.execute(
        """SELECT seq, CAST(head AS BLOB), commitments, NULL FROM events WHERE seq BETWEEN ? AND ?
        UNION ALL SELECT seq, NULL, NULL, leaf FROM pruned WHERE seq BETWEEN ? AND ? ORDER BY seq""",
        (first, last, first, last),
    )
    expected = first
    for seq, head, commitments, leaf in rows:
        if seq != expected:
            raise MissingError(expected)
        expected += 1
        yield leaf if head is None else seal.leaf(head, commitments or b"")
    if expected != last + 1:
        raise MissingError(expected)


def extend(db: sqlite3.Connection, size: int) -> None:
    """Make the tiles that are full with `size` leaves, in transactions of a few. Raises MissingError."""
    while True:
        (done,) = db.execute("SELECT coalesce(max(n) + 1, 0) FROM tiles WHERE level = 1").fetchone()
        wanted = min(size // WIDTH, done + GROUP)
        if done >= wanted:
            return
        made: list[tuple[int, int, bytes]] = []
        part: list[bytes] = []
        for leaf in leaves(db, done * WIDTH + 1, wanted * WIDTH):
            part.append(leaf)
            if len(part) == WIDTH:
                made.append((1, done, root_of(part)))
                done += 1
                part = []
        with transaction(db):
            bulk.insert(db, "tiles", ("level", "n", "hash"), made)
            _extend_upwards(db)


def _extend_upwards(db: sqlite3.Connection) -> None:
    level = 1
    while True:
        (below,) = db.execute(
            "SELECT coalesce(max(n) + 1, 0) FROM tiles WHERE level = ?", (level,)
        ).fetchone()
        (done,) = db.execute(
            "SELECT coalesce(max(n) + 1, 0) FROM tiles WHERE level = ?", (level + 1,)
        ).fetchone()
        if below // WIDTH <= done:
            return
        hashes = [
            row[0]
            for row in db.execute(
                "SELECT hash FROM tiles WHERE level = ? AND n >= ? AND n < ? ORDER BY n",
                (level, done * WIDTH, (below // WIDTH) * WIDTH),
            )
        ]
        made = [
            (level + 1, done + at // WIDTH, root_of(hashes[at : at + WIDTH]))
            for at in range(0, len(hashes), WIDTH)
        ]
        bulk.insert(db, "tiles", ("level", "n", "hash"), made)
        level += 1


class Tree:
    """The tree of a store, by its tiles: for roots and proofs that need not read every event."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[tuple[int, int], bytes] = {}

    def root(self, size: int) -> bytes:
        """Give the root over the first `size` leaves. Raises MissingError."""
        return self._over(0, size) if size else EMPTY

    def inclusion(self, at: int, size: int) -> list[bytes]:
        """Give the proof that leaf `at` is under the root over `size` leaves (RFC 6962, 2.1.1). Raises MissingError."""
        first, last = 0, size
        proof: list[bytes] = []
        while last - first > 1:
            middle = first + _split(last - first)
            if at < middle:
                proof.append(self._over(middle, last))
                last = middle
            else:
                proof.append(self._over(first, middle))
                first = middle
        return proof[::-1]

    def consistency(self, old: int, size: int) -> list[bytes]:
        """Give the proof that the first `old` of `size` leaves are as they were (RFC 6962, 2.1.2). Raises MissingError."""
        if not 0 < old < size:
            return []
        return self._consistency(old, 0, size, whole=True)

    def _consistency(self, old: int, first: int, last: int, *, whole: bool) -> list[bytes]:
        if old == last:
            return [] if whole else [self._over(first, last)]
        middle = first + _split(last - first)
        if old <= middle:
            return [*self._consistency(old, first, middle, whole=whole), self._over(middle, last)]
        return [*self._consistency(old, middle, last, whole=False), self._over(first, middle)]

    def growing(self, size: int) -> Growing:
        """Give the tree of the first `size` leaves, to go on from. Raises MissingError."""
        peaks: list[bytes] = []
        first = 0
        for digit in reversed(range(size.bit_length())):
            if size >> digit & 1:
                peaks.append(self._over(first, first + (1 << digit)))
                first += 1 << digit
        return Growing(size, peaks)

    def _over(self, first: int, last: int) -> bytes:
        """Give the root over the leaves from `first` up to `last`, a subtree of the whole."""
        found = self._known.get((first, last))
        if found is None:
            if len(self._known) >= KNOWN:
                self._known.clear()
            found = self._known[first, last] = self._hash(first, last)
        return found

    def _hash(self, first: int, last: int) -> bytes:
        count = last - first
        if count <= WIDTH:
            tile = self._tile(1, first // WIDTH) if count == WIDTH else None
            return root_of(list(leaves(self._db, first + 1, last))) if tile is None else tile
        level, width = 1, WIDTH
        while width * WIDTH <= count:
            level, width = level + 1, width * WIDTH
        if count == width:
            tile = self._tile(level, first // width)
            if tile is not None:
                return tile
        middle = first + _split(count)
        return node(self._over(first, middle), self._over(middle, last))

    def _tile(self, level: int, n: int) -> bytes | None:
        row = self._db.execute("SELECT hash FROM tiles WHERE level = ? AND n = ?", (level, n)).fetchone()
        return None if row is None else bytes(row[0])


def _split(count: int) -> int:
    """Give the greatest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def verify_inclusion(leaf: bytes, at: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether `proof` shows that `leaf` is leaf `at` of `size` under `root` (RFC 9162, 2.1.3.2)."""
    if not 0 <= at < size:
        return False
    here, last, whole = at, size - 1, leaf
    for other in proof:
        if last == 0:
            return False
        if here & 1 or here == last:
            whole = node(other, whole)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            whole = node(whole, other)
        here, last = here >> 1, last >> 1
    return last == 0 and whole == root


def verify_consistency(old: int, size: int, proof: Sequence[bytes], old_root: bytes, root: bytes) -> bool:
    """Tell whether `proof` shows that what `root` stands for begins with what `old_root` stands for (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= size:
        return False
    if old == size:
        return not proof and old_root == root
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        return False
    here, last = old - 1, size - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    before = after = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            before, after = node(other, before), node(other, after)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            after = node(after, other)
        here, last = here >> 1, last >> 1
    return last == 0 and before == old_root and after == root
