"""`counterfoil drain`: from the tapes into the store."""

import json
import signal
import sqlite3
import subprocess
import sys

from filelock import FileLock

from cli_story import begin, command, environment, hanging, invoke, record


def undrained(path, *stories):
    """Record without draining: the tapes hold it all."""
    import cli_story

    subprocess.run(
        [sys.executable, cli_story.__file__, *stories],
        check=True,
        env=environment(COUNTERFOIL_DB=str(path), COUNTERFOIL_DRAIN="off"),
    )
    assert not path.exists()


def test_what_the_tapes_hold_is_moved_and_counted(tmp_path):
    undrained(tmp_path / "c.db", "desk")
    done = json.loads(invoke("drain", "--db", tmp_path / "c.db", "--json").stdout)
    assert done["store"] == str(tmp_path / "c.db")
    assert done["events"] > 20
    assert (done["left_bytes"], done["busy"], done["notices"]) == (0, False, [])
    assert sqlite3.connect(tmp_path / "c.db").execute("SELECT name FROM runs").fetchall() == [
        ("support desk",)
    ]


def test_a_second_time_there_is_nothing_to_do(tmp_path):
    record(tmp_path / "c.db", "desk")
    result = invoke("drain", "--db", tmp_path / "c.db")
    assert (result.exit_code, result.stdout) == (
        0,
        "0 events moved into the store; nothing left on the tapes.\n",
    )


def test_another_drainer_at_it_is_said_and_exit_code_1(tmp_path):
    record(tmp_path / "c.db", "desk")
    with FileLock(tmp_path / "c.db.tape" / "drain.lock"):
        result = invoke("drain", "--db", tmp_path / "c.db", "--wait", "0")
    assert result.exit_code == 1
    assert "another process is draining" in result.stdout


def test_watch_goes_on_and_tells_what_came(tmp_path):
    record(tmp_path / "c.db", "greet")
    with begin("drain", "--watch", "--every", "0.05", "--json", "--db", tmp_path / "c.db") as process:
        assert json.loads(process.stdout.readline())["events"] == 0
        with hanging(tmp_path / "c.db"):
            pass
        assert json.loads(process.stdout.readline())["events"] > 0
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_where_nothing_was_recorded_is_one_sentence_and_exit_code_1(tmp_path):
    done = command("drain", "--db", tmp_path / "c.db")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("counterfoil: ")
    assert "nothing has been recorded here" in done.stderr
    assert list(tmp_path.iterdir()) == []
