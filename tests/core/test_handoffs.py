"""Handoffs under way (mapping, section 3): who was asked, who came, what returned, found from the steps alone."""

import threading

import pytest

from counterfoil.events import message, tool_call_part
from counterfoil.recorder import Recorder
from tape_reading import lines


@pytest.fixture
def db(tmp_path):
    return tmp_path / "x.db"


class Story:
    """A run told in few words."""

    def __init__(self, db):
        self.recorder = Recorder(str(db))
        self.root = self.recorder.start("workflow", "desk", framework="test")

    def start(self, kind, name, parent=None, **more):
        return self.recorder.start(kind, name, framework="test", parent=parent or self.root, **more)

    def agent(self, name, parent=None, **more):
        return self.start("agent", name, parent, **more)

    def turn(self, name, parent=None, status="ok"):
        step = self.agent(name, parent)
        self.end(step, status)
        return step

    def end(self, step=None, status="ok", **more):
        self.recorder.end(step or self.root, status, **more)


@pytest.fixture
def story(db, monkeypatch):
    monkeypatch.setenv("COUNTERFOIL_RAISE", "1")  # an error of our own is to fail the test
    told = Story(db)
    yield told
    told.recorder.close()


def handoffs(db):
    """Give each handoff as `source > target mode: status, status`, with its latest mode and target."""
    told = {}
    for line in lines(db, "handoff"):
        row = told.setdefault(line.head.handoff, {"statuses": []})
        row["statuses"].append(line.head.status)
        for name in ("source", "target"):
            row[name] = getattr(line.text, name) or row.get(name)
        row["mode"] = line.head.mode or row.get("mode")
    return [
        f"{row['source']} > {row['target']} {row['mode']}: {', '.join(row['statuses'])}"
        for row in told.values()
    ]


# -- escalation: a sub-agent behind a tool


def test_an_agent_behind_a_tool_is_asked_and_answers(db, story):
    asker = story.agent("triage")
    tool = story.start("tool", "ask_billing", asker, input={"reason": "a refund", "case": 7})
    story.turn("billing", tool)
    story.end(tool)
    assert handoffs(db) == ["triage > billing escalation: requested, accepted, returned"]
    asked, accepted, _ = lines(db, "handoff")
    assert (asked.head.step, asked.head.t, asked.head.evidence) == (tool.step_id, tool.started_ns, "inferred")
    assert asked.text.reason == "a refund"
    assert asked.parts["payload"] == {"reason": "a refund", "case": 7}
    assert accepted.head.target_step is not None


@pytest.mark.parametrize(
    ("status", "outcome"), [("error", "failed"), ("cancelled", "abandoned"), ("denied", "abandoned")]
)
def test_an_escalation_whose_tool_ends_badly_has_not_returned(db, story, status, outcome):
    tool = story.start("tool", "ask", story.agent("triage"))
    story.turn("billing", tool, status)
    story.end(tool, status)
    assert handoffs(db) == [f"triage > billing escalation: requested, accepted, {outcome}"]


def test_an_escalation_whose_tool_waits_for_a_human_is_still_under_way(db, story):
    tool = story.start("tool", "ask", story.agent("triage"))
    story.turn("billing", tool)
    story.end(tool, "waiting")
    assert handoffs(db) == ["triage > billing escalation: requested, accepted"]


def test_a_team_behind_a_tool_is_one_target_of_type_workflow(db, story):
    tool = story.start("tool", "ask_team", story.agent("triage"))
    team = story.start("workflow", "back office", tool)
    story.turn("planner", team)
    story.turn("writer", team)
    story.end(team)
    story.end(tool)
    assert handoffs(db) == ["triage > back office escalation: requested, accepted, returned"]
    assert lines(db, "handoff")[0].head.target_type == "workflow"


def test_what_the_adapter_saw_asked_natively_is_not_inferred_again(db, story):
    tool = story.start("tool", "task", story.agent("triage"))
    story.recorder.handoff("escalation", target="worker", target_asked="worker-1", step=tool)
    story.turn("Worker", tool)
    story.end(tool)
    assert handoffs(db) == ["triage > Worker escalation: requested, accepted, returned"]


def test_what_was_asked_and_never_came_is_abandoned_or_failed(db, story):
    for status in ("ok", "error"):
        tool = story.start("tool", "task", story.agent("triage"))
        story.recorder.handoff("escalation", target="worker", step=tool)
        story.end(tool, status)
    assert handoffs(db) == [
        "triage > worker escalation: requested, abandoned",
        "triage > worker escalation: requested, failed",
    ]


def test_an_agent_that_calls_itself_through_a_tool_hands_off_to_nobody(db, story):
    tool = story.start("tool", "again", story.agent("triage"))
    story.turn("triage", tool)
    story.end(tool)
    assert handoffs(db) == []


def test_the_asker_is_the_nearest_agent_and_chose_by_a_model_call(db, story):
    asker = story.agent("triage")
    model = story.start("llm", "chat", asker)
    story.end(model, messages=[message("assistant", [tool_call_part("c1", "ask", {})])])
    tool = story.start("tool", "ask", asker, call_id="c1")
    story.turn("billing", tool)
    assert lines(db, "handoff")[0].head.decided == model.step_id


def test_an_agent_that_said_whom_it_asks_gets_the_answer_when_that_one_ends(db, story):
    asker = story.agent("triage")
    story.recorder.handoff("escalation", target="billing", step=asker)
    answering = story.agent("billing", asker)
    assert handoffs(db) == ["triage > billing escalation: requested, accepted"]
    story.end(answering)
    assert handoffs(db) == ["triage > billing escalation: requested, accepted, returned"]


# -- transfer


def test_control_that_is_passed_is_accepted_when_the_target_starts(db, story):
    triage = story.agent("triage")
    story.recorder.handoff("transfer", target="follow-up", step=triage)
    story.end(triage)
    came = story.agent("follow-up")
    story.end(came)
    story.end()
    assert handoffs(db) == ["triage > follow-up transfer: requested, accepted"]
    assert came.came_by
    assert lines(db, "handoff")[1].head.target_step == came.step_id


def test_a_target_is_known_by_its_other_names_too(db, story):
    triage = story.agent("triage")
    story.recorder.handoff("transfer", target="node_7", step=triage)
    story.end(triage)
    story.agent("Follow-up", aliases=("node_7",))
    assert handoffs(db) == ["triage > Follow-up transfer: requested, accepted"]
    assert lines(db, "handoff")[0].text.target_asked == "node_7"


def test_of_two_that_are_asked_at_once_the_one_that_starts_is_accepted(db, story):
    triage = story.agent("triage")
    for target in ("billing", "shipping"):
        story.recorder.handoff("transfer", target=target, step=triage)
    story.end(triage)
    story.turn("shipping")
    story.end()
    assert handoffs(db) == [
        "triage > billing transfer: requested, abandoned",
        "triage > shipping transfer: requested, accepted",
    ]


def test_a_transfer_whose_attempt_raised_has_failed(db, story):
    triage = story.agent("triage")
    story.recorder.handoff("transfer", target="billing", step=triage)
    story.recorder.handoff("transfer", target="nobody", step=triage)
    story.end(triage)
    story.end(status="error")
    assert handoffs(db) == [
        "triage > billing transfer: requested, abandoned",
        "triage > nobody transfer: requested, failed",
    ]


def test_a_transfer_refused_is_told_with_who_refused_it(db, story):
    triage = story.agent("triage")
    story.recorder.handoff("transfer", target="nobody", step=triage, status="refused", refused_by="framework")
    story.turn("nobody")
    assert handoffs(db) == ["triage > nobody transfer: requested, refused"]
    assert lines(db, "handoff")[1].head.refused_by == "framework"


def test_control_that_comes_back_by_itself_was_an_escalation(db, story):
    boss = story.agent("boss")
    story.recorder.handoff("transfer", target="worker", step=boss)
    story.end(boss)
    story.turn("worker")
    story.turn("boss")
    assert handoffs(db) == ["boss > worker escalation: requested, accepted, returned"]


def test_control_that_the_target_passed_on_did_not_come_back_by_itself(db, story):
    boss = story.agent("boss")
    story.recorder.handoff("transfer", target="worker", step=boss)
    story.end(boss)
    worker = story.agent("worker")
    story.recorder.handoff("transfer", target="boss", step=worker)
    story.end(worker)
    story.turn("boss")
    assert handoffs(db) == [
        "boss > worker transfer: requested, accepted",
        "worker > boss transfer: requested, accepted",
    ]


def test_a_transfer_waits_in_its_own_workflow_alone(db, story):
    inner = story.start("workflow", "inner")
    asking = story.agent("a", inner)
    story.recorder.handoff("transfer", target="b", step=asking)
    story.end(asking)
    story.turn("b")
    assert handoffs(db) == ["a > b transfer: requested"]
    story.end(inner)
    assert handoffs(db) == ["a > b transfer: requested, abandoned"]


def test_a_step_that_turns_out_to_be_an_agent_is_matched_then(db, story):
    triage = story.agent("triage")
    story.recorder.handoff("transfer", target="late", step=triage)
    step = story.start("task", "late")
    assert handoffs(db) == ["triage > late transfer: requested"]
    story.recorder.amend(step, kind="agent")
    assert handoffs(db) == ["triage > late transfer: requested, accepted"]


def test_handoffs_from_parallel_threads_are_all_accepted(db, story):
    triage = story.agent("triage")
    barrier = threading.Barrier(8)

    def pass_on(number):
        barrier.wait()
        for turn in range(20):
            story.recorder.handoff("transfer", target=f"agent {number}.{turn}", step=triage)

    threads = [threading.Thread(target=pass_on, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for number in range(8):
        for turn in range(20):
            story.turn(f"agent {number}.{turn}")
    told = handoffs(db)
    assert len(told) == 160
    assert {one.split(": ")[1] for one in told} == {"requested, accepted"}


# -- humans


def test_a_question_to_a_human_is_an_escalation_that_the_answer_returns(db, story):
    triage = story.agent("triage")
    human = story.recorder.ask(triage, {"question": "refund?"}, name="clerk")
    assert handoffs(db) == ["triage > clerk escalation: requested"]
    (asked,) = lines(db, "handoff")
    assert (asked.head.target_type, asked.head.target_step) == ("human", human.step_id)
    assert asked.parts["payload"] == {"question": "refund?"}
    story.recorder.answered(human, "yes")
    assert handoffs(db) == ["triage > clerk escalation: requested, returned"]


def test_a_question_outlives_the_code_that_asked_it(db, story):
    tool = story.start("tool", "refund", story.agent("triage"))
    story.recorder.ask(tool, "refund?")
    story.end(tool, "waiting")
    story.end(status="waiting")
    assert handoffs(db) == ["triage > human escalation: requested"]
    assert [one.head.step for one in lines(db, "close")] == [tool.parent.step_id]


def test_an_approval_is_no_handoff(db, story):
    tool = story.start("tool", "refund", story.agent("triage"))
    human = story.recorder.ask(tool, "May I?", approval=("refund", {"sum": 5}))
    story.recorder.answered(human, approval="approved", by="ada", comment="fine")
    assert handoffs(db) == []
    waiting, approved = lines(db, "approval")
    assert (waiting.head.status, waiting.text.name, waiting.parts["payload"]) == (
        "waiting",
        "refund",
        {"sum": 5},
    )
    assert (approved.head.status, approved.text.answered_by, approved.text.comment) == (
        "approved",
        "ada",
        "fine",
    )
    assert waiting.head.item == approved.head.item
