"""`durability="power"` on the tape: a line is on the disk when its write returns, and threads share the syncs."""

import errno
import os
import threading
import time

import pytest

import child
from counterfoil import disk, guard, tape
from counterfoil.tape import Tape
from tape_reading import segments
from tape_writing import counts, put


@pytest.fixture
def db(tmp_path):
    return tmp_path / "x.db"


@pytest.fixture
def written(db):
    made = Tape(str(db), lambda: None)
    yield made
    made.close()


@pytest.fixture
def syncs(monkeypatch):
    """What was brought to the disk, in order: the sizes of files, the names of folders."""
    told = []
    fdatasync, fsync = os.fdatasync, os.fsync

    def sync_file(fd):
        fdatasync(fd)
        told.append(os.fstat(fd).st_size)

    def sync_folder(fd):
        fsync(fd)
        told.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))

    monkeypatch.setattr(disk, "_fdatasync", sync_file)
    monkeypatch.setattr(os, "fsync", sync_folder)
    return told


def test_by_default_nothing_waits_for_the_disk(written, syncs):
    put(written, 1)
    assert (written.durability, syncs) == ("process", [])


def test_with_power_a_line_is_on_the_disk_when_its_write_returns_and_so_are_the_names_of_its_file_and_folder(
    db, written, syncs
):
    written.outlive_power()
    for number in range(3):
        put(written, number)
        assert syncs[-1] == segments(db)[0].stat().st_size
    assert syncs[:2] == ["x.db.tape", db.parent.name]
    assert len(syncs) == 5
    assert written.durability == "power"


def test_with_power_each_segment_is_on_the_disk_before_the_next_takes_its_place(
    db, written, syncs, monkeypatch
):
    written.outlive_power()
    put(written, 1, size=500)
    first = segments(db)[0]
    monkeypatch.setattr(tape, "ROTATE_BYTES", 1)
    put(written, 2)
    assert first.stat().st_size in syncs
    assert syncs.count("x.db.tape") == 2


def test_with_power_a_tape_that_is_closed_has_its_last_line_on_the_disk(db, written, syncs):
    written.outlive_power()
    put(written, 1)
    written.close()
    assert syncs[-1] == segments(db)[0].stat().st_size


def test_power_asked_for_later_brings_the_names_to_the_disk_at_once(db, written, syncs):
    put(written, 1)
    written.outlive_power()
    assert syncs == ["x.db.tape", db.parent.name]
    written.outlive_power()
    assert len(syncs) == 2


def test_threads_that_write_during_a_sync_share_the_next(db, written, monkeypatch):
    written.outlive_power()
    put(written, 0)
    begun, go_on, syncs = threading.Event(), threading.Event(), []
    fdatasync = os.fdatasync

    def slow(fd):
        syncs.append(fd)
        begun.set()
        assert go_on.wait(child.SECONDS)
        fdatasync(fd)

    monkeypatch.setattr(disk, "_fdatasync", slow)
    threads = [threading.Thread(target=put, args=(written, number)) for number in range(1, 9)]
    threads[0].start()
    assert begun.wait(child.SECONDS)
    for one in threads[1:]:
        one.start()
    while len(counts(db)) < 9:
        time.sleep(0.001)
    go_on.set()
    for one in threads:
        one.join()
    assert len(syncs) == 2
    assert sorted(counts(db)) == list(range(9))


def test_a_sync_that_fails_is_told_to_all_whose_lines_it_was_to_bring_to_the_disk(db, written, monkeypatch):
    """The kernel tells a failure once: the next sync of the same file says that all is well."""
    written.outlive_power()
    put(written, 0)
    begun, go_on = threading.Event(), threading.Event()
    fdatasync, failing = os.fdatasync, [False, True]

    def sync(fd):
        begun.set()
        assert go_on.wait(child.SECONDS)
        if failing and failing.pop(0):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fdatasync(fd)

    monkeypatch.setattr(disk, "_fdatasync", sync)
    taken = {}

    def write(number):
        taken[number] = put(written, number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    threads[0].start()
    assert begun.wait(child.SECONDS)
    for one in threads[1:]:
        one.start()
    while len(counts(db)) < 5:
        time.sleep(0.001)
    with written._syncing.paused():  # all have their tickets
        go_on.set()
    for one in threads:
        one.join()
    assert taken == {0: True, 1: False, 2: False, 3: False}
    assert put(written, 4)
    assert guard.counted()[f"the tape {written.folder}"] == 1


def test_with_power_eight_threads_lose_nothing_while_segments_rotate(db, written, monkeypatch):
    monkeypatch.setattr(tape, "ROTATE_BYTES", 2_000)
    written.outlive_power()

    def write(first):
        for number in range(first, first + 40):
            assert put(written, number, size=200)

    threads = [threading.Thread(target=write, args=(first * 40,)) for first in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(segments(db)) > 20
    assert sorted(counts(db)) == list(range(320))


def test_with_power_a_folder_whose_names_cannot_reach_the_disk_takes_no_event(db, written, monkeypatch):
    def fail(fd):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    written.outlive_power()
    assert not put(written, 1)
    assert segments(db) == []
    assert guard.counted()[f"the tape {db}.tape"] == 1
