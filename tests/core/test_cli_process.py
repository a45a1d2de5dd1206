"""`counterfoil` as a process: pipes, signals, terminals, and no traceback ever."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from cli_story import begin, command, environment, record

pytestmark = pytest.mark.slow

MANY = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("process") / "counterfoil.db"
    record(path, "desk")
    return path


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("options", [[], ["--csv"], ["--json"]], ids=["table", "csv", "json"])
def test_a_reader_that_has_seen_enough_ends_it_quietly(store, options, unbuffered):
    with begin("sql", MANY, "--db", store, *options, env=environment(PYTHONUNBUFFERED=unbuffered)) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_help_into_a_closed_pipe_is_quiet(store):
    reading, writing = os.pipe()
    os.close(reading)
    done = command("runs", "--help", capture_output=False, stdout=writing, stderr=-1)
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode != 0


def test_a_full_disk_behind_standard_output_is_one_sentence(store):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = command("runs", "--db", store, capture_output=False, stdout=full, stderr=-1)
    assert (done.returncode, done.stderr) == (1, "counterfoil: No space left on device.\n")


def test_ctrl_c_ends_tail_quietly_with_exit_code_0(store):
    with begin("tail", "--db", store, "-n", "1") as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, complaints = process.communicate(timeout=60)
    assert (process.returncode, rest, complaints) == (0, "", "")


def test_ctrl_c_ends_drain_watch_quietly_with_exit_code_0(store):
    with begin("drain", "--watch", "--db", store) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


def test_ctrl_c_ends_any_other_command_quietly_with_exit_code_130(store):
    # It reads its query from a standard input that says nothing.
    with begin(
        "sql", "-", "--db", store, "--json", stdin=-1, env=environment(PYTHONFAULTHANDLER="")
    ) as process:
        wait_until_it_sleeps(process.pid)
        process.send_signal(signal.SIGINT)
        rest, complaints = process.communicate(timeout=60)
    assert (process.returncode, rest, complaints.strip()) == (130, "", "")


def test_ctrl_c_ends_a_query_that_would_never_end(store):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with begin("sql", endless, "--db", store) as process:
        wait_until_ctrl_c_is_left_to_the_system(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == -signal.SIGINT  # a shell says 130


def wait_until_ctrl_c_is_left_to_the_system(pid):
    """Wait until Python has taken SIGINT, at its start, and given it back."""
    taken = False
    while True:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            caught = int(next(line for line in file if line.startswith("SigCgt:")).split()[1], 16)
        now = bool(caught & 1 << signal.SIGINT - 1)
        if taken and not now:
            return
        taken = taken or now


def wait_until_it_sleeps(pid):
    """Wait until the process waits for its standard input: in read(2), descriptor 0."""
    while True:
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            if file.read().split()[:2] == ["0", "0x0"]:
                return


def test_a_terminal_that_knows_ascii_only_gets_no_traceback(store):
    done = command("show", "--db", store, env=environment(PYTHONIOENCODING="ascii", COLUMNS="80"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "|- agent triage" in done.stdout
    assert "> $0.0012" in done.stdout


def on_a_terminal(*args, columns):
    """Run a command on a pseudo-terminal; give its exit code and what it wrote there."""
    pid, terminal = pty.fork()
    if pid == 0:
        settings = {**environment(TERM="xterm-256color"), "COLUMNS": str(columns)}
        os.execve(
            sys.executable,
            [sys.executable, "-c", "from counterfoil.cli import main; main()", *map(str, args)],
            settings,
        )
    written = b""
    while True:
        try:
            piece = os.read(terminal, 65_536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        written += piece
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), written.decode()


def test_on_a_terminal_there_is_colour_and_without_it_the_same_words(store):
    code, coloured = on_a_terminal("show", "--db", store, columns=80)
    assert code == 0
    assert "\x1b[31merror" in coloured
    code, csv = on_a_terminal("sql", "SELECT char(27) AS a", "--csv", "--db", store, columns=80)
    assert (code, csv) == (0, "a\r\n\\x1b\r\n")


def test_a_mistake_is_one_sentence_without_a_traceback(store):
    for args, code in (
        (["bogus"], 2),
        (["show", "ffff", "--db", store], 1),
        (["runs", "--db", "/nowhere/x.db"], 1),
    ):
        done = command(*args)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith("counterfoil: ")
        assert done.stderr.count("\n") == 1


def test_what_nobody_foresaw_is_one_sentence_and_says_how_to_see_more(store):
    broken = environment(
        PYTHONPATH=os.pathsep.join([str(store.parent / "broken"), environment()["PYTHONPATH"]])
    )
    (store.parent / "broken").mkdir(exist_ok=True)
    (store.parent / "broken" / "sitecustomize.py").write_text(
        "import shutil\ndef get_terminal_size(*_): raise ZeroDivisionError('\\x1b[2J')\nshutil.get_terminal_size = get_terminal_size\n"
    )
    done = command("runs", "--db", store, env={**broken, "COLUMNS": "80"})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "counterfoil: unexpected trouble, ZeroDivisionError: \\x1b[2J. With COUNTERFOIL_DEBUG=1 the traceback is shown.\n"
    )
    done = command("runs", "--db", store, env={**broken, "COLUMNS": "80", "COUNTERFOIL_DEBUG": "1"})
    assert "Traceback" in done.stderr


def test_nothing_heavy_is_imported_before_a_command_runs():
    code = """import sys, counterfoil.cli
print([name for name in sys.modules if name.startswith(("rich", "sqlite", "counterfoil.store"))])"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert done.stdout == "[]\n"
