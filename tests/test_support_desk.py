"""The support desk: its search, its back office, and the way each ticket takes through the agents, in each framework."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.messages import ToolMessage
from langchain_openai import ChatOpenAI

from support_desk import crewai_desk, langgraph_desk
from support_desk.back_office import BackOffice, BackOfficeError
from support_desk.crewai_desk import LLM
from support_desk.endpoint import Endpoint
from support_desk.instructions import BILLING_SPECIALIST, FOLLOW_UP, TRIAGE
from support_desk.knowledge import KNOWLEDGE_BASES
from support_desk.script import answer
from support_desk.tickets import TICKETS

RUN = Path(__file__).parents[1] / "examples" / "support_desk" / "run.py"
AGENTS = {TRIAGE: "triage", BILLING_SPECIALIST: "billing_specialist", FOLLOW_UP: "followup"}
FOUR_SEARCHES = ["search_billing", "search_shipping", "search_product_manual", "search_policy"]
LETTER = [("followup", ["draft_email"]), ("followup", ["update_crm"]), ("followup", "text")]
PATHS = {
    1: [
        ("triage", FOUR_SEARCHES),
        ("triage", "asks"),
        ("billing_specialist", ["look_up_invoice"]),
        ("billing_specialist", ["issue_refund"]),
        ("billing_specialist", "text"),
        ("triage", "transfers"),
        *LETTER,
    ],
    2: [("triage", ["search_product_manual", "search_policy"]), ("triage", "text")],
    3: [
        ("triage", ["search_billing", "search_policy"]),
        ("triage", "asks"),
        ("billing_specialist", ["look_up_invoice"]),
        ("billing_specialist", ["look_up_invoice"]),
        ("billing_specialist", ["reissue_invoice"]),
        ("billing_specialist", "text"),
        ("triage", "transfers"),
        *LETTER,
    ],
    4: [("triage", ["search_shipping", "search_policy"]), ("triage", "transfers"), *LETTER],
}
FRAMEWORKS = ["langgraph", "crewai"]


class Heard(BaseCallbackHandler):
    """What LangChain reports of retrievals and failed tools."""

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


@pytest.fixture(autouse=True)
def _storage(tmp_path, monkeypatch):
    """CrewAI keeps files of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CREWAI_STORAGE_DIR", str(tmp_path / "crewai"))


@pytest.fixture
def office():
    return BackOffice()


@pytest.fixture
def model(endpoint):
    """LangChain's model."""
    return ChatOpenAI(
        model="gpt-4.1-mini", base_url=endpoint.url, api_key="offline", stream_usage=True, max_retries=0
    )


@pytest.fixture
def graph(model, office):
    return langgraph_desk.build_desk(model, office)


@pytest.fixture
def crew(endpoint, office):
    model = LLM(model="openai/gpt-4.1-mini", base_url=endpoint.url, api_key="offline", max_retries=0)
    return crewai_desk.build_desk(model, office)


@pytest.fixture
def desk(request):
    """What a user writes to have a ticket worked on."""
    return {"langgraph": langgraph_desk, "crewai": crewai_desk}[request.param]


in_each_framework = pytest.mark.parametrize("desk", FRAMEWORKS, indirect=True)


@pytest.fixture
def work(desk, endpoint, office):
    return lambda number: desk.work(
        TICKETS[number], office, "gpt-4.1-mini", base_url=endpoint.url, api_key="offline", max_retries=0
    )


def ask(number):
    return {"messages": [("user", TICKETS[number].text)]}


def path_of(endpoint):
    """Give who asked the endpoint for what: the agent, and what it was told to do."""
    return [(agent_of(entry), choice_of(entry.answer)) for entry in endpoint.completions]


def agent_of(entry):
    (agent,) = (name for told, name in AGENTS.items() if told in entry.messages[0]["content"])
    return agent


def choice_of(said):
    tools = [called["function"]["name"] for called in said.get("tool_calls", [])]
    if tools in (["ask_billing_specialist"], ["ask_question_to_coworker"]):
        return "asks"
    if tools == ["transfer_to_followup"] or (said["content"] or "").startswith(crewai_desk.TRANSFER):
        return "transfers"
    return tools or "text"


class TestDesk:
    @in_each_framework
    @pytest.mark.parametrize("number", TICKETS)
    def test_each_ticket_takes_its_way(self, endpoint, work, number):
        work(number)
        assert path_of(endpoint) == PATHS[number]
        assert len(endpoint.ledger) == len(endpoint.completions)

    @pytest.mark.parametrize("number", TICKETS)
    async def test_each_ticket_takes_the_same_way_in_asyncio(self, endpoint, graph, crew, number):
        await graph.ainvoke(ask(number))
        await crew.akickoff({"ticket": TICKETS[number].text})
        for agent in crew.agents:  # CrewAI 1.15 leaves the connections of its asynchronous clients open
            await agent.llm._get_async_client().close()
        assert path_of(endpoint) == PATHS[number] * 2

    @in_each_framework
    def test_a_double_charge_is_refunded_told_and_logged(self, office, work):
        assert work(1)[0] == "followup"
        assert office.refunds == [("INV-2041", 38.0)]
        assert [email.to for email in office.outbox] == ["ada@example.com"]
        assert [customer for customer, _ in office.crm] == ["C-204"]

    @in_each_framework
    def test_a_question_on_the_machine_is_answered_from_the_manual_alone(self, office, work):
        agent, said = work(2)
        assert agent == "triage"
        assert "descaled" in said
        assert (office.outbox, office.crm) == ([], [])

    @in_each_framework
    def test_the_specialist_recovers_from_a_number_that_does_not_exist(self, endpoint, office, work):
        work(3)
        assert office.reissued == [("INV-2077", "IT00743110157")]
        told = endpoint.completions[3].messages[-1]
        assert told["role"] == "tool"
        assert told["content"].endswith("there is no invoice INV-2O77; numbers are INV- and four digits")

    @in_each_framework
    def test_what_was_found_reaches_the_model_with_its_id(self, endpoint, work):
        work(1)
        results = [m["content"] for m in endpoint.completions[1].messages if m["role"] == "tool"]
        assert [re.findall(r"\[([A-Z]+-\d)\]", result) for result in results] == [
            ["BILL-1", "BILL-2"],
            ["SHIP-1", "SHIP-3"],
            ["MAN-3"],
            ["POL-1"],
        ]

    @in_each_framework
    def test_the_follow_up_agent_knows_why_it_was_asked(self, endpoint, work):
        work(1)
        (first, *_) = (entry for entry in endpoint.completions if agent_of(entry) == "followup")
        assert "38.00 EUR are refunded" in "\n".join(m["content"] or "" for m in first.messages)

    @in_each_framework
    def test_the_follow_up_agent_streams_and_the_others_do_not(self, endpoint, work):
        work(1)
        streamed = {(agent_of(entry), entry.stream) for entry in endpoint.completions}
        assert streamed == {("triage", False), ("billing_specialist", False), ("followup", True)}
        assert all(entry.usage_told for entry in endpoint.completions)

    def test_both_frameworks_do_the_same_to_the_office(self, endpoint):
        done = []
        for desk in (langgraph_desk, crewai_desk):
            office = BackOffice()
            for ticket in TICKETS.values():
                desk.work(ticket, office, "gpt-4.1-mini", base_url=endpoint.url, api_key="offline")
            done.append(office)
        assert done[0] == done[1]
        assert len(done[0].outbox) == 3


class TestLangGraph:
    def test_reports_what_failed_and_what_was_read(self, graph):
        heard = Heard()
        graph.invoke(ask(3), {"callbacks": [heard]})
        assert heard.failed[0] == "there is no invoice INV-2O77; numbers are INV- and four digits"
        assert set(heard.read) == {"BILL-2", "BILL-4", "POL-4"}

    def test_the_follow_up_agent_sees_the_whole_conversation(self, graph):
        messages = graph.invoke(ask(1))["messages"]
        transfer = next(m for m in messages if isinstance(m, ToolMessage) and "yours" in m.text)
        assert "38.00 EUR are refunded" in transfer.text
        assert [m.name for m in messages if m.type == "ai"] == ["triage"] * 3 + ["followup"] * 3

    def test_is_told_what_the_ledger_holds(self, endpoint, graph):
        told = UsageMetadataCallbackHandler()
        graph.invoke(ask(1), {"callbacks": [told]})
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
    def run(self, *arguments, folder, before="", **environment):
        program = f"import runpy, sys; sys.argv[1:] = {[*arguments]!r}; {before}"
        program += f"runpy.run_path({str(RUN)!r}, run_name='__main__')"
        return subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=120,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(folder),
                "CREWAI_STORAGE_DIR": str(folder),
                **environment,
            },
        )

    def test_prints_what_the_customer_gets_from_each_framework(self, tmp_path):
        done = self.run("--no-record", "--ticket", "all", folder=tmp_path)
        assert done.stderr == ""
        assert done.returncode == 0
        assert done.stdout.count("e-mail to ada@example.com: Your refund of 38.00 EUR") == 2
        assert done.stdout.count("CRM C-087: Ticket 4") == 2
        assert re.findall(r"Ticket (\d), .* \[(\w+)\]", done.stdout) == [
            (str(number), framework) for number in TICKETS for framework in FRAMEWORKS
        ]

    @pytest.mark.parametrize("framework", FRAMEWORKS)
    def test_needs_no_other_framework_than_the_one_it_is_asked_for(self, framework, tmp_path):
        others = {"crewai": "langchain_core", "langgraph": "crewai"}
        done = self.run(
            "--no-record",
            "--framework",
            framework,
            folder=tmp_path,
            before=f"sys.modules[{others[framework]!r}] = None; ",
        )
        assert (done.stderr, done.returncode) == ("", 0)
        assert f"Ticket 1, Ada Njoroge: Charged twice in March [{framework}]" in done.stdout

    @pytest.mark.parametrize(
        ("missing", "framework", "sentence"),
        [
            ("crewai", "crewai", "The desk in crewai needs crewai: pip install crewai"),
            (
                "langchain",
                "both",
                "The desk in langgraph needs langchain: pip install langchain langchain-openai",
            ),
            (
                "counterfoil",
                "langgraph",
                'A record needs counterfoil: pip install -e ".[langchain,crewai]", or say --no-record.',
            ),
        ],
    )
    def test_says_in_one_sentence_what_to_install(self, missing, framework, sentence, tmp_path):
        done = self.run(
            "--framework", framework, folder=tmp_path, before=f"sys.modules[{missing!r}] = None; "
        )
        assert done.returncode == 1
        assert done.stderr.strip() == sentence

    def test_says_in_one_sentence_that_it_has_no_key_to_go_live(self, tmp_path):
        done = self.run("--live", folder=tmp_path)
        assert done.returncode == 1
        assert done.stderr.strip() == "--live needs OPENAI_API_KEY in the environment."

    @pytest.mark.parametrize("framework", FRAMEWORKS)
    def test_says_in_one_sentence_that_no_model_answered(self, framework, tmp_path):
        nobody = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
        done = self.run("--live", "--no-record", "--framework", framework, folder=tmp_path, **nobody)
        assert done.returncode == 1
        said = done.stderr.strip().splitlines()
        assert said[-1].startswith("The model endpoint did not answer: ")
        assert said[-1].endswith("Connection error.")
        assert "Traceback" not in done.stderr

    def test_goes_live_against_the_endpoint_of_the_environment(self, endpoint, tmp_path):
        done = self.run(
            "--live", "--no-record", folder=tmp_path, OPENAI_API_KEY="k", OPENAI_BASE_URL=endpoint.url
        )
        assert done.returncode == 0
        assert path_of(endpoint) == PATHS[1] * 2
