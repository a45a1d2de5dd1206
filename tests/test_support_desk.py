"""The support desk: its search, its back office, and the way each ticket takes through the agents."""

import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.messages import ToolMessage
from langchain_openai import ChatOpenAI

from support_desk.back_office import BackOffice, BackOfficeError
from support_desk.endpoint import Endpoint
from support_desk.instructions import BILLING_SPECIALIST, FOLLOW_UP, TRIAGE
from support_desk.knowledge import KNOWLEDGE_BASES
from support_desk.langgraph_desk import build_desk
from support_desk.script import answer
from support_desk.tickets import TICKETS

RUN = Path(__file__).parents[1] / "examples" / "support_desk" / "run.py"
AGENTS = {TRIAGE: "triage", BILLING_SPECIALIST: "billing_specialist", FOLLOW_UP: "followup"}
FOUR_SEARCHES = ["search_billing", "search_shipping", "search_product_manual", "search_policy"]
LETTER = [("followup", ["draft_email"]), ("followup", ["update_crm"]), ("followup", "text")]
PATHS = {
    1: [
        ("triage", FOUR_SEARCHES),
        ("triage", ["ask_billing_specialist"]),
        ("billing_specialist", ["look_up_invoice"]),
        ("billing_specialist", ["issue_refund"]),
        ("billing_specialist", "text"),
        ("triage", ["transfer_to_followup"]),
        *LETTER,
    ],
    2: [("triage", ["search_product_manual", "search_policy"]), ("triage", "text")],
    3: [
        ("triage", ["search_billing", "search_policy"]),
        ("triage", ["ask_billing_specialist"]),
        ("billing_specialist", ["look_up_invoice"]),
        ("billing_specialist", ["look_up_invoice"]),
        ("billing_specialist", ["reissue_invoice"]),
        ("billing_specialist", "text"),
        ("triage", ["transfer_to_followup"]),
        *LETTER,
    ],
    4: [("triage", ["search_shipping", "search_policy"]), ("triage", ["transfer_to_followup"]), *LETTER],
}


class Heard(BaseCallbackHandler):
    """What the framework reports of retrievals and failed tools."""

    def __init__(self):
        self.read, self.failed = [], []

    def on_retriever_end(self, documents, **_):
        self.read += [document.id for document in documents]

    def on_tool_error(self, error, **_):
        self.failed.append(str(error))


@pytest.fixture
def endpoint():
    with Endpoint(answer, strict=True) as endpoint:
        yield endpoint


@pytest.fixture
def desk(endpoint):
    """Give the desk as a graph, and its back office."""
    model = ChatOpenAI(
        model="gpt-4.1-mini", base_url=endpoint.url, api_key="offline", stream_usage=True, max_retries=0
    )
    office = BackOffice()
    return build_desk(model, office), office


def ask(number):
    return {"messages": [("user", TICKETS[number].text)]}


def path_of(endpoint):
    """Give who asked the endpoint for what: the agent, and the tools that it was told to call."""
    return [
        (
            AGENTS[entry.messages[0]["content"]],
            [c["function"]["name"] for c in entry.answer.get("tool_calls", [])] or "text",
        )
        for entry in endpoint.completions
    ]


class TestDesk:
    @pytest.mark.parametrize("number", TICKETS)
    def test_each_ticket_takes_its_way(self, endpoint, desk, number):
        desk[0].invoke(ask(number))
        assert path_of(endpoint) == PATHS[number]
        assert len(endpoint.ledger) == len(endpoint.completions)

    @pytest.mark.parametrize("number", TICKETS)
    async def test_each_ticket_takes_the_same_way_in_asyncio(self, endpoint, desk, number):
        await desk[0].ainvoke(ask(number))
        assert path_of(endpoint) == PATHS[number]

    def test_a_double_charge_is_refunded_told_and_logged(self, desk):
        graph, office = desk
        graph.invoke(ask(1))
        assert office.refunds == [("INV-2041", 38.0)]
        assert [email.to for email in office.outbox] == ["ada@example.com"]
        assert [customer for customer, _ in office.crm] == ["C-204"]

    def test_a_question_on_the_machine_is_answered_from_the_manual_alone(self, desk):
        graph, office = desk
        state = graph.invoke(ask(2))
        assert "descaled" in state["messages"][-1].text
        assert (office.outbox, office.crm) == ([], [])

    def test_the_specialist_recovers_from_a_number_that_does_not_exist(self, desk):
        graph, office = desk
        heard = Heard()
        graph.invoke(ask(3), {"callbacks": [heard]})
        assert heard.failed[0] == "there is no invoice INV-2O77; numbers are INV- and four digits"
        assert office.reissued == [("INV-2077", "IT00743110157")]

    def test_what_was_read_reaches_the_model_with_its_id(self, endpoint, desk):
        heard = Heard()
        desk[0].invoke(ask(1), {"callbacks": [heard]})
        results = [m["content"] for m in endpoint.completions[1].messages if m["role"] == "tool"]
        assert len(results) == len(FOUR_SEARCHES)
        assert {"BILL-1", "SHIP-1", "MAN-3", "POL-1"} <= set(heard.read)
        assert all(any(f"[{article}]" in text for text in results) for article in heard.read)

    def test_the_follow_up_agent_knows_what_triage_found_and_why_it_was_asked(self, desk):
        messages = desk[0].invoke(ask(1))["messages"]
        transfer = next(m for m in messages if isinstance(m, ToolMessage) and "yours" in m.text)
        assert "38.00 EUR are refunded" in transfer.text
        assert [m.name for m in messages if m.type == "ai"] == ["triage"] * 3 + ["followup"] * 3

    def test_the_follow_up_agent_streams_and_the_others_do_not(self, endpoint, desk):
        desk[0].invoke(ask(1))
        streamed = {(AGENTS[e.messages[0]["content"]], e.stream) for e in endpoint.completions}
        assert streamed == {("triage", False), ("billing_specialist", False), ("followup", True)}

    def test_the_framework_is_told_what_the_ledger_holds(self, endpoint, desk):
        told = UsageMetadataCallbackHandler()
        desk[0].invoke(ask(1), {"callbacks": [told]})
        (usage,) = told.usage_metadata.values()
        ledger = [e.usage for e in endpoint.completions]
        assert all(e.usage_told for e in endpoint.completions)
        assert usage["input_tokens"] == sum(u["prompt_tokens"] for u in ledger)
        assert usage["output_tokens"] == sum(u["completion_tokens"] for u in ledger)
        cached = sum(u["prompt_tokens_details"]["cached_tokens"] for u in ledger)
        reasoning = sum(u["completion_tokens_details"]["reasoning_tokens"] for u in ledger)
        assert usage["input_token_details"]["cache_read"] == cached > 0
        assert usage["output_token_details"]["reasoning"] == reasoning > 0


class TestKnowledge:
    @pytest.mark.parametrize(
        ("base", "question", "best"),
        [
            ("billing", "VAT number on an invoice", "BILL-2"),
            ("shipping", "my parcel does not move", "SHIP-2"),
            ("product_manual", "steady orange light", "MAN-1"),
            ("policy", "how long is the warranty", "POL-2"),
        ],
    )
    def test_a_search_finds_the_article_with_most_of_the_words(self, base, question, best):
        hits = KNOWLEDGE_BASES[base].search(question)
        assert hits[0].article.article_id == best
        assert 0 < hits[-1].score <= hits[0].score <= 1

    def test_a_search_finds_nothing_where_no_word_is_shared(self):
        assert KNOWLEDGE_BASES["policy"].search("xylophone") == []


class TestBackOffice:
    @pytest.mark.parametrize("amount", [0, -1, 76.01])
    def test_refunds_no_more_than_was_paid(self, amount):
        with pytest.raises(BackOfficeError, match=r"76\.00 EUR of INV-2041 can be refunded"):
            BackOffice().issue_refund("INV-2041", amount)

    def test_refunds_no_payment_twice(self):
        office = BackOffice()
        office.issue_refund("INV-2041", 76)
        with pytest.raises(BackOfficeError, match=r"0\.00 EUR"):
            office.issue_refund("INV-2041", 1)


class TestCommand:
    def run(self, *arguments, **environment):
        return subprocess.run(
            [sys.executable, str(RUN), *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env={"PATH": "/usr/bin:/bin", **environment},
        )

    def test_prints_what_the_customer_gets(self):
        done = self.run("--no-record", "--ticket", "all")
        assert done.stderr == ""
        assert done.returncode == 0
        assert "e-mail to ada@example.com: Your refund of 38.00 EUR" in done.stdout
        assert "CRM C-087: Ticket 4" in done.stdout

    @pytest.mark.parametrize(
        ("arguments", "environment", "sentence"),
        [
            (["--live"], {}, "--live needs OPENAI_API_KEY in the environment."),
            (
                ["--live", "--no-record"],
                {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"},
                "The model endpoint did not answer: Connection error.",
            ),
        ],
        ids=["no key", "nobody there"],
    )
    def test_says_in_one_sentence_why_it_cannot_go_live(self, arguments, environment, sentence):
        done = self.run(*arguments, **environment)
        assert done.returncode == 1
        assert done.stderr.strip() == sentence

    def test_goes_live_against_the_endpoint_of_the_environment(self, endpoint):
        done = self.run("--live", "--no-record", OPENAI_API_KEY="k", OPENAI_BASE_URL=endpoint.url)
        assert done.returncode == 0
        assert path_of(endpoint) == PATHS[1]
