"""From tapes to the store: exactly once, whatever the tapes look like."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from counterfoil.events import Head, Text, encode
from counterfoil.store import ingest, schema, seal, tapes
from counterfoil.store.errors import StoreError
from handmade_tape import T0, Tape, run_id, step_id


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "x.db"


def drain(path: Path, **options) -> ingest.Drained:
    with ingest.Drainer(path) as drainer:
        return drainer.drain(**options)


def rows(path: Path, query: str) -> list[tuple]:
    db = sqlite3.connect(path)
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def statuses(path: Path) -> list[str]:
    return [row[0] for row in rows(path, "SELECT status FROM steps ORDER BY step_id")]


def one_run(tape: Tape, n: int = 1) -> None:
    tape.start(run_id(n), step_id(n), t=T0 + n * 10, name="agent", agent="a")
    tape.end(run_id(n), step_id(n), t=T0 + n * 10 + 5)


def test_a_second_drain_finds_nothing_new(path):
    tape = Tape(path)
    one_run(tape)
    assert drain(path).events == 3
    assert drain(path) == ingest.Drained(0, 0, busy=False)
    assert rows(path, "SELECT count(*) FROM events") == [(3,)]


def test_a_line_without_its_end_waits_for_the_rest(path):
    tape = Tape(path)
    line = tape.line("start", t=T0 + 1, run=run_id(1), step=step_id(1), kind="agent")
    tape.raw(line[:40])
    assert drain(path).left_bytes == 40
    tape.raw(line[40:])
    assert drain(path) == ingest.Drained(1, 0, busy=False)
    assert statuses(path) == ["running"]


def test_the_torn_last_line_of_a_dead_writer_is_set_aside_and_its_tape_goes(path):
    tape = Tape(path)
    one_run(tape)
    tape.raw(b'{"k":"start","t":1')
    tape.let_go()
    drain(path)
    assert rows(path, "SELECT reason, CAST(raw AS TEXT) FROM quarantine") == [
        ("the last line is torn", '{"k":"start","t":1')
    ]
    assert not tape.path.exists()


GARBAGE = {
    "bytes": b"\x00\xff\xfe garbage",
    "a number": b"42",
    "wrong types": b'{"k":"start","t":"soon","q":1,"run":"r","step":"s"}',
    "no step": b'{"k":"start","t":1,"q":1}',
    "too few parts": b'{"k":"start","t":1,"q":1,"run":"r","step":"s","parts":["text","input"]}\t{}',
    "a text that is none": b'{"k":"start","t":1,"q":1,"run":"r","step":"s","parts":["text"]}\t{"name":7}',
    "a body that is no text": b'{"k":"start","t":1,"q":1,"run":"r","step":"s","parts":["input"]}\t"\xff"',
    "a number beyond 64 bits": b'{"k":"end","t":1,"q":1,"run":"r","step":"s","input_tokens":99999999999999999999}',
    "a time beyond 64 bits": b'{"k":"end","t":99999999999999999999,"q":1,"run":"r","step":"s"}',
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_in_the_middle_costs_itself_alone(path, garbage):
    tape = Tape(path)
    one_run(tape, 1)
    tape.raw(garbage + b"\n")
    one_run(tape, 2)
    assert drain(path) == ingest.Drained(5, 0, busy=False)
    assert statuses(path) == ["ok", "ok"]
    assert rows(path, "SELECT raw FROM quarantine") == [(garbage,)]


def test_an_empty_line_is_nothing(path):
    tape = Tape(path)
    tape.raw(b"\n\n")
    one_run(tape)
    assert drain(path).events == 3
    assert rows(path, "SELECT count(*) FROM quarantine") == [(0,)]


def test_an_event_of_an_unknown_kind_is_kept_and_builds_nothing(path):
    tape = Tape(path)
    tape.event("from_the_future", t=T0)
    assert drain(path).events == 2
    assert rows(path, "SELECT kind FROM events WHERE seq = 2") == [("from_the_future",)]


def test_a_tape_that_is_garbage_from_its_first_byte_stops_no_other(path):
    good = Tape(path)
    one_run(good)
    bad = good.folder / "0000000000000000-1-abcdef.000001.tape"
    bad.write_bytes(os.urandom(1000).replace(b"\n", b" ") + b"\n" + b"x" * 10)
    drain(path)
    assert statuses(path) == ["ok"]
    assert rows(path, "SELECT count(*) FROM quarantine") == [(2,)]


def test_a_line_longer_than_a_batch_is_read_whole(path, monkeypatch):
    monkeypatch.setattr(ingest, "BATCH_BYTES", 1000)
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0, input="x" * 50_000)
    drain(path)
    assert rows(path, "SELECT length(input) FROM steps") == [(50_002,)]


def test_a_flood_without_a_line_end_is_set_aside_in_pieces(path, monkeypatch):
    monkeypatch.setattr(ingest, "BATCH_BYTES", 1000)
    monkeypatch.setattr(ingest, "LINE_BYTES", 4000)
    tape = Tape(path)
    tape.raw(b"x" * 10_000 + b"\n")
    one_run(tape)
    assert drain(path).left_bytes == 0
    assert statuses(path) == ["ok"]
    assert rows(path, "SELECT sum(length(raw)) FROM quarantine") == [(10_000,)]


def test_a_tape_of_a_newer_format_is_left_in_place_and_reported(path):
    other = Tape(path)
    one_run(other)
    tape = Tape(path)
    newer = tape.folder / "0000000000000000-1-abcdef.000001.tape"
    newer.write_bytes(b'{"k":"open","t":1,"q":1,"format":2,"new_field":{"x":1}}\n')
    drained = drain(path)
    assert len(drained.notices) == 1
    assert "newer Counterfoil" in drained.notices[0]
    assert drained.left_bytes == newer.stat().st_size
    assert statuses(path) == ["ok"]


def test_the_folder_may_be_deleted_under_a_drainer(path):
    tape = Tape(path)
    one_run(tape)
    with ingest.Drainer(path) as drainer:
        assert drainer.drain().events == 3
        shutil.rmtree(tape.folder)
        assert drainer.drain().events == 0
        path.unlink()
        again = Tape(path)
        one_run(again, 2)
        assert drainer.drain().events == 3
    assert statuses(path) == ["ok"]


def test_a_closed_segment_goes_once_it_is_drained_and_the_newest_stays_while_its_writer_lives(path):
    tape = Tape(path)
    one_run(tape, 1)
    first = tape.path
    tape.rotate()
    one_run(tape, 2)
    drain(path)
    assert not first.exists()
    assert tape.path.exists()
    assert statuses(path) == ["ok", "ok"]


def test_a_segment_is_kept_while_a_write_to_it_may_still_be_under_way(path):
    """Between the new segment's appearance and the release of the old one, a thread may still write to the old."""
    tape = Tape(path)
    one_run(tape, 1)
    old_fd, first = os.dup(tape.fd), tape.path
    tape.rotate()
    drain(path)
    assert first.exists()
    line = tape.line("start", t=T0 + 99, run=run_id(2), step=step_id(2), kind="agent")
    os.write(old_fd, line)
    os.close(old_fd)
    drain(path)
    assert not first.exists()
    assert statuses(path) == ["ok", "running"]


def test_numbers_given_to_messages_hold_in_later_segments(path):
    tape = Tape(path)
    hello = {"role": "user", "parts": [{"type": "text", "content": "hello"}]}
    tape.start(run_id(1), step_id(1), t=T0, kind="llm", messages=[hello])
    drain(path)
    tape.rotate()
    tape.start(run_id(1), step_id(2), t=T0 + 1, kind="llm", messages=[hello])
    drain(path)
    assert rows(path, "SELECT content FROM messages") == [("hello",), ("hello",)]


def test_a_tape_goes_with_its_process_when_that_ended_in_good_order(path):
    tape = Tape(path)
    one_run(tape)
    tape.exit(t=T0 + 100)
    drain(path)
    assert not tape.path.exists()
    assert rows(path, "SELECT alive, ended_ns FROM processes") == [(0, T0 + 100)]


def test_steps_of_a_dead_process_are_interrupted_at_its_last_event(path):
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0 + 1)
    tape.start(run_id(1), step_id(2), t=T0 + 2, parent=step_id(1), kind="tool")
    drain(path)
    assert statuses(path) == ["running", "running"]
    tape.let_go()
    drain(path)
    assert rows(path, "SELECT status, ended_ns FROM steps") == [("interrupted", T0 + 2)] * 2
    assert rows(path, "SELECT alive, gone FROM processes") == [(0, 1)]
    assert not tape.path.exists()


def test_a_late_end_wins_over_a_death_that_was_found(path):
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0 + 1)
    tape.let_go()
    drain(path)
    other = Tape(path)
    other.end(run_id(1), step_id(1), t=T0 + 5)
    drain(path)
    assert rows(path, "SELECT status, ended_ns FROM steps") == [("ok", T0 + 5)]


def test_steps_left_open_by_a_process_that_ended_in_good_order_are_interrupted(path):
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0 + 1)
    tape.exit(t=T0 + 9)
    drain(path)
    assert rows(path, "SELECT status, ended_ns FROM steps") == [("interrupted", T0 + 9)]


def test_a_question_to_a_human_outlives_the_process_when_its_run_had_ended(path):
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0 + 1, kind="workflow")
    tape.start(run_id(1), step_id(2), t=T0 + 2, parent=step_id(1), kind="human")
    tape.end(run_id(1), step_id(1), t=T0 + 3)
    tape.start(run_id(2), step_id(3), t=T0 + 4, kind="workflow")
    tape.start(run_id(2), step_id(4), t=T0 + 5, parent=step_id(3), kind="human")
    tape.let_go()
    drain(path)
    assert statuses(path) == ["ok", "waiting", "interrupted", "interrupted"]
    assert rows(path, "SELECT status FROM runs ORDER BY run_id") == [("waiting",), ("interrupted",)]


@pytest.mark.parametrize("early", [True, False], ids=["read at once", "read later"])
def test_a_question_goes_with_its_process_when_that_ended_before_its_run_whenever_the_tapes_are_read(
    path, early
):
    asked, root = Tape(path), Tape(path)
    root.start(run_id(1), step_id(1), t=T0 + 1, kind="workflow")
    asked.start(run_id(1), step_id(2), t=T0 + 2, parent=step_id(1), kind="human")
    asked.exit(t=T0 + 3)
    if early:
        drain(path)
    root.end(run_id(1), step_id(1), t=T0 + 4)
    drain(path)
    assert statuses(path) == ["ok", "interrupted"]


def test_a_segment_in_use_or_unread_stops_its_writer_from_being_taken_for_dead(path):
    """The lock is tried before the listing is read again: a writer that rotated meanwhile is alive."""
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0 + 1)
    first = tape.path
    tape.rotate()
    first_only = [segment for segment in tapes.listing(str(tape.folder)) if segment.path == str(first)]
    with pytest.MonkeyPatch.context() as patch:
        true_listing = tapes.listing
        answers = iter([first_only])
        patch.setattr(tapes, "listing", lambda folder: next(answers, None) or true_listing(folder))
        drain(path)
    assert statuses(path) == ["running"]


@pytest.mark.parametrize(
    "origin",
    [{"boot": "another"}, {"boot": "another", "host": "elsewhere"}, {"boot": None, "machine": "another"}],
    ids=["another boot of an unknown machine", "another host", "another machine"],
)
def test_another_hosts_silence_is_not_death(path, origin):
    origin = {"machine": "unknown", **origin}
    tape = Tape(path, **origin)
    tape.start(run_id(1), step_id(1), t=T0 + 1)
    tape.let_go()
    drain(path)
    assert statuses(path) == ["running"]
    assert tape.path.exists()
    assert rows(path, "SELECT alive FROM processes") == [(1,)]


def test_after_a_restart_of_this_machine_what_ran_before_is_dead(path, monkeypatch):
    here = tapes.Origin("this-host", "boot now", "machine 1")
    monkeypatch.setattr(tapes, "origin", lambda: here)
    tape = Tape(path, boot="boot before", host="this-host", machine="machine 1")
    tape.start(run_id(1), step_id(1), t=T0 + 1)
    tape.let_go()
    drain(path)
    assert statuses(path) == ["interrupted"]


def test_after_a_restart_nothing_is_dead_on_a_network_file_system(path, monkeypatch):
    here = tapes.Origin("this-host", "boot now", "machine 1")
    monkeypatch.setattr(tapes, "origin", lambda: here)
    monkeypatch.setattr(tapes, "is_local", lambda folder: False)
    tape = Tape(path, boot="boot before", host="this-host", machine="machine 1")
    tape.start(run_id(1), step_id(1), t=T0 + 1)
    tape.let_go()
    drain(path)
    assert statuses(path) == ["running"]


def test_a_segment_that_was_never_finished_making_is_swept_away_when_old(path):
    tape = Tape(path)
    old, young = tape.folder / "a.000001.new", tape.folder / "b.000001.new"
    old.touch()
    young.touch()
    os.utime(old, (time.time() - 3600, time.time() - 3600))
    drain(path)
    assert not old.exists()
    assert young.exists()


def test_only_one_drains_at_a_time(path):
    tape = Tape(path)
    one_run(tape)
    code = (
        "import sys, filelock\n"
        "with filelock.FileLock(sys.argv[1]):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    lock = str(tape.folder / "drain.lock")
    with subprocess.Popen(
        [sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        drained = drain(path)
        holder.stdin.close()
        holder.wait()
    assert (drained.events, drained.busy, drained.left_bytes > 0) == (0, True, True)
    assert drain(path).events == 3


def test_two_threads_share_a_drainer_without_harm(path):
    tape = Tape(path)
    results = []
    with ingest.Drainer(path) as drainer:

        def work() -> None:
            results.extend(drainer.drain(wait=5).events for _ in range(20))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for n in range(1, 50):
            one_run(tape, n)
        for thread in threads:
            thread.join()
        results.append(drainer.drain().events)
    assert sum(results) == 99
    assert rows(path, "SELECT count(*) FROM runs WHERE status = 'ok'") == [(49,)]


def test_a_store_locked_by_another_program_leaves_everything_for_later(path, monkeypatch):
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.05)
    tape = Tape(path)
    drain(path)
    one_run(tape)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    drained = drain(path)
    assert (drained.events, drained.busy) == (0, True)
    other.execute("ROLLBACK")
    other.close()
    assert drain(path).events == 2


def test_a_full_disk_loses_nothing(path):
    tape = Tape(path)
    drain(path)
    for n in range(1, 200):
        tape.start(run_id(n), step_id(n), t=T0 + n, input="x" * 2000 + str(n))
    with ingest.Drainer(path) as drainer:
        drainer.drain(deadline=0)
        pages = drainer.db.execute("PRAGMA page_count").fetchone()[0]
        drainer.db.execute(f"PRAGMA max_page_count={pages + 20}")
        with pytest.raises(StoreError, match="the disk is full"):
            drainer.drain()
        assert drainer.drain().events == 199
    assert rows(path, "SELECT count(*) FROM runs") == [(199,)]


def test_at_its_deadline_a_drain_stops_and_says_what_is_left(path):
    tape = Tape(path)
    one_run(tape)
    drained = drain(path, deadline=time.monotonic() - 1)
    assert (drained.events, drained.left_bytes) == (0, tape.path.stat().st_size)
    assert drain(path).events == 3


def test_a_forked_child_drains_on_its_own_and_leaves_the_parents_drainer_alone(path):
    tape = Tape(path)
    one_run(tape, 1)
    with ingest.Drainer(path) as drainer:
        assert drainer.drain().events == 3
        one_run(tape, 2)
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if drainer.drain().events == 2 else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        one_run(tape, 3)
        assert drainer.drain().events == 2
    assert statuses(path) == ["ok"] * 3
    assert rows(path, "SELECT count(*) FROM quarantine") == [(0,)]


def test_store_and_lock_are_readable_by_their_owner_alone(path):
    tape = Tape(path)
    one_run(tape)
    with ingest.Drainer(path) as drainer:
        drainer.drain()
        modes = {
            file.name: oct(file.stat().st_mode & 0o777)
            for file in [*path.parent.iterdir(), tape.folder / "drain.lock"]
            if file.is_file()
        }
    assert modes == {"x.db": "0o600", "x.db-wal": "0o600", "x.db-shm": "0o600", "drain.lock": "0o600"}


def test_what_is_said_once_is_stored_once(path):
    tape = Tape(path)
    for n in range(1, 20):
        tape.start(run_id(n), step_id(n), t=T0 + n, input={"the": "same"})
    drain(path)
    assert rows(path, 'SELECT count(*) FROM payloads WHERE body = \'{"the":"same"}\'') == [(1,)]


def test_a_payloads_number_is_not_given_again_after_it_was_erased(path):
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0, input="first")
    drain(path)
    db = sqlite3.connect(path)
    erased = db.execute("SELECT payload_id FROM payloads WHERE body = '\"first\"'").fetchone()[0]
    db.execute("DELETE FROM event_payloads WHERE payload_id = ?", (erased,))
    db.execute("DELETE FROM payloads WHERE payload_id >= ?", (erased,))
    db.commit()
    assert seal.verify_chain(db) is None
    tape.start(run_id(1), step_id(2), t=T0 + 1, input="second")
    drain(path)
    assert db.execute("SELECT input FROM steps ORDER BY step_id").fetchall() == [(None,), ('"second"',)]
    db.close()


def test_events_are_neither_changed_nor_deleted_by_a_slip(path):
    tape = Tape(path)
    one_run(tape)
    drain(path)
    db = sqlite3.connect(path)
    for slip in ("DELETE FROM events", "UPDATE events SET head = '{}'"):
        with pytest.raises(sqlite3.IntegrityError, match="events are never"):
            db.execute(slip)
    db.close()


TAMPERING = {
    "a changed head": ("UPDATE events SET head = replace(head, 'ok', 'no') WHERE seq = 3", 3),
    "a changed commitment": ("UPDATE events SET commitments = zeroblob(32) WHERE seq = 2", 2),
    "a deleted event": ("DELETE FROM events WHERE seq = 2", 2),
    "a deleted tail": ("DELETE FROM events WHERE seq = 3", 3),
    "a changed text": (
        "UPDATE payloads SET body = replace(body, 'agent', 'other') WHERE body LIKE '%agent%'",
        2,
    ),
}


@pytest.mark.parametrize(("deed", "seq"), TAMPERING.values(), ids=TAMPERING.keys())
def test_tampering_shows_at_the_event_it_was_done_to(path, deed, seq):
    tape = Tape(path)
    one_run(tape)
    drain(path)
    db = sqlite3.connect(path)
    db.execute("DROP TRIGGER events_are_kept")
    db.execute("DROP TRIGGER events_stay_as_they_are")
    assert seal.verify_chain(db) is None
    db.execute(deed)
    assert seal.verify_chain(db) == seq
    db.close()


def test_the_head_is_kept_byte_for_byte(path):
    tape = Tape(path)
    raw = b'{ "k":"start" , "q":7,"t":%d,"run":"%s","step":"%s"}' % (
        T0,
        run_id(1).encode(),
        step_id(1).encode(),
    )
    tape.raw(raw + b"\n")
    drain(path)
    assert rows(path, "SELECT CAST(head AS BLOB) FROM events WHERE seq = 2") == [(raw,)]


def test_a_missing_folder_is_said_in_one_sentence(tmp_path):
    with pytest.raises(StoreError, match="the folder does not exist"):
        drain(tmp_path / "nowhere" / "x.db")


def test_a_file_that_is_no_store_is_left_as_it_is(path):
    Tape(path)
    path.write_text("my shopping list, much longer than a hundred bytes " * 20)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is not a Counterfoil store"):
        drain(path)
    assert path.read_bytes() == before


def test_another_programs_sqlite_file_is_left_as_it_is(path):
    Tape(path)
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE bookmarks(url)")
    db.commit()
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="SQLite file of another program"):
        drain(path)
    assert path.read_bytes() == before


def test_a_store_of_a_newer_schema_is_left_as_it_is(path):
    Tape(path)
    drain(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(StoreError, match="newer Counterfoil"):
        drain(path)


@pytest.mark.slow
def test_processes_that_begin_at_once_make_one_store(tmp_path):
    path = tmp_path / "x.db"
    tape = Tape(path)
    one_run(tape)
    code = "import sys; from counterfoil.store.ingest import Drainer; print(Drainer(sys.argv[1]).drain(wait=20).events)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True, env=env)
        for _ in range(4)
    ]
    said = [int(process.communicate()[0]) for process in started]
    assert sorted(said) == [0, 0, 0, 3]


def test_a_line_is_taken_for_what_it_is_after_any_prefix_of_the_file(path):
    """A drain may see the tape cut at any byte."""
    tape = Tape(path)
    whole = tape.path.read_bytes()
    for n in range(1, 4):
        line = tape.line(
            "start", t=T0 + n, run=run_id(n), step=step_id(n), kind="agent", text=Text(name="ä\t\n")
        )
        whole += line
        for at in range(len(line)):
            tape.raw(line[at : at + 1])
            if at % 37 == 0:
                drain(path)
    drain(path)
    assert rows(path, "SELECT name FROM runs") == [("ä\t\n",)] * 3
    assert rows(path, "SELECT count(*) FROM quarantine") == [(0,)]


def test_a_head_may_be_longer_than_a_hash_takes_at_once(path):
    tape = Tape(path)
    head = Head(k="start", t=T0, q=9, run=run_id(1), step=step_id(1), kind="llm", refs=tuple(range(1, 2000)))
    tape.raw(encode(head) + b"\n")
    drain(path)
    db = sqlite3.connect(path)
    assert seal.verify_chain(db) is None
    assert db.execute("SELECT count(*), count(message) FROM messages").fetchone() == (1999, 0)
    db.close()


@pytest.mark.slow
def test_a_drainer_killed_at_any_moment_neither_loses_nor_doubles(path, monkeypatch):
    monkeypatch.setattr(ingest, "BATCH_BYTES", 20_000)
    tape = Tape(path)
    written = 0
    for victim in range(12):
        for _ in range(40):
            written += 1
            tape.start(run_id(victim), step_id(written), t=T0 + written, input="x" * 1000 + str(written))
            tape.end(run_id(victim), step_id(written), t=T0 + written)
        tape.rotate()
        child = os.fork()
        if child == 0:
            try:
                with ingest.Drainer(path) as drainer:
                    drainer.drain(wait=5)
            finally:
                os._exit(0)
        time.sleep(victim * 0.003)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    drain(path)
    assert rows(path, "SELECT count(*), count(DISTINCT step_id) FROM steps WHERE status = 'ok'") == [
        (written, written)
    ]
    assert rows(path, "SELECT sum(steps), sum(open_steps) FROM runs") == [(written, 0)]
    assert rows(path, "SELECT count(*) FROM events WHERE kind = 'end'") == [(written,)]
    db = sqlite3.connect(path)
    assert seal.verify_chain(db) is None
    db.close()


def test_a_process_may_fork_while_one_of_its_threads_drains(path):
    tape = Tape(path)
    stop = threading.Event()
    drainer = ingest.Drainer(path)

    def work() -> None:
        while not stop.is_set():
            drainer.drain(wait=5)

    thread = threading.Thread(target=work)
    thread.start()
    written, children = 0, []
    for _ in range(10):
        for _ in range(20):
            written += 1
            one_run(tape, written)
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if not drainer.drain(wait=10).busy else 1)
            finally:
                os._exit(2)
        children.append(child)
    exits = [os.waitpid(child, 0)[1] for child in children]
    stop.set()
    thread.join()
    with drainer:
        drainer.drain()
    assert exits == [0] * 10
    assert rows(path, "SELECT count(*) FROM runs WHERE status = 'ok'") == [(written,)]
    assert rows(path, "SELECT count(*) FROM quarantine") == [(0,)]


def test_a_line_behind_a_torn_one_is_there_and_the_torn_one_is_set_aside(path):
    """A full disk cuts one thread's line short; another's fits behind it, before the first can end its own."""
    tape = Tape(path)
    one_run(tape, 1)
    torn = tape.line(
        "start", t=T0, run=run_id(7), step=step_id(7), kind="tool", bodies={"input": {"k": "start"}}
    )
    for cut in (10, len(torn) - 5):
        tape.raw(torn[:cut])
        one_run(tape, cut)
    assert drain(path).events == 7
    assert statuses(path) == ["ok"] * 3
    assert rows(path, "SELECT raw FROM quarantine") == [(torn[:10],), (torn[: len(torn) - 5],)]
