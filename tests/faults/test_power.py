"""`durability="power"`: what a call of the recorder has returned from outlives a loss of power.

The disk is an ext4 file system in a file: a copy of that file, taken while nobody runs, is what the loss of power leaves.
"""

import sqlite3
from collections import Counter
from contextlib import closing

import pytest

import counterfoil
from acknowledged import assert_the_counts_agree, assert_what_was_told_is_there_once, missing
from counterfoil.store.seal import verify_chain
from mounted import Disk, mounting

pytestmark = [mounting, pytest.mark.slow]


@pytest.fixture
def disk(tmp_path):
    made = Disk.made(tmp_path / "disk.img")
    yield made
    made.close()


@pytest.fixture
def lose_power(disk, tmp_path):
    """Give a function that gives the disk as a loss of power would leave it now, and what `process` had acknowledged."""
    left = []

    def lose(process):
        process.stop()
        told = Counter(process.told)
        left.append(disk.after_power_loss(tmp_path / f"left {len(left)}.img"))
        process.go_on()
        return left[-1], told

    yield lose
    for one in left:
        one.close()


@pytest.fixture
def db(disk):
    return disk.folder / "x.db"


def assert_it_outlived(left, process, told):
    path = left.folder / "x.db"
    with counterfoil.open(path) as store:
        assert_what_was_told_is_there_once(store, process, told)
        assert_the_counts_agree(store)
    with closing(sqlite3.connect(path)) as connection:
        assert verify_chain(connection) is None


@pytest.mark.parametrize("moments", [3, pytest.param(100, marks=pytest.mark.stress)])
@pytest.mark.parametrize("drained", ["", "drain"], ids=["tapes alone", "while it drains"])
def test_nothing_acknowledged_is_lost_with_power_at_any_moment(doomed, lose_power, moments, drained):
    process = doomed(drained, COUNTERFOIL_DURABILITY="power")
    for moment in range(moments):
        process.read(1 if moment == 0 else 150)
        left, told = lose_power(process)
        assert_it_outlived(left, process, told)
        left.close()  # or there would be a hundred
    process.kill()


def test_a_tape_goes_only_when_its_events_are_on_the_disk_even_beside_a_reader(db, doomed, lose_power):
    """A reader in an old transaction keeps SQLite from a checkpoint, and so from syncing anything."""
    process = doomed("drain", COUNTERFOIL_DURABILITY="power")
    process.read(100)
    with counterfoil.open(db, drain=False):  # made by now
        pass
    with closing(sqlite3.connect(db)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        segments = {one.name for one in db.with_name("x.db.tape").glob("*.tape")}
        while segments & {one.name for one in db.with_name("x.db.tape").glob("*.tape")}:
            process.read(20)
        left, told = lose_power(process)
    assert_it_outlived(left, process, told)
    process.kill()


def test_by_default_the_process_alone_may_be_lost_so_this_experiment_can_fail(disk, doomed, lose_power):
    process = doomed()
    process.read(300)
    left, told = lose_power(process)
    path = left.folder / "x.db"
    if left.folder.joinpath("x.db.tape").exists():
        with counterfoil.open(path) as store:
            assert missing(store, process.pid, told) != {}
    process.kill()
    with counterfoil.open(disk.folder / "x.db") as store:
        assert_what_was_told_is_there_once(store, process)


def test_a_disk_that_turns_read_only_keeps_what_was_acknowledged_and_leaves_the_app_undisturbed(
    disk, db, doomed
):
    process = doomed("drain", "may lose", COUNTERFOIL_DURABILITY="power")
    process.read(300)
    process.stop()  # of a sync under way in that very moment ext4 says that all is well
    disk.turn_read_only()
    process.go_on()
    process.read_until_lost(100)
    process.kill()
    disk.repair()
    assert_it_outlived(disk, process, process.told)
