"""`counterfoil handoffs`: who hands work to whom, and what comes of it."""

import json

import pytest

from cli_story import invoke, record
from counterfoil.analysis.handed import Edge
from counterfoil.cli.escape import hostile
from counterfoil.recorder import Recorder


@pytest.fixture
def store(tmp_path):
    """200 transfers of which one failed and half were refused, and an escalation to a human that was answered."""
    recorder = Recorder(str(tmp_path / "x.db"))
    for number in range(200):
        step = recorder.start("agent", "triage", framework="python")
        status = "failed" if not number else "refused" if number % 2 else "requested"
        recorder.handoff("transfer", target="writer", step=step, status=status)
        if not number:
            recorder.answered(recorder.ask(step, "may I?", name="lead"), "yes")
        recorder.end(step)
    recorder.close()
    return tmp_path / "x.db"


def handoffs(store, *args, columns=80):
    result = invoke("handoffs", *args, "--db", store, columns=columns)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def test_each_pair_has_its_count_and_shares(store):
    assert [line.split() for line in handoffs(store).splitlines()] == [
        ["SOURCE", "TARGET", "MODE", "COUNT", "RETURNED", "REFUSED", "FAILED", "ABANDONED"],
        ["triage", "writer", "transfer", "200", "50%", "1%", "50%"],
        ["triage", "lead", "(human)", "escalation", "1", "100%"],
    ]


def test_json_has_numbers_not_shares(store):
    found = json.loads(handoffs(store, "--json"))
    assert [list(one) for one in found] == [list(Edge.__struct_fields__)] * 2
    assert [
        (one["count"], one["refused"], one["failed"], one["abandoned"], one["returned"]) for one in found
    ] == [
        (200, 100, 1, 99, 0),
        (1, 0, 0, 0, 1),
    ]


def test_a_share_that_is_not_all_is_never_shown_as_all(tmp_path):
    recorder = Recorder(str(tmp_path / "x.db"))
    for number in range(300):
        step = recorder.start("agent", "a", framework="python")
        recorder.handoff("transfer", target="b", step=step, status="failed" if number else "refused")
        recorder.end(step)
    recorder.close()
    assert handoffs(tmp_path / "x.db").splitlines()[1].split() == ["a", "b", "transfer", "300", "1%", "99%"]


def test_it_fits_80_columns_whatever_the_names(tmp_path):
    record(tmp_path / "h.db", "hostile", "desk")
    lines = handoffs(tmp_path / "h.db").splitlines()
    assert len(lines) == 4
    assert max(map(len, lines)) <= 80
    assert not any(map(hostile, lines))


def test_a_store_without_handoffs_says_so(tmp_path):
    record(tmp_path / "b.db", "bare")
    assert handoffs(tmp_path / "b.db") == "No handoffs have been recorded.\n"
    assert json.loads(handoffs(tmp_path / "b.db", "--json")) == []


def test_a_store_that_is_not_there_is_one_sentence(tmp_path):
    result = invoke("handoffs", "--db", tmp_path / "none.db")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("nothing has been recorded here; name another file with --db.\n")
