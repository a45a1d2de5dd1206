"""Why did the desk escalate this ticket and not others? Asked as a user asks, of the example in all four frameworks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli_story import invoke
from counterfoil.analysis.why import why
from counterfoil.store import read

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
FRAMEWORKS = ("langchain", "crewai", "llama_index", "autogen")
SEARCHES = ("search_billing", "search_policy", "search_product_manual", "search_shipping")


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """The record of four tickets in four frameworks."""
    home = tmp_path_factory.mktemp("desk")
    subprocess.run(
        [sys.executable, ROOT / "examples/support_desk/run.py", "--ticket", "all", "--db", home / "x.db"],
        check=True,
        capture_output=True,
        timeout=300,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("core", "integrations", "examples")),
            "HOME": str(home),
            "CREWAI_STORAGE_DIR": str(home / "crewai"),
        },
    )
    return home / "x.db"


@pytest.fixture
def store(desk):
    with read.open(desk) as opened:
        yield opened


def handoff(store, framework, ticket, target):
    runs = [one for one in store.runs(framework=framework) if f"Ticket {ticket} " in str(one.input)]
    (found,) = (one for one in store.handoffs(runs[0]) if one.target == target)
    return found


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_why_the_double_charge_was_escalated(store, framework):
    answer = why(store, handoff(store, framework, 1, "billing_specialist").handoff_id)
    choice, first, asked = answer.chain
    assert (answer.act.agent, answer.act.mode, answer.act.status) == ("triage", "escalation", "returned")
    assert "INV-2041 was paid on 3 and again on 4 March" in str(answer.act.result)
    assert choice.evidence == ("inferred" if framework == "crewai" else "native")
    assert sorted(str(one.tool) for one in choice.results) == sorted(SEARCHES)
    assert all(one.position is not None for one in choice.results)
    assert any(
        "Two charges for the same invoice are our mistake" in str(one.result) for one in choice.results
    )
    assert (
        "If money or an invoice is in question, ask the billing specialist: only they see payments."
        in answer.instructions
    )
    assert {one.tool for one in choice.offers} >= set(SEARCHES)
    assert sorted(one.tool for one in first.chosen) == sorted(SEARCHES)
    assert "Charged twice in March" in str(asked.input)
    assert (choice.new, choice.unknown, first.unknown) == ((), (), ())


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_why_it_was_escalated_and_other_tickets_were_not(store, framework):
    found = why(store, handoff(store, framework, 1, "billing_specialist").handoff_id).contrast
    assert (found.by, found.value, len(found.did), len(found.others)) == ("name", "support desk", 8, 8)
    assert (found.inputs_did, found.inputs_others, found.same_input, found.same_input_did) == (2, 2, 4, 4)
    assert found.instead == (("followup", 4),)
    # Two tickets against two: whatever word stands in them, it may be chance.
    assert (found.apart, found.judged) == ((), ("who",))
    assert store.run(found.near.run_id).frameworks == [framework]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_the_specialist_was_given_and_what_not(store, framework):
    found = why(store, handoff(store, framework, 1, "billing_specialist").handoff_id).knowledge
    user, *results = found.facts
    assert (user.role, user.given, user.missing) == ("user", "part", ("ada@example.com",))
    assert sorted(one.tool for one in results) == sorted(SEARCHES)
    assert "BILL-1" in next(one.missing for one in results if one.tool == "search_billing")
    assert (found.asked_again, found.unknown) == ((), ())


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_from_a_refund_back_to_the_ticket(store, framework):
    run = next(one for one in store.runs(framework=framework) if "Ticket 1 " in str(one.input))
    refund = next(one for one in store.tool_calls(run) if one.tool == "issue_refund")
    answer = why(store, refund.step_id)
    assert [(one.link, getattr(one, "agent", None)) for one in answer.chain] == [
        ("choice", "billing_specialist"),
        ("choice", "billing_specialist"),
        ("handoff", None),
        ("choice", "triage"),
        ("choice", "triage"),
        ("input", None),
    ]
    assert [one.tool for one in answer.chain[0].results] == ["look_up_invoice"]
    # CrewAI 1.15 does not tell what a model says beside its tool calls.
    said = "" if framework == "crewai" else "Two payments for one invoice: the second is our mistake."
    assert answer.chain[0].text == said
    assert len(answer.contrast.not_reached) == 8


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_why_the_ticket_went_on_to_the_follow_up_agent(store, framework):
    answer = why(store, handoff(store, framework, 4, "followup").handoff_id)
    choice = answer.chain[0]
    # In CrewAI the order of the tasks passes it on; what triage said last is shown, and that no model chose it.
    assert choice.evidence == (None if framework == "crewai" else "native")
    assert "counts as lost" in f"{choice.text} {answer.act.reason}"
    user = answer.knowledge.facts[0]
    assert (user.role, user.given) == ("user", "facts" if framework == "crewai" else "whole")
    whole = {one.tool for one in answer.knowledge.facts if one.tool and one.given == "whole"}
    assert whole == (
        {"search_shipping", "search_policy"} if framework in {"langchain", "llama_index"} else set()
    )


def test_the_answer_fits_a_screen_and_is_short(desk, store):
    for one in store.handoffs():
        shown = invoke("why", one.handoff_id, "--db", desk, columns=80)
        assert shown.exit_code == 0, shown.output
        lines = shown.stdout.splitlines()
        assert max(map(len, lines)) <= 80
        assert len(lines) <= 60
        assert "Too few to tell from chance" in shown.stdout


def test_any_step_has_an_answer(desk, store):
    for run in store.runs():
        for step in store.steps(run):
            assert why(store, step.step_id).chain, (step.kind, step.name)


def test_agents_and_handoffs_are_the_same_in_all_frameworks(desk, store):
    found = {(one.agent, one.framework): one for one in store.agents()}
    assert len(found) == 3 * len(FRAMEWORKS)
    shown = invoke("handoffs", "--db", desk, columns=80).stdout
    assert [line.split()[:5] for line in shown.splitlines()[1:]] == [
        ["triage", "followup", "transfer", "9"],
        ["triage", "billing_specialist", "escalation", "8", "100%"],
        ["triage", "followup", "route", "3"],
    ]
    graph = invoke("agents", "--graph", "text", "--db", desk).stdout
    assert "├─ billing_specialist  escalation 8" in graph
