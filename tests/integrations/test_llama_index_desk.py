"""The support desk in LlamaIndex, run as a user runs it: what the record says of each ticket, beside LangGraph's of the same."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import counterfoil
from ledger import agree
from nursery import LLAMA_INDEX_WARNS
from portrait import portrait
from support_desk.endpoint import Endpoint
from support_desk.script import answer
from support_desk.tickets import TICKETS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
DESK = [EXAMPLES / "support_desk" / "run.py", "--ticket", "all"]
#: LlamaIndex has one tool to hand off to any agent; in LangGraph, a tool for this one.
SAME = {"handoff": "transfer_to_followup"}


def run(*command, home, **environment):
    """Run an example in a process of its own; it must end well and complain of nothing."""
    paths = [ROOT / "core", ROOT / "integrations", EXAMPLES]
    done = subprocess.run(
        [sys.executable, "-W", "error", *(f"-W{one}" for one in LLAMA_INDEX_WARNS), *map(str, command)],
        capture_output=True,
        text=True,
        timeout=120,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "HOME": str(home),
            **environment,
        },
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """The store of all four tickets in LlamaIndex and in LangGraph, answered offline; opened by nobody yet."""
    home = tmp_path_factory.mktemp("offline")
    for framework in ("langgraph", "llama_index"):
        said = run(*DESK, "--framework", framework, "--db", home / "counterfoil.db", home=home)
        assert f"Recorded. Now: counterfoil runs --db {home / 'counterfoil.db'}" in said
    return home / "counterfoil.db"


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """LlamaIndex's runs against an endpoint of ours, and that endpoint with its ledger."""
    home = tmp_path_factory.mktemp("live")
    with Endpoint(answer, strict=True) as endpoint:
        command = [*DESK, "--framework", "llama_index", "--live", "--db", home / "counterfoil.db"]
        run(*command, home=home, OPENAI_API_KEY="k", OPENAI_BASE_URL=endpoint.url)
        yield home / "counterfoil.db", endpoint


def run_of(store, number, framework="llama_index"):
    (found,) = store.runs(framework=framework, session=f"ticket-{number}")
    return found


class TestOffline:
    def test_plain_sqlite3_sees_everything_after_a_normal_end(self, offline):
        with sqlite3.connect(f"file:{offline}?mode=ro", uri=True) as plain:
            runs = plain.execute(
                "SELECT session_id, status, llm_calls, tool_calls, errors FROM runs "
                "WHERE frameworks = '[\"llama_index\"]' ORDER BY session_id"
            )
            assert runs.fetchall() == [
                ("ticket-1", "ok", 9, 10, 0),
                ("ticket-2", "ok", 2, 2, 0),
                ("ticket-3", "ok", 10, 9, 1),
                ("ticket-4", "ok", 5, 5, 0),
            ]
            open_steps = plain.execute(
                "SELECT count(*) FROM steps WHERE status = 'running' OR ended_at IS NULL"
            )
            assert open_steps.fetchone() == (0,)
            ended = plain.execute("SELECT ended_at IS NOT NULL FROM processes").fetchall()
            assert ended == [(1,), (1,)]
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

    def test_what_a_retriever_found_stands_with_its_score_and_size(self, offline):
        with counterfoil.open(offline) as store:
            reads = store.accesses(run_of(store, 4))
        assert {one.source for one in reads} == {"KnowledgeRetriever"}
        assert all(0 < one.score <= 1 and one.bytes > 0 for one in reads)

    def test_the_labels_of_the_run_are_the_users(self, offline):
        with counterfoil.open(offline) as store:
            assert run_of(store, 1).labels == {"customer": "C-204", "tier": "gold"}


class TestBesideLangGraph:
    @pytest.mark.parametrize("number", TICKETS)
    def test_the_same_agents_call_models_and_tools(self, offline, number):
        with counterfoil.open(offline) as store:
            runs = [run_of(store, number, framework) for framework in ("langchain", "llama_index")]
            calls = [[(one.agent, one.status) for one in store.llm_calls(run)] for run in runs]
            tools = [
                sorted(
                    (one.agent, SAME.get(one.tool, one.tool), one.status, str(one.error_message))
                    for one in store.tool_calls(run)
                )
                for run in runs
            ]
        assert calls[0] == calls[1]
        assert tools[0] == tools[1]

    @pytest.mark.parametrize("number", TICKETS)
    def test_the_same_agents_hand_over_to_the_same_agents_for_the_same_reasons(self, offline, number):
        with counterfoil.open(offline) as store:
            first, second = (
                [
                    (one.source, one.target, one.mode, one.status, one.reason)
                    for one in store.handoffs(run_of(store, number, framework))
                ]
                for framework in ("langchain", "llama_index")
            )
        assert first == second

    @pytest.mark.parametrize("number", TICKETS)
    def test_the_same_articles_are_read_by_the_same_agents(self, offline, number):
        with counterfoil.open(offline) as store:
            first, second = (
                sorted((one.agent, one.item_id) for one in store.accesses(run_of(store, number, framework)))
                for framework in ("langchain", "llama_index")
            )
        assert first == second != []


class TestLive:
    def test_the_ledger_agrees_call_by_call(self, live):
        db, endpoint = live
        with counterfoil.open(db) as store:
            calls = agree(store, endpoint)
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
    EXAMPLE = EXAMPLES / "llama_index_install.py"

    def test_it_is_at_most_thirty_lines(self):
        assert len(self.EXAMPLE.read_text().splitlines()) <= 30

    def test_it_runs_and_is_recorded(self, tmp_path):
        db = tmp_path / "counterfoil.db"
        assert run(self.EXAMPLE, home=tmp_path, COUNTERFOIL_DB=str(db)) == "Take a raincoat.\n"
        with counterfoil.open(db) as store:
            (found,) = store.runs()
            tools = [(tool.tool, tool.arguments, tool.result) for tool in store.tool_calls()]
        assert (found.agent_names, found.status, found.llm_calls) == (["travel_agent"], "ok", 2)
        assert tools == [("weather", {"city": "Bergen"}, "Bergen: rain, 9 degrees")]


TICKET_1 = """\
support desk: ok, 9 calls, 10 tools
  workflow support desk
    agent triage
      llm call 1
      tool search_billing by call 1
        retrieval KnowledgeRetriever
      tool search_policy by call 1
        retrieval KnowledgeRetriever
      tool search_product_manual by call 1
        retrieval KnowledgeRetriever
      tool search_shipping by call 1
        retrieval KnowledgeRetriever
      llm call 2
      tool ask_billing_specialist by call 2
        agent billing_specialist
          llm call 3
          tool look_up_invoice by call 3
          llm call 4
          tool issue_refund by call 4
          llm call 5
      llm call 6
      tool handoff by call 6
    agent followup
      llm call 7
      tool draft_email by call 7
      llm call 8
      tool update_crm by call 8
      llm call 9
triage -> billing_specialist: escalation returned (inferred)
  chosen by call 2 (native), because: Ticket 1: customer C-204 was charged 38.00 EUR twice for invoice INV-2041, on 3 and 4 March. Is that so, and can one be refunded?
  answer: INV-2041 was paid on 3 and again on 4 March. I refunded the second 38.00 EUR to the card.
triage -> followup: transfer accepted (native)
  chosen by call 6 (native), because: INV-2041 was paid twice and 38.00 EUR are refunded; the customer must be told.
triage read KnowledgeRetriever BILL-1
triage read KnowledgeRetriever BILL-2
triage read KnowledgeRetriever MAN-3
triage read KnowledgeRetriever POL-1
triage read KnowledgeRetriever SHIP-1
triage read KnowledgeRetriever SHIP-3\
"""

TICKET_2 = """\
support desk: ok, 2 calls, 2 tools
  workflow support desk
    agent triage
      llm call 1
      tool search_policy by call 1
        retrieval KnowledgeRetriever
      tool search_product_manual by call 1
        retrieval KnowledgeRetriever
      llm call 2
triage read KnowledgeRetriever MAN-1
triage read KnowledgeRetriever MAN-2
triage read KnowledgeRetriever POL-2\
"""

TICKET_3 = """\
support desk: ok, 10 calls, 9 tools
  workflow support desk
    agent triage
      llm call 1
      tool search_billing by call 1
        retrieval KnowledgeRetriever
      tool search_policy by call 1
        retrieval KnowledgeRetriever
      llm call 2
      tool ask_billing_specialist by call 2
        agent billing_specialist
          llm call 3
          tool look_up_invoice by call 3 error: there is no invoice INV-2O77; numbers are INV- and four digits
          llm call 4
          tool look_up_invoice by call 4
          llm call 5
          tool reissue_invoice by call 5
          llm call 6
      llm call 7
      tool handoff by call 7
    agent followup
      llm call 8
      tool draft_email by call 8
      llm call 9
      tool update_crm by call 9
      llm call 10
triage -> billing_specialist: escalation returned (inferred)
  chosen by call 2 (native), because: Ticket 3: business customer C-118 needs invoice INV-2O77 with VAT number IT00743110157. Please issue it again.
  answer: The number is INV-2077, with a zero. It is issued again with VAT number IT00743110157.
triage -> followup: transfer accepted (native)
  chosen by call 7 (native), because: INV-2077 was issued again with the VAT number; the customer wants to have it.
triage read KnowledgeRetriever BILL-2
triage read KnowledgeRetriever BILL-4
triage read KnowledgeRetriever POL-4\
"""

TICKET_4 = """\
support desk: ok, 5 calls, 5 tools
  workflow support desk
    agent triage
      llm call 1
      tool search_policy by call 1
        retrieval KnowledgeRetriever
      tool search_shipping by call 1
        retrieval KnowledgeRetriever
      llm call 2
      tool handoff by call 2
    agent followup
      llm call 3
      tool draft_email by call 3
      llm call 4
      tool update_crm by call 4
      llm call 5
triage -> followup: transfer accepted (native)
  chosen by call 2 (native), because: HB-55120 counts as lost; by POL-3 a new parcel is sent without questions.
triage read KnowledgeRetriever POL-3
triage read KnowledgeRetriever SHIP-1
triage read KnowledgeRetriever SHIP-2\
"""
