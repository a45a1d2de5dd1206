"""After an erasure no file beside the store holds what was erased, wherever it stood."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

import child
from counterfoil import recorder, tape
from counterfoil.store import ingest, read, schema, seal, tapes
from counterfoil.store.erase import Selection, erase
from everything import Words, all_bytes, everything_happens, outside_of_runs, said
from handmade_tape import SECOND, T0, Tape, run_id, step_id

#: Moments at which an erasure is killed.
TURNS = 12


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "x.db"


def drain(path: Path) -> None:
    with ingest.Drainer(path) as drainer:
        drainer.drain()


def assert_all_is_well(path: Path) -> None:
    assert ingest.rebuild(path).changed == ()
    with closing(sqlite3.connect(path)) as db:
        assert seal.verify_chain(db) is None


class TestAWordInEveryPlace:
    """Of a process that still lives: its tape is not deleted, and holds every word too."""

    @pytest.fixture
    def words(self, path):
        """Run 1, which is to be erased; run 2 and what is outside of runs have words of their own."""
        tape = Tape(path)
        mine, others = Words("mine"), Words("others")
        outside_of_runs(tape, others)
        everything_happens(tape, 2, others)
        everything_happens(tape, 1, mine)
        tape.raw(f'{{"k":"end","run":"{run_id(1)}"}}\ttorn {mine.new("a torn line of the run")}\n'.encode())
        drain(path)
        assert mine.all_in(all_bytes(path))
        yield mine, others
        tape.let_go()

    @pytest.mark.parametrize(
        "selection",
        [
            Selection("run", run_id(1)),
            Selection("run", run_id(1), everywhere=True),
            Selection("match", "mineword"),
            Selection("older-than", T0 + 1_900 * SECOND),
        ],
        ids=lambda selection: selection.what + "-everywhere" * selection.everywhere,
    )
    def test_is_nowhere_after_the_run_is_erased_and_the_other_runs_words_are_all_there(
        self, path, words, selection
    ):
        mine, others = words
        erase(path, selection, by="ada")
        files = all_bytes(path)
        assert mine.found_in(files) == {}
        assert others.all_in(files)
        assert_all_is_well(path)

    def test_is_nowhere_after_a_session_is_erased(self, path, words):
        mine, others = words
        with closing(sqlite3.connect(path)) as db:
            (session,) = db.execute("SELECT session_id FROM runs WHERE run_id = ?", (run_id(1),)).fetchone()
        erase(path, Selection("session", session), by="ada")
        files = all_bytes(path)
        assert mine.found_in(files) == {}
        assert others.all_in(files)

    def test_is_nowhere_outside_of_runs_either_where_it_is_looked_for_by_itself(self, path, words):
        _, others = words
        erase(path, Selection("match", "othersword"), by="ada")
        assert others.found_in(all_bytes(path)) == {}
        assert_all_is_well(path)


@pytest.mark.slow
def test_no_copy_stays_in_a_page_that_rows_were_moved_from(path):
    # Names that come in no order: SQLite divides the pages of its indexes, and clears what it deletes, not what it moved.
    names = random.Random(1)
    tape = Tape(path)
    for n in range(6_000):
        run = n % 300
        words = {
            one: f"{names.getrandbits(60):015x}run{run:04d}"
            for one in ("agent", "session", "native_id", "model")
        }
        at = T0 + (run * 100 + n // 300) * SECOND
        tape.start(run_id(run), step_id(n), t=at, kind="llm", **words)
        tape.end(run_id(run), step_id(n), t=at)
        if n % 500 == 0:
            drain(path)
    drain(path)
    erase(path, Selection("older-than", T0 + 6_000 * SECOND), by="ada")
    tape.let_go()
    left = {int(run) for data in all_bytes(path).values() for run in re.findall(rb"[0-9a-f]run(\d{4})", data)}
    assert left == set(range(60, 300))


class TestBesideAReader:
    """A program in the midst of reading keeps SQLite's log as it was when it began."""

    @pytest.fixture
    def reader(self, path):
        tape = Tape(path)
        tape.start(run_id(1), step_id(1), t=T0 + 1, name="desk", input="secret")
        drain(path)
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("BEGIN")
            assert db.execute("SELECT input FROM runs").fetchall() == [('"secret"',)]
            yield db
        tape.let_go()

    def test_it_goes_on_as_if_nothing_were_the_matter_and_that_traces_may_be_left_is_said(
        self, path, reader, monkeypatch
    ):
        monkeypatch.setattr(schema, "BUSY_SECONDS", 0.1)
        done = erase(path, Selection("run", run_id(1)), by="ada")
        assert done.notices == (
            f"{path}-wal may hold what was erased until the program that is reading the store ends; then do the same again.",
        )
        assert reader.execute("SELECT input FROM runs").fetchall() == [('"secret"',)]
        assert b"secret" in b"".join(all_bytes(path).values())

    def test_once_it_has_ended_the_same_again_finds_nothing_and_leaves_nothing(
        self, path, reader, monkeypatch
    ):
        monkeypatch.setattr(schema, "BUSY_SECONDS", 0.1)
        erase(path, Selection("run", run_id(1)), by="ada")
        reader.execute("COMMIT")
        done = erase(path, Selection("run", run_id(1)), by="ada")
        assert (done.is_nothing, done.notices) == (True, ())
        assert b"secret" not in b"".join(all_bytes(path).values())

    def test_one_that_only_has_the_store_open_stands_in_nobodys_way(self, path, reader):
        reader.execute("COMMIT")
        with read.open(path) as store:
            assert erase(path, Selection("run", run_id(1)), by="ada").notices == ()
            assert store.run("last").input is None
        assert reader.execute("SELECT input FROM runs").fetchall() == [(None,)]


class TestTheTapeOfALivingProcess:
    RECORDS = """
        import sys, counterfoil
        def work(word):
            with counterfoil.run(f"name {word}", input=f"input {word}") as span:
                span.set(output=f"output {word}")
        for line in sys.stdin:
            work(line.strip())
            print("done", flush=True)
    """

    @pytest.fixture(params=["process", "power"])
    def process(self, path, request):
        with child.start(self.RECORDS, db=path, COUNTERFOIL_DURABILITY=request.param) as process:

            def record(word: str) -> None:
                print(word, file=process.stdin, flush=True)
                assert process.stdout.readline() == "done\n"

            yield process, record
            process.stdin.close()

    def test_keeps_its_other_lines_and_takes_new_ones(self, path, process):
        _, record = process
        for word in ("before", "secret", "after"):
            record(word)
        drain(path)
        size = {name: len(data) for name, data in all_bytes(path).items() if name.endswith(".tape")}
        record("undrained")
        erase(path, Selection("match", "secret"), by="ada")
        record("later")
        ((name, data),) = ((name, data) for name, data in all_bytes(path).items() if name.endswith(".tape"))
        assert b"secret" not in data
        assert len(data) > size[name]
        assert [word for word in (b"before", b"after", b"undrained", b"later") if word not in data] == []
        with read.open(path) as store:
            assert [run.name for run in store.runs(all=True)][::-1] == [
                "name before", None, "name after", "name undrained", "name later",
            ]  # fmt: skip
            assert store.quarantine() == []
        assert_all_is_well(path)

    def test_brings_nothing_back_where_its_writer_was_killed_and_another_store_drains_it(
        self, path, process, tmp_path
    ):
        killed, record = process
        record("secret")
        record("other")
        drain(path)
        erase(path, Selection("match", "secret"), by="ada")
        killed.kill()
        killed.wait()
        elsewhere = tmp_path / "elsewhere" / "x.db"
        shutil.copytree(tapes.folder_of(str(path)), tapes.folder_of(str(elsewhere)))
        with read.open(elsewhere) as store:
            assert [run.name for run in store.runs(all=True)] == ["name other"]
            assert store.quarantine() == []
        drain(path)
        assert not [name for name in all_bytes(path) if name.endswith(".tape")]


@pytest.mark.slow
def test_killed_at_any_moment_it_is_done_and_recorded_or_not_begun_and_done_again_it_gets_there(
    path, tmp_path
):
    tape = Tape(path)
    mine, others = Words("mine"), Words("others")
    for n in range(1, 6):
        everything_happens(tape, n, mine if n == 3 else others)
    drain(path)
    tape.let_go()
    before, tapes_before = path.read_bytes(), Path(tapes.folder_of(str(path)))
    code = """
        import sys, time
        from counterfoil.store.erase import Selection, erase
        print(time.monotonic(), flush=True)
        erase(sys.argv[1], Selection("match", "mineword"), by="ada")
        print(time.monotonic(), flush=True)
    """
    shutil.copytree(tapes_before, tmp_path / "tapes")
    seconds = 0.5
    outcomes = set()
    for turn in range(TURNS):
        for name in ("-wal", "-shm"):
            (tmp_path / f"x.db{name}").unlink(missing_ok=True)
        path.write_bytes(before)
        shutil.rmtree(tapes_before)
        shutil.copytree(tmp_path / "tapes", tapes_before)
        with child.start(code, path) as process:
            began = float(process.stdout.readline())
            if turn == 0:
                seconds = float(process.stdout.readline()) - began
            else:
                time.sleep(turn / TURNS * seconds)
                process.kill()
            process.wait()
        with closing(sqlite3.connect(path)) as db:
            recorded = db.execute("SELECT count(*) > 0 FROM events WHERE kind = 'erasure'").fetchone()[0]
            held = db.execute("SELECT count(*) FROM payloads WHERE instr(body, 'mineword')").fetchone()[0]
            assert (held == 0) == bool(recorded)
            outcomes.add(bool(recorded))
        erase(path, Selection("match", "mineword"), by="ada")
        files = all_bytes(path)
        assert mine.found_in(files) == {}
        assert others.all_in(files)
        assert_all_is_well(path)
    assert outcomes == {True, False}


class TestAProcessThatGoesOnRecording:
    """It gives each message of a chat to the tape once, and then its number: which means nothing once the text is gone."""

    @pytest.fixture
    def host(self, path, monkeypatch):
        monkeypatch.setattr(tape, "CHECK_SECONDS", 0)
        monkeypatch.setenv("COUNTERFOIL_DRAIN", "off")
        host = recorder.Recorder(str(path))
        yield host
        host.close()

    def call(self, host: recorder.Recorder, *said_before: str) -> str:
        step = host.start("llm", "chat", framework="python", messages=[said(one) for one in said_before])
        host.end(step)
        return step.step_id

    def test_writes_again_what_it_says_again(self, path, host):
        self.call(host, "be kind", "hello")
        drain(path)
        erase(path, Selection("match", "hello"), by="ada")
        later = self.call(host, "be kind", "hello", "are you there?")
        with read.open(path) as store:
            heard = [one["parts"][0]["content"] for one in store.messages(later).input]
        assert heard == ["be kind", "hello", "are you there?"]
        assert_all_is_well(path)

    def test_goes_on_from_no_step_whose_messages_are_gone(self, path, host):
        first = self.call(host, "be kind", "hello")
        drain(path)
        with read.open(path) as store:
            run = store.step(first).run_id
        erase(path, Selection("run", run), by="ada")
        later = self.call(host, "be kind", "hello", "are you there?")
        with read.open(path) as store:
            assert len(store.messages(later).input) == 3
            assert store.messages(first).input == []

    def test_numbers_go_on_so_that_none_means_two_texts(self, path, host):
        self.call(host, "be kind", "hello")
        drain(path)
        erase(path, Selection("match", "hello"), by="ada")
        self.call(host, "be kind", "another")
        drain(path)
        with closing(sqlite3.connect(path)) as db:
            numbers = [n for (n,) in db.execute("SELECT n FROM refs ORDER BY n")]
        assert numbers == [1, 3, 4]
