"""The tree over the leaves is RFC 6962's, however it is made; proofs prove what they say and nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.store import schema, tree
from counterfoil.store.tree import Growing, MissingError, Tree, verify_consistency, verify_inclusion


def defined(hashes: list[bytes]) -> bytes:
    """The RFC's own words: MTH(D[n]) = SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n]))."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return sha256(b"\x01" + defined(hashes[:k]) + defined(hashes[k:])).digest()


def some(count: int) -> list[bytes]:
    return [sha256(b"\x00" + str(at).encode()).digest() for at in range(count)]


#: Root over the eight leaves of the test vectors that come with RFC 6962's reference implementation.
VECTORS = [b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"\x40\x41\x42\x43", bytes(range(0x50, 0x58)), bytes(range(0x60, 0x70))]  # fmt: skip
ROOT = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_the_known_vectors_have_their_root():
    assert tree.root_of([sha256(b"\0" + data).digest() for data in VECTORS]).hex() == ROOT


@given(st.integers(0, 700))
def test_a_root_is_what_the_rfc_defines(size):
    hashes = some(size)
    growing = Growing()
    for leaf in hashes:
        growing.add(leaf)
    assert tree.root_of(hashes) == growing.root() == defined(hashes)


@pytest.fixture(scope="module")
def store():
    """A store with the leaves of `some(70_000)`: enough for two levels of tiles."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for migration in schema.MIGRATIONS:
            migration(db)
        db.executemany("INSERT INTO pruned(seq, leaf) VALUES (?, ?)", enumerate(some(70_000), 1))
        tree.extend(db, 69_900)
        yield db


def test_full_subtrees_are_kept(store):
    assert store.execute("SELECT level, count(*) FROM tiles GROUP BY 1").fetchall() == [(1, 273), (2, 1)]


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 69_900, 70_000])
def test_a_root_made_of_tiles_is_the_root(store, size):
    assert Tree(store).root(size) == tree.root_of(some(size))


@pytest.mark.parametrize("size", [0, 1, 255, 256, 300, 65_536, 69_999])
def test_a_tree_made_of_tiles_grows_on(store, size):
    growing = Tree(store).growing(size)
    for leaf in tree.leaves(store, size + 1, 70_000):
        growing.add(leaf)
    assert growing.root() == tree.root_of(some(70_000))


@settings(max_examples=40)
@given(st.data())
def test_a_proof_of_inclusion_shows_that_leaf_at_that_place_alone(store, data):
    size = data.draw(st.integers(1, 70_000))
    at = data.draw(st.integers(0, size - 1))
    hashes = some(size)
    root = Tree(store).root(size)
    proof = Tree(store).inclusion(at, size)
    assert verify_inclusion(hashes[at], at, size, proof, root)
    other = data.draw(st.integers(0, size - 1).filter(lambda one: one != at)) if size > 1 else size
    assert not verify_inclusion(hashes[at], other, size, proof, root)
    assert not verify_inclusion(b"x" * 32, at, size, proof, root)
    assert not verify_inclusion(hashes[at], at, size, [*proof, root], root)


@settings(max_examples=40)
@given(st.data())
def test_a_proof_of_consistency_shows_that_nothing_before_has_changed(store, data):
    size = data.draw(st.integers(1, 70_000))
    old = data.draw(st.integers(1, size))
    before, after = Tree(store).root(old), Tree(store).root(size)
    proof = Tree(store).consistency(old, size)
    assert verify_consistency(old, size, proof, before, after)
    assert not verify_consistency(old, size, proof, b"x" * 32, after)
    assert not verify_consistency(old, size, proof, before, b"x" * 32)


def test_an_event_that_is_missing_is_named(store):
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for migration in schema.MIGRATIONS:
            migration(db)
        db.executemany("INSERT INTO pruned(seq, leaf) VALUES (?, ?)", [(1, b"a"), (3, b"c")])
        with pytest.raises(MissingError) as missing:
            Tree(db).root(3)
        assert missing.value.seq == 2
        with pytest.raises(MissingError) as missing:
            list(tree.leaves(db, 1, 1)) and list(tree.leaves(db, 3, 4))
        assert missing.value.seq == 4
