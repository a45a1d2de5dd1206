"""`counterfoil show`: what one run did."""

import json
import re

import pytest
from rich.cells import cell_len

from cli_story import HOSTILE, hanging, invoke, record
from counterfoil.events import message, text_part, tool_call_part, tool_response_part
from handmade_tape import SECOND, T0, Tape, run_id, step_id


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("show") / "counterfoil.db"
    record(path, "greet", "desk")
    return path


def show(path, *args, columns=80):
    result = invoke("show", *args, "--db", path, columns=columns)
    assert result.exit_code == 0, result.output
    return result.stdout


def loosely(text):
    """Leave out times, and how wide columns are."""
    return re.sub(r"(?<=\w) +", " ", re.sub(r" +<?[\d.]+m?s (?=\w+$)", " ", text, flags=re.MULTILINE))


def section(text, title):
    lines = text.split(f"{title}\n", 1)[1].splitlines()
    return lines[: lines.index("")] if "" in lines else lines


def test_the_tree_tells_who_did_what_with_tokens_cost_and_errors(store):
    tree = loosely(show(store)).split("\n\n")[1]
    assert (
        tree
        == """\
STEP IN OUT COST TOOK STATUS
workflow support desk 3.6k 275 ≥ $0.0012 ok
├─ agent triage 3.3k 245 ≥ $0.0011 ok
│  ├─ llm gpt-4.1-mini 1.2k 85 $0.00063 ok
│  ├─ tool search_policy ok
│  │    query="double charge", limit=5 → ["Refunds within 30 days", "Charged tw…
│  └─ agent billing 2.1k 160 ≥ $0.00047 ok
│     ├─ llm gpt-4.1-mini 900 70 $0.00047 ok
│     ├─ tool look_up error
│     │    customer=7
│     │    ! LookupError: no customer 7
│     └─ llm model-without-price 1.2k 90 ? ok
└─ agent follow_up 300 30 $0.00017 ok
   └─ llm gpt-4.1-mini 300 30 $0.00017 ok"""
    )


def test_the_head_tells_the_run(store):
    head = show(store).split("\n\n")[0]
    assert head.startswith("support desk  ok\n")
    for line in (
        "task     refund",
        "session  ticket-1",
        "labels   region=eu tier=gold",
        "counts   3 agents, 4 llm calls, 2 tool calls, 2 handoffs, 1 error",
        "tokens   3.6k in, 275 out",
        "cost     ≥ $0.0012 (1 call without a known price)",
        "input    charged twice",
        "output   done",
    ):
        assert line in head.splitlines()


def test_handoffs_tell_mode_status_and_reason(store):
    lines = [re.sub(r" after \S+", "", line) for line in section(show(store), "Handoffs")]
    assert lines == [
        "  triage → billing  escalation  returned",
        "    because: charged twice",
        "  triage → follow_up  transfer  accepted",
        "    because: write to the customer",
    ]


def test_data_that_was_read_is_listed(store):
    assert section(show(store), "Data read") == [
        "  triage read kb:policy",
        "  triage read kb:billing 2 items (doc-1, doc-2)",
        "    for: double charge",
    ]


def test_scores_are_listed(store):
    assert section(show(store), "Scores") == ["  helpful 0.9 good agent triage by user"]


def test_last_is_the_newest_and_the_default(store):
    # Between the two commands a second may pass.
    named, plain = (re.sub(r"\(\S+ ago\)", "(ago)", text) for text in (show(store, "last"), show(store)))
    assert named == plain
    assert show(store).startswith("support desk")


def test_a_run_is_found_by_a_beginning_of_its_id(store):
    run_id = json.loads(show(store, "--json"))["run"]["run_id"]
    assert show(store, run_id[:14]).startswith("support desk")
    assert show(store, run_id).startswith("support desk")


@pytest.mark.parametrize(
    ("ref", "sentence"),
    [("0", "More than one run begins with '0'"), ("ffff", "No run begins with 'ffff'"), ("x", "No run 'x'")],
)
def test_a_run_that_is_none_or_several_is_one_sentence_and_exit_code_1(store, ref, sentence):
    result = invoke("show", ref, "--db", store)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"counterfoil: {sentence}")
    assert result.stderr.count("\n") == 1


def test_full_gives_payloads_whole(store):
    shown = show(store, "--full")
    assert '["Refunds within 30 days", "Charged twice: refund at once"]' in shown
    assert "I will look into it" in shown
    assert re.search(r"step [0-9a-f]{16}", shown)


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("options", [[], ["--full"]], ids=["short", "full"])
def test_lines_fit_the_screen(store, columns, options):
    assert max(cell_len(line) for line in show(store, *options, columns=columns).splitlines()) <= columns


def test_json_has_the_run_and_the_rows_of_every_view(store):
    shown = json.loads(show(store, "--json"))
    assert list(shown) == [
        "run", "steps", "llm_calls", "tool_calls", "handoffs", "accesses", "decisions", "approvals", "scores", "erasures",
    ]  # fmt: skip
    assert [step["name"] for step in shown["steps"] if step["kind"] == "agent"] == [
        "triage",
        "billing",
        "follow_up",
    ]
    assert {(one["source"], one["target"], one["mode"]) for one in shown["handoffs"]} == {
        ("triage", "billing", "escalation"),
        ("triage", "follow_up", "transfer"),
    }
    assert "input" not in shown["steps"][0]


def test_json_has_what_was_said_only_with_full(store):
    shown = json.loads(show(store, "--json", "--full"))
    assert shown["run"]["input"] == "charged twice"
    assert shown["tool_calls"][0]["arguments"] == {"query": "double charge", "limit": 5}
    assert "messages" in shown


@pytest.mark.parametrize("options", [[], ["--full"], ["--json", "--full"]], ids=["short", "full", "json"])
def test_what_steers_a_terminal_is_shown_not_sent(tmp_path, options):
    record(tmp_path / "c.db", "hostile")
    shown = show(tmp_path / "c.db", *options, columns=400)
    assert not set(shown) & set("\x1b\u202e\u200b")
    for place in ("run", "tool", "agent", "model", "source", "target", "reason", "score", "question"):
        assert f"{place} {shown_hostile(options)}" in shown


def shown_hostile(options):
    return (
        json.dumps(HOSTILE)[1:-1]
        if "--json" in options
        else r"\x1b[2Jgone \u202eevil\u200b [bold]x[/bold] :skull:"
    )


@pytest.mark.slow
def test_a_run_deeper_than_the_stack_is_shown(tmp_path):
    record(tmp_path / "c.db", "deep")
    shown = show(tmp_path / "c.db", columns=None)
    assert "step 1499" in shown
    assert len(json.loads(show(tmp_path / "c.db", "--json"))["steps"]) == 1_501


def test_humans_that_answered_and_that_are_waited_for_are_told_apart(tmp_path):
    record(tmp_path / "c.db", "asks")
    shown = show(tmp_path / "c.db")
    lines = section(shown, "Humans")
    assert re.match(r"  colour: asked .*, answered after ", lines[0])
    assert [line.strip() for line in lines[1:3]] == ["which colour?", "blue"]
    assert re.match(r"  size: asked .*, waiting for ", lines[3])
    assert lines[-2:] == ['  approve delete_file(path="/tmp/x")', "    waiting"]
    assert shown.startswith("asks  waiting\n")


def test_what_is_under_way_is_running_and_its_time_goes_on(tmp_path):
    with hanging(tmp_path / "c.db"):
        shown = show(tmp_path / "c.db")
    assert shown.startswith("hanging  running\n")
    assert "so far" in shown
    assert re.search(r"└─ other work +\S+ running", shown)


def test_what_a_killed_process_left_is_interrupted(tmp_path):
    with hanging(tmp_path / "c.db"):
        pass
    assert re.search(r"└─ other work +\S+ interrupted", show(tmp_path / "c.db"))


def test_full_tells_each_message_once_where_it_was_new(tmp_path):
    tape = Tape(tmp_path / "c.db")
    asked, called = (
        message("user", [text_part("what is 1+1?")]),
        tool_call_part("c1", "add", {"a": 1, "b": 1}),
    )
    tape.event("start", t=T0, run=run_id(1), step=step_id(1), kind="llm", messages=[asked])
    tape.event(
        "end",
        t=T0 + 1,
        run=run_id(1),
        step=step_id(1),
        status="ok",
        messages=[message("assistant", [called])],
    )
    answered = message("tool", [tool_response_part("c1", "2")])
    more = {"base": step_id(1), "keep": 1, "messages": [message("assistant", [called]), answered]}
    tape.event("start", t=T0 + 2, run=run_id(1), step=step_id(2), parent=step_id(1), kind="llm", **more)
    tape.event("end", t=T0 + 3, run=run_id(1), step=step_id(2), status="ok")
    tape.exit(t=T0 + SECOND)
    lines = [line.strip(" │") for line in show(tmp_path / "c.db", "--full").split("\n\n")[1].splitlines()]
    first = lines.index(f"step {step_id(1)}")
    second = lines.index(f"step {step_id(2)}")
    assert lines[first + 1 : first + 5] == [
        "input user:",
        "what is 1+1?",
        "output assistant:",
        "calls add(a=1, b=1)",
    ]
    assert lines[second + 1 :] == [
        "input: 1 earlier message, then",
        "input assistant:",
        "calls add(a=1, b=1)",
        "input tool:",
        "2",
    ]
