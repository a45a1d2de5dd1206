"""The support desk and the smallest examples, run as a user runs them, in each framework: what the record says.

That the record is the same in all of them, tests/conformance shows.
"""

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
#: Each framework's adapter, and how many tools its four tickets take: in CrewAI no tool passes a ticket on.
FRAMEWORKS = {
    "langgraph": ("langchain", (10, 2, 9, 5)),
    "crewai": ("crewai", (9, 2, 8, 4)),
    "llama_index": ("llama_index", (10, 2, 9, 5)),
    "autogen": ("autogen", (10, 2, 9, 5)),
}
#: How a framework has a specialist asked, where it is not by the tool that LangGraph's desk has for it.
ASKS = {"ask_question_to_coworker": "ask_billing_specialist", "billing_specialist": "ask_billing_specialist"}
PASSES = {"handoff": "transfer_to_followup"}
SMALLEST = {
    "langchain_handler": ("travel_agent", "Take the 08:04 and a raincoat.\n"),
    "crewai_listener": ("travel agent", "Take a raincoat.\n"),
    "llama_index_install": ("travel_agent", "Take a raincoat.\n"),
    "autogen_install": ("travel_agent", "Take a raincoat.\n"),
}


def run(*command, home, **environment):
    """Run an example in a process of its own; it must end well and complain of nothing."""
    paths = [ROOT / "core", ROOT / "integrations", EXAMPLES]
    filters = [f"-W{one}" for one in (*CREWAI_WARNS, *LLAMA_INDEX_WARNS)]
    done = subprocess.run(
        [sys.executable, "-W", "error", *filters, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=300,
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


@pytest.fixture(scope="module", params=FRAMEWORKS)
def live(request, tmp_path_factory):
    """A framework's runs against an endpoint of ours: that framework, the store, and the endpoint with its ledger."""
    home = tmp_path_factory.mktemp("live")
    with Endpoint(answer, strict=True) as endpoint:
        command = [*DESK, "--framework", request.param, "--live", "--db", home / "counterfoil.db"]
        run(*command, home=home, OPENAI_API_KEY="k", OPENAI_BASE_URL=endpoint.url)
        yield request.param, home / "counterfoil.db", endpoint


def run_of(store, number, framework):
    adapter, _ = FRAMEWORKS[framework]
    (found,) = (one for one in store.runs(framework=adapter) if f"Ticket {number} from" in str(one.input))
    return found


def choices(store, run):
    """Give each tool call as (agent, tool, which of the run's model calls chose it)."""
    calls = [call.step_id for call in store.llm_calls(run)]
    return sorted(
        (one.agent, PASSES.get(one.tool, ASKS.get(one.tool, one.tool)), calls.index(one.decided_by))
        for one in store.tool_calls(run)
    )


class TestOffline:
    def test_plain_sqlite3_sees_everything_after_a_normal_end(self, offline):
        with sqlite3.connect(f"file:{offline}?mode=ro", uri=True) as plain:
            runs = plain.execute(
                "SELECT framework, status, llm_calls, tool_calls, errors FROM runs ORDER BY started_at"
            ).fetchall()
            for adapter, tools in FRAMEWORKS.values():
                assert [found[1:] for found in runs if found[0] == adapter] == [
                    ("ok", calls, called, errors)
                    for calls, called, errors in zip((9, 2, 10, 5), tools, (0, 0, 1, 0), strict=True)
                ]
            open_steps = plain.execute(
                "SELECT count(*) FROM steps WHERE status = 'running' OR ended_at IS NULL"
            )
            assert open_steps.fetchone() == (0,)
            assert plain.execute("SELECT ended_at IS NOT NULL FROM processes").fetchall() == [(1,)]
        plain.close()
        with counterfoil.open(offline) as store:  # and there is nothing more to be brought in
            assert (store.undrained_bytes, store.quarantine(), store.troubles()) == (0, [], [])

    def test_a_ticket_that_needs_a_specialist(self, offline):
        with counterfoil.open(offline) as store:
            assert portrait(store, run_of(store, 1, "langgraph")) == TICKET_1

    def test_a_ticket_on_which_the_specialist_first_fails(self, offline):
        with counterfoil.open(offline) as store:
            assert portrait(store, run_of(store, 3, "langgraph")) == TICKET_3

    @pytest.mark.parametrize("framework", [*FRAMEWORKS][1:])
    @pytest.mark.parametrize("number", TICKETS)
    def test_each_tool_was_chosen_by_the_model_call_that_chose_it_in_langgraph(
        self, offline, framework, number
    ):
        with counterfoil.open(offline) as store:
            expected, found = (choices(store, run_of(store, number, one)) for one in ("langgraph", framework))
        if framework == "crewai":  # no tool, but the answer passes the ticket on
            expected = [one for one in expected if one[1] != "transfer_to_followup"]
        assert found == expected

    @pytest.mark.parametrize("framework", FRAMEWORKS)
    @pytest.mark.parametrize("number", TICKETS)
    def test_the_same_articles_are_read_with_their_scores(self, offline, framework, number):
        with counterfoil.open(offline) as store:
            read, expected = (
                sorted((one.agent, one.item_id) for one in store.accesses(run_of(store, number, one_of)))
                for one_of in (framework, "langgraph")
            )
            scores = [one.score for one in store.accesses(run_of(store, number, framework))]
        assert read == expected != []
        # LangChain's documents have no score of their own.
        assert all(score is None or 0 < score <= 1 for score in scores)
        assert (None in scores) == (framework == "langgraph")

    def test_a_conversation_has_its_name_where_the_framework_or_the_user_gives_one(self, offline):
        with counterfoil.open(offline) as store:
            sessions = {one: run_of(store, 1, one).session_id for one in FRAMEWORKS}
        assert sessions == {one: None if one == "crewai" else "ticket-1" for one in FRAMEWORKS}

    def test_the_labels_of_a_run_are_the_users(self, offline):
        with counterfoil.open(offline) as store:
            assert run_of(store, 1, "langgraph").labels["tags"] == "support"
            assert run_of(store, 1, "llama_index").labels == {"customer": "C-204", "tier": "gold"}

    def test_a_run_says_what_stopped_the_team(self, offline):
        with counterfoil.open(offline) as store:
            stopped = [run_of(store, number, "autogen").stop_reason for number in (1, 2)]
        assert stopped == [f"Text message received from '{who}'" for who in ("followup", "triage")]


class TestLive:
    def test_the_ledger_agrees_call_by_call(self, live):
        framework, db, endpoint = live
        with counterfoil.open(db) as store:
            calls = agree(store, endpoint, beside=framework != "crewai")
            by_run = {found.run_id: found for found in store.runs()}
        assert len(calls) == len(endpoint.completions) == 26
        for found in by_run.values():
            mine = [call for call in calls if call.run_id == found.run_id]
            assert found.input_tokens == sum(call.input_tokens for call in mine)
            assert found.output_tokens == sum(call.output_tokens for call in mine)

    def test_it_is_recorded_as_offline(self, live, offline):
        framework, db, _ = live
        with counterfoil.open(db) as store, counterfoil.open(offline) as other:
            for number in TICKETS:
                live_run, offline_run = run_of(store, number, framework), run_of(other, number, framework)
                assert portrait(store, live_run) == portrait(other, offline_run)

    def test_what_it_cost_is_known_by_agent(self, live):
        _, db, _ = live
        with counterfoil.open(db) as store:
            costs = {one.key: one for one in store.cost(by="agent")}
            total = sum(found.cost_nano for found in store.runs())
        assert set(costs) == {"triage", "billing_specialist", "followup"}
        assert all(one.cost_nano > 0 and one.unpriced_calls == 0 for one in costs.values())
        assert sum(one.cost_nano for one in costs.values()) == total


@pytest.mark.parametrize("example", SMALLEST)
class TestSmallest:
    def test_it_is_at_most_thirty_lines(self, example):
        assert len((EXAMPLES / f"{example}.py").read_text().splitlines()) <= 30

    def test_it_runs_and_is_recorded(self, example, tmp_path):
        db = tmp_path / "counterfoil.db"
        agent, said = SMALLEST[example]
        assert run(EXAMPLES / f"{example}.py", home=tmp_path, COUNTERFOIL_DB=str(db)) == said
        with counterfoil.open(db) as store:
            (found,) = store.runs()
            tools = {tool.tool: (tool.arguments, tool.result) for tool in store.tool_calls()}
        assert (found.agent_names, found.status, found.llm_calls) == ([agent], "ok", 2)
        assert tools["weather"] == ({"city": "Bergen"}, "Bergen: rain, 9 degrees")


TICKET_1 = """\
support desk: ok, 9 calls, 10 tools
  workflow support desk
    agent triage
      llm call 1
      tool search_billing by call 1
        retrieval billing
      tool search_policy by call 1
        retrieval policy
      tool search_product_manual by call 1
        retrieval product_manual
      tool search_shipping by call 1
        retrieval shipping
      llm call 2
      tool ask_billing_specialist by call 2
        agent billing_specialist
          llm call 3
          tool look_up_invoice by call 3
          llm call 4
          tool issue_refund by call 4
          llm call 5
      llm call 6
      tool transfer_to_followup by call 6
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
triage read billing BILL-1
triage read billing BILL-2
triage read policy POL-1
triage read product_manual MAN-3
triage read shipping SHIP-1
triage read shipping SHIP-3\
"""

TICKET_3 = """\
support desk: ok, 10 calls, 9 tools
  workflow support desk
    agent triage
      llm call 1
      tool search_billing by call 1
        retrieval billing
      tool search_policy by call 1
        retrieval policy
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
      tool transfer_to_followup by call 7
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
triage read billing BILL-2
triage read billing BILL-4
triage read policy POL-4\
"""
