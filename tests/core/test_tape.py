"""The tape: what the kernel has accepted is there, whatever happens to the process, the disk or the folder."""

import errno
import fcntl
import json
import os
import shutil
import stat
import tempfile
import threading
import time
from pathlib import Path

import pytest

import child
from counterfoil import guard, tape
from counterfoil.events import FORMAT
from counterfoil.tape import Tape
from tape_reading import lines, segments
from tape_writing import counts, line, put


@pytest.fixture
def db(tmp_path):
    return tmp_path / "x.db"


@pytest.fixture
def writers():
    """How often each tape of a test told that it began anew."""
    return []


@pytest.fixture
def written(db, writers):
    made = Tape(str(db), lambda: writers.append(1))
    yield made
    made.close()


def is_locked(path):
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def at_once(written):
    """Have the tape look after its descriptor at the next event, as it does every second."""
    written._checked_at = -1e9


# -- format


def test_a_line_is_a_head_and_its_parts_behind_tabs(db, written):
    put(written, 7, size=3)
    (_, content) = segments(db)[0].read_bytes().splitlines()
    head, *parts = content.split(b"\t")
    assert json.loads(head) == {
        "k": "trouble",
        "t": json.loads(head)["t"],
        "q": 7,
        "count": 7,
        "parts": ["payload"],
    }
    assert parts == [b'"xxx"']


def test_every_segment_begins_with_where_it_comes_from(db, written):
    put(written, 1)
    (opening,) = lines(db, "open")
    assert (opening.head.format, opening.head.pid, opening.head.segment) == (FORMAT, os.getpid(), 1)
    assert opening.text.writer == written.writer
    assert opening.text.host == os.uname().nodename
    assert opening.text.boot
    assert set(opening.text.versions) == {"counterfoil", "python"}


def test_a_tape_is_named_by_its_age_its_pid_and_chance(db, written):
    put(written, 1)
    age, pid, chance = written.writer.split("-")
    assert abs(int(age, 16) - time.time_ns()) < 60 * 10**9
    assert (len(age), int(pid), len(chance)) == (16, os.getpid(), 6)
    assert segments(db)[0].name == f"{written.writer}.000001.tape"


def test_nobody_else_may_read_tapes_and_git_leaves_them_alone(db, written):
    put(written, 1)
    folder = segments(db)[0].parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(segments(db)[0].stat().st_mode) == 0o600
    assert (folder / ".gitignore").read_text() == "*\n"


def test_nothing_is_written_before_the_first_event(db):
    Tape(str(db), lambda: None)
    assert not list(db.parent.iterdir())


# -- the lock tells that the process lives


def test_the_newest_segment_is_locked_as_long_as_its_process_lives(db, written):
    put(written, 1)
    assert is_locked(segments(db)[0])
    written.close()
    assert not is_locked(segments(db)[0])


def test_a_segment_in_the_making_has_another_name_until_it_is_locked(db, written, monkeypatch):
    seen = []
    rename = os.rename

    def look(making, final):
        seen.append((os.path.basename(making), os.path.basename(final), segments(db)))
        with open(making, "rb") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        rename(making, final)

    monkeypatch.setattr(os, "rename", look)
    put(written, 1)
    assert seen == [(f"{written.writer}.000001.new", f"{written.writer}.000001.tape", [])]


def test_a_closed_tape_says_that_its_process_ended_in_good_order(db, written):
    put(written, 1)
    written.close()
    assert [one.head.k for one in lines(db)] == ["open", "trouble", "exit"]


def test_an_event_after_the_close_begins_another_tape(db, written, writers):
    put(written, 1)
    first = written.writer
    written.close()
    put(written, 2)
    assert written.writer not in {"", first}
    assert len(writers) == 2
    assert counts(db) == [1, 2]


def test_a_line_made_for_one_writer_never_goes_to_another(db, written):
    writer = written.begin()
    written.close()
    written.begin()
    assert not written.write(line(1), writer)
    assert counts(db) == []


def test_the_descriptor_of_a_closed_tape_is_not_given_to_the_host_while_a_thread_may_write_to_it(db, written):
    put(written, 1)
    number = written._open[0]
    written.close()
    with open(os.devnull, "rb") as hosts:
        assert hosts.fileno() != number
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(number, b"late")


# -- rotation


def test_a_segment_is_followed_by_the_next_when_it_is_large(db, written, monkeypatch):
    monkeypatch.setattr(tape, "ROTATE_BYTES", 1000)
    for number in range(20):
        put(written, number, size=100)
    assert len(segments(db)) > 2
    assert [is_locked(one) for one in segments(db)] == [False] * (len(segments(db)) - 1) + [True]
    assert [one.head.segment for one in lines(db, "open")] == list(range(1, len(segments(db)) + 1))
    assert counts(db) == list(range(20))


def test_a_segment_is_followed_by_the_next_when_it_is_old(db, written, monkeypatch):
    put(written, 1)
    monkeypatch.setattr(tape, "ROTATE_SECONDS", -1)
    at_once(written)
    put(written, 2)
    assert len(segments(db)) == 2


def test_eight_threads_lose_nothing_while_segments_rotate(db, written, monkeypatch):
    monkeypatch.setattr(tape, "ROTATE_BYTES", 5_000)
    each = 400

    def write(first):
        for number in range(first, first + each):
            assert put(written, number, size=200)

    threads = [threading.Thread(target=write, args=(first * each,)) for first in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(segments(db)) > 50
    assert sorted(counts(db)) == list(range(8 * each))
    assert {one.writer for one in lines(db)} == {written.writer}


def test_a_segment_that_cannot_be_followed_goes_on(db, written, monkeypatch):
    put(written, 1)
    monkeypatch.setattr(tape, "ROTATE_BYTES", 1)
    monkeypatch.setattr(
        os, "rename", lambda *_: (_ for _ in ()).throw(OSError(errno.EDQUOT, "no more files"))
    )
    assert put(written, 2)
    assert put(written, 3)
    assert guard.counted()[f"the tape {db}.tape"] == 1
    assert counts(db) == [1, 2, 3]
    assert not list(segments(db)[0].parent.glob("*.new"))


# -- fork


def test_a_forked_child_writes_its_own_tape_and_leaves_the_parent_its_lock(db, written):
    put(written, 1)
    parents = written.writer
    pid = os.fork()
    if pid == 0:
        put(written, 2)
        os._exit(0 if written.writer not in {"", parents} else 1)
    assert os.waitpid(pid, 0)[1] == 0
    put(written, 3)
    assert written.writer == parents
    assert [one.head.count for one in lines(db, "trouble") if one.writer == parents] == [1, 3]
    assert sorted(counts(db)) == [1, 2, 3]


def test_forks_in_the_midst_of_writing_and_rotating_lose_nothing(db):
    code = """
        import os, sys, threading
        from counterfoil import ids, tape
        from counterfoil.events import Head, encode

        tape.ROTATE_BYTES = 3000
        made = tape.Tape(sys.argv[1], lambda: None)
        def put(number):
            line = encode(Head(k="trouble", t=ids.now_ns(), q=1, count=number)) + b"\\n"
            assert made.write(line, made.begin())
        stop = threading.Event()
        written = [0]
        def keep_writing():
            while not stop.is_set():
                put(written[0])
                written[0] += 1
        threads = [threading.Thread(target=keep_writing)]
        threads[0].start()
        for child in range(20):
            pid = os.fork()
            if pid == 0:
                for number in range(25):
                    put(1_000_000 + child * 1000 + number)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        threads[0].join()
        print(written[0])
    """
    written = int(child.run(code, db))
    mine = list(range(written))
    theirs = [1_000_000 + one * 1000 + number for one in range(20) for number in range(25)]
    assert sorted(counts(db)) == mine + theirs
    assert len({one.writer for one in lines(db)}) == 21


def test_a_child_that_outlives_its_parent_does_not_keep_the_parents_lock(db):
    code = """
        import os, sys, threading, time
        from counterfoil import ids, tape
        from counterfoil.events import Head, encode

        tape.ROTATE_BYTES = 200
        made = tape.Tape(sys.argv[1], lambda: None)
        stop = threading.Event()
        def keep_rotating():
            while not stop.is_set():
                made.write(encode(Head(k="trouble", t=ids.now_ns(), q=1)) + b"\\n", made.begin())
        thread = threading.Thread(target=keep_rotating)
        thread.start()
        reading, writing = os.pipe()
        children = []
        for _ in range(15):
            pid = os.fork()
            if pid == 0:
                os.write(writing, b"x")
                time.sleep(600)
            children.append(pid)
        for _ in children:
            os.read(reading, 1)
        stop.set()
        thread.join()
        print(*children, flush=True)
        os._exit(0)
    """
    with child.start(code, db) as process:
        children = [int(pid) for pid in process.stdout.readline().split()]
        process.wait(child.SECONDS)
        try:
            assert len(children) == 15
            assert not any(is_locked(one) for one in segments(db))
        finally:
            for pid in children:
                os.kill(pid, 9)


# -- what a host may do to us


def test_a_host_that_closes_our_descriptor_and_reuses_its_number_keeps_its_file(db, written, tmp_path):
    put(written, 1)
    number = written._open[0]
    os.close(number)
    hosts = os.open(tmp_path / "hosts.txt", os.O_WRONLY | os.O_CREAT)
    os.dup2(hosts, number)
    os.close(hosts)
    at_once(written)
    assert put(written, 2)
    assert written._open[0] != number
    os.write(number, b"the host's own")
    os.close(number)
    assert (tmp_path / "hosts.txt").read_bytes() == b"the host's own"
    assert counts(db) == [1, 2]


def test_a_host_that_closes_our_descriptor_loses_no_event(db, written, writers):
    put(written, 1)
    os.close(written._open[0])
    assert not put(written, 2)
    assert put(written, 2)
    assert counts(db) == [1, 2]
    assert len(writers) == 2


def test_rotation_never_replaces_a_file_of_the_hosts(db, written, tmp_path, monkeypatch):
    put(written, 1)
    number = written._open[0]
    with (tmp_path / "hosts.txt").open("wb") as hosts:
        os.dup2(hosts.fileno(), number)
        monkeypatch.setattr(tape, "ROTATE_BYTES", 1)
        written._rotate()
        assert os.path.sameopenfile(hosts.fileno(), number)
        os.close(number)


@pytest.mark.slow
def test_a_daemon_that_closes_all_descriptors_goes_on_recording(db):
    code = """
        import os
        import counterfoil
        with counterfoil.run("before"):
            pass
        os.closerange(3, 4096)
        files = [os.open("/dev/null", os.O_RDWR) for _ in range(100)]
        with counterfoil.run("at once"):
            pass
        import time
        time.sleep(1.1)
        with counterfoil.run("after"):
            pass
        for file in files:
            os.write(file, b"x")
            os.close(file)
    """
    child.run(code, db=db)
    assert {"before", "after"} <= {one.text.name for one in lines(db, "start")}


def test_a_folder_deleted_under_us_is_made_anew_with_a_writer_of_its_own(db, written, writers):
    put(written, 1)
    first = written.writer
    shutil.rmtree(segments(db)[0].parent)
    at_once(written)
    assert put(written, 2)
    assert written.writer != first
    assert len(writers) == 2
    assert counts(db) == [2]


def test_a_folder_that_was_moved_takes_its_tape_along(db, written, tmp_path):
    put(written, 1)
    folder = segments(db)[0].parent
    folder.rename(tmp_path / "y.db.tape")
    at_once(written)
    assert put(written, 2)
    assert counts(tmp_path / "y.db") == [1, 2]


# -- where nothing can be written


def test_a_missing_folder_is_said_once_and_the_tape_begins_when_it_is_there(tmp_path, monkeypatch, caplog):
    db = tmp_path / "missing" / "x.db"
    written = Tape(str(db), lambda: None)
    assert not put(written, 1)
    assert not put(written, 2)
    assert f"the tape {db}.tape failed" in caplog.text
    assert caplog.text.count("nothing can be recorded: No such file or directory") == 1
    db.parent.mkdir()
    assert not put(written, 3), "it is not tried again at every event"
    written._retry_at = 0.0
    assert put(written, 4)
    assert counts(db) == [4]
    written.close()


def test_a_read_only_folder_leaves_the_app_undisturbed():
    code = """
        import os, sys
        import counterfoil
        with counterfoil.run("warm", db=sys.argv[1]) as span:  # all that is imported late must be readable
            span.set(output="x")
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        with counterfoil.run("read-only", db=sys.argv[2]) as span:
            span.set(output="y")
        recorder = counterfoil.recorder_at(sys.argv[2])
        print("undisturbed", recorder.dropped >= 2)
    """
    with tempfile.TemporaryDirectory() as open_to_all:  # pytest's own folders are not
        os.chmod(open_to_all, 0o755)
        locked = Path(open_to_all, "locked")
        locked.mkdir(mode=0o555)
        with child.start(code, f"{open_to_all}/x.db", locked / "x.db") as process:
            printed, complained = process.communicate(timeout=child.SECONDS)
        assert not list(locked.iterdir())
    assert (process.returncode, printed) == (0, "undisturbed True\n")
    assert complained.count("nothing can be recorded: Permission denied") == 1


FULL = """
    import os, resource, signal, sys
    import counterfoil

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = int(sys.argv[1])
    recorder = counterfoil.recorder_at()
    @counterfoil.tool
    def work(number):
        return "x" * 300
    with counterfoil.run("all"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        for number in range(200):
            assert work(number) == "x" * 300
        lost = recorder.dropped
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert work("after") == "x" * 300
    print(lost, recorder.dropped)
"""


def test_a_full_disk_costs_what_does_not_fit_and_no_other_event(db):
    with child.start(FULL, 20_011, db=db) as process:
        printed, complained = process.communicate(timeout=child.SECONDS)
    assert process.returncode == 0, complained
    lost, in_all = map(int, printed.split())
    assert lost == in_all > 300
    (torn,) = segments(db)
    whole, fragments = [], []
    for one in torn.read_bytes().split(b"\n"):
        try:
            whole.append(tape_line(one))
        except ValueError:
            fragments.append(one)
    assert [len(one) > 0 for one in fragments].count(True) == 1
    inputs = [one["number"] for one in whole if one is not None]
    kept = len(inputs) - 1
    assert inputs == [*range(kept), "after"]
    assert 5 < kept < 100


def tape_line(one):
    """Give the input of the tool call that a line starts, None for any other; ValueError for what is no line."""
    head, *parts = one.split(b"\t")
    named = dict(zip(json.loads(head).get("parts", ()), parts, strict=True))
    values = {name: json.loads(part) for name, part in named.items()}
    return values.get("input")


def test_a_full_disk_is_owned_up_to_when_there_is_room_again(db):
    with child.start(FULL, 20_011, db=db) as process:
        printed, _ = process.communicate(timeout=child.SECONDS)
    lost = int(printed.split()[0])
    said = [one for one in segments(db)[0].read_bytes().split(b"\n") if b"EventsLost" in one]
    assert f"{lost} events could not be written".encode() in said[-1]


def test_a_disk_with_no_room_for_a_first_line_leaves_no_half_made_segment(db):
    with child.start(FULL, 40, db=db) as process:
        printed, complained = process.communicate(timeout=child.SECONDS)
    assert process.returncode == 0, complained
    assert int(printed.split()[0]) > 300
    assert not list(db.parent.glob("x.db.tape/*.new"))
