"""The support desk in CrewAI, run as a user runs it: what the record says of each ticket, beside LangGraph's of the same."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import counterfoil
from ledger import agree
from nursery import CREWAI_WARNS, LLAMA_INDEX_WARNS
from portrait import portrait
from support_desk.endpoint import Endpoint
from support_desk.script import answer
from support_desk.tickets import TICKETS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
DESK = [EXAMPLES / "support_desk" / "run.py", "--ticket", "all"]
#: The one tool for any coworker that CrewAI has; in LangGraph, a tool for this one.
ASKS = {"ask_question_to_coworker": "ask_billing_specialist"}
#: The desk runs in LlamaIndex, too, unless it is asked for one framework.
WARNS = (*CREWAI_WARNS, *LLAMA_INDEX_WARNS)


def run(*command, home, **environment):
    """Run an example in a process of its own; it must end well and complain of nothing."""
    paths = [ROOT / "core", ROOT / "integrations", EXAMPLES]
    done = subprocess.run(
        [sys.executable, "-W", "error", *(f"-W{one}" for one in WARNS), *map(str, command)],
        capture_output=True,
        text=True,
        timeout=120,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "HOME": str(home),
            "CREWAI_STORAGE_DIR": str(home / "crewai"),
            **environment,
        },
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """The store of all four tickets in all four frameworks, answered offline; opened by nobody yet."""
    home = tmp_path_factory.mktemp("offline")
    said = run(*DESK, "--db", home / "counterfoil.db", home=home)
    assert f"Recorded. Now: counterfoil runs --db {home / 'counterfoil.db'}" in said
    return home / "counterfoil.db"


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """CrewAI's runs against an endpoint of ours, and that endpoint with its ledger."""
    home = tmp_path_factory.mktemp("live")
    with Endpoint(answer, strict=True) as endpoint:
        command = [*DESK, "--framework", "crewai", "--live", "--db", home / "counterfoil.db"]
        run(*command, home=home, OPENAI_API_KEY="k", OPENAI_BASE_URL=endpoint.url)
        yield home / "counterfoil.db", endpoint


def run_of(store, number, framework="crewai"):
    (found,) = (one for one in store.runs(framework=framework) if f"Ticket {number} from" in str(one.input))
    return found


class TestOffline:
    def test_plain_sqlite3_sees_everything_after_a_normal_end(self, offline):
        with sqlite3.connect(f"file:{offline}?mode=ro", uri=True) as plain:
            runs = plain.execute(
                "SELECT name, status, llm_calls, tool_calls, errors FROM runs WHERE frameworks = '[\"crewai\"]' ORDER BY started_at"
            )
            assert runs.fetchall() == [
                ("support desk", "ok", 9, 9, 0),
                ("support desk", "ok", 2, 2, 0),
                ("support desk", "ok", 10, 8, 1),
                ("support desk", "ok", 5, 4, 0),
            ]
            open_steps = plain.execute(
                "SELECT count(*) FROM steps WHERE status = 'running' OR ended_at IS NULL"
            )
            assert open_steps.fetchone() == (0,)
            (ended,) = plain.execute("SELECT ended_at IS NOT NULL FROM processes").fetchall()
            assert ended == (1,)
        plain.close()
        with counterfoil.open(offline) as store:  # and there is nothing more to be brought in
            assert (store.undrained_bytes, store.quarantine(), store.troubles()) == (0, [], [])

    def test_a_ticket_that_needs_a_specialist(self, offline):
        with counterfoil.open(offline) as store:
            assert portrait(store, run_of(store, 1)) == TICKET_1

    def test_a_ticket_that_the_knowledge_bases_answer(self, offline):
        with counterfoil.open(offline) as store:
            assert portrait(store, run_of(store, 2)) == TICKET_2

    def test_a_ticket_on_which_the_specialist_first_fails(self, offline):
        with counterfoil.open(offline) as store:
            assert portrait(store, run_of(store, 3)) == TICKET_3

    def test_a_ticket_on_which_no_specialist_is_asked(self, offline):
        with counterfoil.open(offline) as store:
            assert portrait(store, run_of(store, 4)) == TICKET_4

    def test_what_was_asked_of_the_specialist_stands_beside_why(self, offline):
        with counterfoil.open(offline) as store:
            (escalation, _) = store.handoffs(run_of(store, 3))
        assert escalation.target_asked == "billing_specialist"
        assert escalation.payload.startswith("Ticket 3: business customer C-118 needs invoice INV-2O77")


class TestBothFrameworks:
    @pytest.mark.parametrize("number", TICKETS)
    def test_the_same_agents_call_models_and_tools_in_the_same_order(self, offline, number):
        with counterfoil.open(offline) as store:
            runs = [run_of(store, number, framework) for framework in ("langchain", "crewai")]
            calls = [
                [(one.agent, one.status, one.finish_reason) for one in store.llm_calls(run)] for run in runs
            ]
            tools = [
                {
                    (one.agent, ASKS.get(one.tool, one.tool), one.status, one.error_message)
                    for one in store.tool_calls(run)
                }
                for run in runs
            ]
        # In LangGraph a tool passes the ticket on; in CrewAI the answer does.
        transfer = ("triage", "transfer_to_followup", "ok", None)
        assert tools[0] - {transfer} == tools[1]
        assert [call[:2] for call in calls[0]] == [call[:2] for call in calls[1]]

    @pytest.mark.parametrize("number", TICKETS)
    def test_the_same_agents_hand_over_to_the_same_agents(self, offline, number):
        with counterfoil.open(offline) as store:
            first, second = (
                [
                    (one.source, one.target, one.mode, one.status)
                    for one in store.handoffs(run_of(store, number, framework))
                ]
                for framework in ("langchain", "crewai")
            )
        # The next task's agent is CrewAI's choice, not triage's.
        assert [(*one[:2], "route" if one[2] == "transfer" else one[2], one[3]) for one in first] == second


class TestLive:
    def test_the_ledger_agrees_call_by_call(self, live):
        db, endpoint = live
        with counterfoil.open(db) as store:
            calls = agree(store, endpoint, beside=False)
            by_run = {found.run_id: found for found in store.runs()}
        assert len(calls) == len(endpoint.completions) == 26
        for found in by_run.values():
            mine = [call for call in calls if call.run_id == found.run_id]
            assert found.input_tokens == sum(call.input_tokens for call in mine)
            assert found.output_tokens == sum(call.output_tokens for call in mine)

    @pytest.mark.parametrize("number", TICKETS)
    def test_it_is_recorded_as_offline(self, live, offline, number):
        with counterfoil.open(live[0]) as store, counterfoil.open(offline) as other:
            assert portrait(store, run_of(store, number)) == portrait(other, run_of(other, number))

    def test_what_it_cost_is_known_by_agent(self, live):
        with counterfoil.open(live[0]) as store:
            costs = {one.key: one for one in store.cost(by="agent")}
            total = sum(found.cost_nano for found in store.runs())
        assert set(costs) == {"triage", "billing_specialist", "followup"}
        assert all(one.cost_nano > 0 and one.unpriced_calls == 0 for one in costs.values())
        assert sum(one.cost_nano for one in costs.values()) == total


class TestSmallest:
    EXAMPLE = EXAMPLES / "crewai_listener.py"

    def test_it_is_at_most_thirty_lines(self):
        assert len(self.EXAMPLE.read_text().splitlines()) <= 30

    def test_it_runs_and_is_recorded(self, tmp_path):
        db = tmp_path / "counterfoil.db"
        assert run(self.EXAMPLE, home=tmp_path, COUNTERFOIL_DB=str(db)) == "Take a raincoat.\n"
        with counterfoil.open(db) as store:
            (found,) = store.runs()
            tools = [(tool.tool, tool.arguments, tool.result) for tool in store.tool_calls()]
        assert (found.agent_names, found.status, found.llm_calls) == (["travel agent"], "ok", 2)
        assert tools == [("weather", {"city": "Bergen"}, "Bergen: rain, 9 degrees")]


TICKET_1 = """\
support desk: ok, 9 calls, 9 tools
  workflow support desk
    task triage
      agent triage
        llm call 1
        tool search_billing by call 1
        tool search_policy by call 1
        tool search_product_manual by call 1
        tool search_shipping by call 1
        llm call 2
        tool ask_question_to_coworker by call 2
          agent billing_specialist
            llm call 3
            tool look_up_invoice by call 3
            llm call 4
            tool issue_refund by call 4
            llm call 5
        llm call 6
    task follow up
      agent followup
        llm call 7
        tool draft_email by call 7
        llm call 8
        tool update_crm by call 8
        llm call 9
triage -> billing_specialist: escalation returned (native)
  chosen by call 2 (inferred), because: BILL-1: a second charge for one invoice is our mistake, and only billing sees the payments.
  answer: INV-2041 was paid on 3 and again on 4 March. I refunded the second 38.00 EUR to the card.
triage -> followup: route accepted (inferred)
  because: Tell the customer what was done, and log it. ...\
"""

TICKET_2 = """\
support desk: ok, 2 calls, 2 tools
  workflow support desk
    task triage
      agent triage
        llm call 1
        tool search_policy by call 1
        tool search_product_manual by call 1
        llm call 2\
"""

TICKET_3 = """\
support desk: ok, 10 calls, 8 tools
  workflow support desk
    task triage
      agent triage
        llm call 1
        tool search_billing by call 1
        tool search_policy by call 1
        llm call 2
        tool ask_question_to_coworker by call 2
          agent billing_specialist
            llm call 3
            tool look_up_invoice by call 3 error: there is no invoice INV-2O77; numbers are INV- and four digits
            llm call 4
            tool look_up_invoice by call 4
            llm call 5
            tool reissue_invoice by call 5
            llm call 6
        llm call 7
    task follow up
      agent followup
        llm call 8
        tool draft_email by call 8
        llm call 9
        tool update_crm by call 9
        llm call 10
triage -> billing_specialist: escalation returned (native)
  chosen by call 2 (inferred), because: BILL-2: a billing specialist issues the invoice again.
  answer: The number is INV-2077, with a zero. It is issued again with VAT number IT00743110157.
triage -> followup: route accepted (inferred)
  because: Tell the customer what was done, and log it. ...\
"""

TICKET_4 = """\
support desk: ok, 5 calls, 4 tools
  workflow support desk
    task triage
      agent triage
        llm call 1
        tool search_policy by call 1
        tool search_shipping by call 1
        llm call 2
    task follow up
      agent followup
        llm call 3
        tool draft_email by call 3
        llm call 4
        tool update_crm by call 4
        llm call 5
triage -> followup: route accepted (inferred)
  because: Tell the customer what was done, and log it. ...\
"""
