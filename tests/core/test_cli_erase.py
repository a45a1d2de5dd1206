"""`counterfoil erase`: what it asks, what it says, how it ends."""

from __future__ import annotations

import getpass
import json
import os
import pty
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from cli_story import RUN, environment, invoke, record
from counterfoil.store import read
from handmade_tape import SECOND, T0, Tape, run_id, step_id


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("recorded") / "x.db"
    record(path, "desk", "greet")
    return path.read_bytes()


@pytest.fixture
def path(tmp_path, recorded) -> Path:
    path = tmp_path / "x.db"
    path.write_bytes(recorded)
    path.chmod(0o600)
    return path


def small(tmp_path: Path) -> Path:
    """Two runs that say the same, and one of another session."""
    path = tmp_path / "small.db"
    tape = Tape(path)
    for n, session in ((1, "s"), (2, "t"), (3, "u")):
        tape.start(
            run_id(n),
            step_id(n),
            t=T0 + n * SECOND,
            name=f"desk {n}",
            session=session,
            input="the same" if n < 3 else "else",
        )
        tape.end(run_id(n), step_id(n), t=T0 + (n + 1) * SECOND)
    tape.exit(t=T0 + 9 * SECOND)
    return path


def erase(path: Path, *args: object, **more):
    return invoke("erase", *args, "--db", path, **more)


def erasures(path: Path) -> list:
    with read.open(path) as store:
        return store.erasures()


class TestWhatItSays:
    def test_how_much_went_and_what_stays_with_whom(self, tmp_path):
        done = erase(small(tmp_path), "--session", "s", "--yes")
        assert (done.exit_code, done.stderr) == (0, "")
        assert done.stdout == "1 text (52 B) of 1 event in 1 run went; 1 text stays, held by 1 other.\n"

    def test_that_there_was_nothing(self, path):
        done = erase(path, "--session", "nobody's", "--yes")
        assert (done.exit_code, done.stdout, done.stderr) == (0, "Nothing to erase.\n", "")

    def test_as_json(self, tmp_path):
        path = small(tmp_path)
        done = erase(path, "--session", "s", "--yes", "--json")
        assert json.loads(done.stdout) == {
            "store": str(path), "runs": [run_id(1)], "events": 1, "texts": 1, "bytes": 52, "lines": 0, "kept": 1,
            "holders": [[run_id(2), 1]], "notices": [],
        }  # fmt: skip

    def test_what_could_not_be_removed_with_exit_code_1(self, tmp_path, monkeypatch):
        path = small(tmp_path)
        read.open(path).close()
        monkeypatch.setattr("counterfoil.store.schema.BUSY_SECONDS", 0.1)
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM runs").fetchall()
            done = erase(path, "--session", "s", "--yes")
        assert done.exit_code == 1
        assert done.stderr == (
            f"counterfoil: {path}-wal may hold what was erased until the program that is reading the store ends; "
            "then do the same again.\n"
        )
        assert erase(path, "--session", "s", "--yes").exit_code == 0


class TestWhatIsMeant:
    @pytest.mark.parametrize("args", [(), ("--run", "last", "--session", "s"), ("--everywhere",)])
    def test_is_one_thing(self, path, args):
        done = erase(path, *args, "--yes")
        assert done.exit_code == 2
        assert done.stderr.startswith("counterfoil: give one of --run, --session, --match and --older-than. ")

    @pytest.mark.parametrize("option", ["--session", "--match"])
    def test_is_not_empty(self, path, option):
        done = erase(path, option, "", "--yes")
        assert done.exit_code == 2
        assert done.stderr.startswith("counterfoil: what is to be erased cannot be empty. ")

    def test_a_run_as_every_command_takes_it(self, path):
        erase(path, "--run", "last", "--yes")
        with read.open(path) as store:
            assert [run.name for run in store.runs()] == [None, "support desk"]
        assert erase(path, "--run", "ffff", "--yes").exit_code == 1

    def test_a_time_as_every_command_takes_it(self, tmp_path):
        path = small(tmp_path)
        when = "2023-11-14T22:13:23.500Z"  # three and a half seconds after the first event
        assert len(json.loads(erase(path, "--older-than", when, "--yes", "--json").stdout)["runs"]) == 2
        assert erase(path, "--older-than", "yesterday", "--yes").exit_code == 2

    def test_everywhere_is_from_other_runs_too(self, tmp_path):
        path = small(tmp_path)
        erase(path, "--session", "s", "--everywhere", "--yes")
        with read.open(path) as store:
            assert [(run.name, run.input) for run in store.runs()] == [
                ("desk 3", "else"),
                ("desk 2", None),
                (None, None),
            ]


class TestTheRecord:
    def test_is_of_this_user_unless_it_is_said_who_and_why(self, path):
        erase(path, "--session", "ticket-1", "--yes")
        erase(path, "--run", "last", "--by", "ada", "--because", "ticket 812", "--yes")
        me = f"{getpass.getuser()}@{socket.gethostname()}"
        assert [(one.erased_by, one.reason) for one in erasures(path)] == [(me, None), ("ada", "ticket 812")]

    def test_is_shown_with_the_run_in_one_line(self, path):
        erase(path, "--session", "ticket-1", "--by", "ada", "--because", "ticket 812", "--yes")
        ((run,),) = [[one.run_id for one in erasures(path)]]
        shown = invoke("show", run, "--db", path).stdout
        (line,) = [line for line in shown.splitlines() if line.startswith("erased")]
        assert line.endswith(" by ada: ticket 812")
        (one,) = json.loads(invoke("show", run, "--db", path, "--json").stdout)["erasures"]
        assert (one["erased_by"], one["reason"], one["what"]) == ("ada", "ticket 812", "session")


class TestTheScreenOfAnErasedRun:
    """Names are gone: what has none is ?, and nothing says None."""

    @pytest.fixture
    def erased(self, path):
        erase(path, "--session", "ticket-1", "--yes")
        return path

    @pytest.mark.parametrize(
        "args",
        [
            ("runs",), ("runs", "--all"), ("cost",), ("cost", "--by", "agent"), ("cost", "--by", "model"),
            ("tail", "--no-follow", "-n", "100"), ("doctor",), ("rebuild",),
        ],
        ids=" ".join,
    )  # fmt: skip
    def test_of_each_command(self, erased, args):
        done = invoke(*args, "--db", erased, columns=130)
        assert done.exit_code == 0
        assert "None" not in done.stdout

    def test_of_the_run(self, erased):
        with read.open(erased) as store:
            run = store.runs()[1].run_id
        for full in ([], ["--full"]):
            done = invoke("show", run, *full, "--db", erased, columns=100)
            assert done.exit_code == 0
            assert "None" not in done.stdout
        for line in (
            "counts   3 agents, 4 llm calls, 2 tool calls, 2 handoffs, 1 error",
            "│     ├─ tool ? ",
            "  ? → ?  escalation  returned after",
            "  ? read ? 2 times",
            "  ? 0.9 agent ?",
        ):
            assert line in done.stdout


def asked(path: Path, answer: str, *args: str) -> tuple[int, str]:
    """Run the command on a terminal, where somebody types `answer`."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, *RUN, "erase", *args, "--db", str(path)],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
        text=True,
    ) as process:
        os.write(ours, f"{answer}\n".encode())
        said, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    return process.returncode, said


class TestItAsks:
    def test_and_erases_at_a_yes(self, tmp_path):
        path = small(tmp_path)
        code, said = asked(path, "yes", "--session", "s")
        assert code == 0
        assert said.splitlines() == [
            "1 text (52 B) of 1 event in 1 run will go; 1 text stays, held by 1 other.",
            f"Run {run_id(2)} holds 1 text of what stays.",
            "Type yes to erase: 1 text (52 B) of 1 event in 1 run went; 1 text stays, held by 1 other.",
        ]
        assert len(erasures(path)) == 1

    @pytest.mark.parametrize("answer", ["no", "y", ""])
    def test_and_does_nothing_at_anything_else(self, tmp_path, answer):
        path = small(tmp_path)
        code, said = asked(path, answer, "--session", "s")
        assert (code, said.splitlines()[-1]) == (130, "Type yes to erase: Nothing was changed.")
        assert erasures(path) == []

    def test_unless_there_is_nothing_to_ask_about(self, tmp_path):
        assert asked(small(tmp_path), "", "--session", "nobody's") == (0, "Nothing to erase.\n")

    def test_and_where_nobody_can_be_asked_says_what_to_give(self, path):
        done = erase(path, "--session", "ticket-1")
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith("counterfoil: there is nobody to ask: give --yes to erase. ")
        assert erasures(path) == []


def test_what_somebody_wrote_as_a_reason_cannot_steer_a_terminal(path):
    done = erase(path, "--session", "ticket-1", "--because", "\x1b[2J", "--yes")
    ((run,),) = [[one.run_id for one in erasures(path)]]
    assert done.exit_code == 0
    assert "\x1b" not in invoke("show", run, "--db", path).stdout


def test_a_store_that_is_not_there_is_said_so(tmp_path):
    done = erase(tmp_path / "none.db", "--session", "s", "--yes")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "nothing has been recorded here" in done.stderr
