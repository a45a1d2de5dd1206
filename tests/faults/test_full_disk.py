"""A disk that is full, for real: the application goes on, what was acknowledged stays, and what was lost is owned up to."""

import pytest

import counterfoil
from acknowledged import assert_the_counts_agree, assert_what_was_told_is_there_once
from counterfoil.store.errors import StoreError
from counterfoil.store.ingest import Drainer
from mounted import Memory, mounting

pytestmark = [mounting, pytest.mark.slow]


@pytest.fixture
def memory(tmp_path):
    made = Memory(tmp_path / "memory", 2_000)
    yield made
    made.close()


@pytest.fixture
def db(memory):
    return memory.folder / "x.db"


@pytest.mark.parametrize("drained", ["", "drain"], ids=["tapes alone", "while it drains"])
@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_full_disk_costs_what_it_has_no_room_for_and_nothing_before_or_after(
    db, memory, doomed, drained, durability
):
    process = doomed(drained, "may lose", COUNTERFOIL_DURABILITY=durability)
    process.read_until_lost(200)
    memory.resize(100_000)
    process.read(1_000)
    process.kill()
    with counterfoil.open(db) as store:
        assert_what_was_told_is_there_once(store, process)
        assert_the_counts_agree(store)
        assert "counterfoil.tape" in {one.place for one in store.troubles()}


def test_a_store_that_has_no_room_says_so_in_a_sentence_and_leaves_the_tapes_until_it_has(db, memory, doomed):
    process = doomed("may lose")
    process.read_until_lost(1)
    process.kill()
    with pytest.raises(StoreError, match="the disk is full"), Drainer(db) as drainer:
        drainer.drain()
    memory.resize(100_000)
    with counterfoil.open(db) as store:
        assert_what_was_told_is_there_once(store, process)
        assert_the_counts_agree(store)
