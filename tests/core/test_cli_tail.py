"""`counterfoil tail`: what is being recorded, as it comes."""

import json
import signal

import pytest
from rich.cells import cell_len

from cli_story import begin, hanging, invoke, record


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("tail") / "counterfoil.db"
    record(path, "greet", "desk")
    return path


def tail(store, *args, columns=None):
    result = invoke("tail", "--no-follow", "--db", store, *args, columns=columns)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def events(store, *args):
    return [json.loads(line) for line in tail(store, "--json", *args)]


def test_it_begins_with_the_last_ten(store):
    assert len(tail(store)) == 10
    assert len(tail(store, "-n", "3")) == 3
    assert tail(store, "-n", "0") == []


def test_a_line_says_when_which_run_and_what(store):
    lines = [
        line.split(maxsplit=2)[2]
        for line in tail(store, "-n", "1000")
        if " billing" in line or "(billing)" in line
    ]
    assert [line.split()[:4] for line in lines][:4] == [
        ["handoff", "triage", "→", "billing"],
        ["start", "agent", "billing"],
        ["handoff", "triage", "→", "billing"],
        ["start", "llm", "chat", "(billing)"],
    ]
    assert "start    tool look_up (billing) customer=7" in lines
    assert any(
        line.startswith("error    tool look_up (billing)") and line.endswith("! LookupError: no customer 7")
        for line in lines
    )
    assert any("$0.00047 900 in, 70 out" in line for line in lines)


def test_one_run_alone(store):
    assert {event["run_id"] for event in events(store, "-n", "1000")} > {
        event["run_id"] for event in events(store, "--run", "last", "-n", "1000")
    }
    assert len({event["run_id"] for event in events(store, "--run", "last", "-n", "1000")}) == 1


def test_json_gives_one_object_a_line_in_the_order_of_the_store(store):
    found = events(store, "-n", "1000")
    assert [event["seq"] for event in found] == sorted(event["seq"] for event in found)
    assert {"start", "end", "handoff", "access", "score"} <= {event["event"] for event in found}


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_lines_fit_the_screen(store, columns):
    assert max(map(cell_len, tail(store, "-n", "1000", columns=columns))) <= columns


def test_what_steers_a_terminal_is_shown_not_sent(tmp_path):
    record(tmp_path / "c.db", "hostile")
    shown = "\n".join(tail(tmp_path / "c.db", "-n", "1000"))
    assert not set(shown) & set("\x1b\u202e\u200b")
    assert r"\x1b[2Jgone \u202eevil\u200b [bold]x[/bold] :skull:" in shown


def test_what_comes_later_is_shown_when_it_comes(tmp_path):
    with begin("tail", "--every", "0.05", "--db", tmp_path / "c.db") as process:
        assert "yet; waiting." in process.stderr.readline()
        with hanging(tmp_path / "c.db"):
            assert "start    workflow hanging" in process.stdout.readline()
            assert "start    other work" in process.stdout.readline()
        assert "gone     a recording process died" in process.stdout.readline()
        assert "interrupted workflow hanging" in process.stdout.readline()
        assert "interrupted other work" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, complaints = process.communicate(timeout=60)
    assert (rest, complaints) == ("", "")
    assert process.returncode == 0
