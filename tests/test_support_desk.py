"""The support desk: its search, its back office, and the way each ticket takes through the agents, in each framework."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.messages import ToolMessage
from langchain_openai import ChatOpenAI

from support_desk import autogen_desk, crewai_desk, langgraph_desk, llama_index_desk
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
DESKS = {
    "langgraph": langgraph_desk,
    "crewai": crewai_desk,
    "llama_index": llama_index_desk,
    "autogen": autogen_desk,
}
FRAMEWORKS = [*DESKS]
#: A tool for the specialist; CrewAI's one for any coworker; in AutoGen the specialist is the tool.
ASKS = {"ask_billing_specialist", "ask_question_to_coworker", "billing_specialist"}
AUTOGEN = '"autogen-agentchat>=0.7.2" "autogen-ext[openai]>=0.7.2"'
#: What each framework's desk cannot do without.
NEEDS = {
    "langgraph": "langgraph",
    "crewai": "crewai",
    "llama_index": "llama_index",
    "autogen": "autogen_core",
}


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
    return DESKS[request.param]


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
    if len(tools) == 1 and tools[0] in ASKS:
        return "asks"
    in_words = (said["content"] or "").startswith(crewai_desk.TRANSFER)
    if in_words or tools in (["transfer_to_followup"], ["handoff"]):
        return "transfers"
    return tools or "text"


class TestDesk:
    @in_each_framework
    @pytest.mark.parametrize("number", TICKETS)
    def test_each_ticket_takes_its_way(self, endpoint, work, number):
        work(number)
        assert path_of(endpoint) == PATHS[number]
        assert len(endpoint.ledger) == len(endpoint.completions)

    @pytest.mark.slow
    @pytest.mark.parametrize("number", TICKETS)
    async def test_each_ticket_takes_the_same_way_in_asyncio(self, endpoint, graph, crew, number):
        office, address = BackOffice(), {"base_url": endpoint.url, "api_key": "offline"}
        await graph.ainvoke(ask(number))
        await crew.akickoff({"ticket": TICKETS[number].text})
        for agent in crew.agents:  # CrewAI 1.15 leaves the connections of its asynchronous clients open
            await agent.llm._get_async_client().close()
        await llama_index_desk.answer(TICKETS[number], office, "gpt-4.1-mini", **address)
        await autogen_desk.answer(TICKETS[number], office, "gpt-4.1-mini", autogen_desk.as_it_is, **address)
        assert path_of(endpoint) == PATHS[number] * len(FRAMEWORKS)

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

    @pytest.mark.slow
    def test_every_framework_does_the_same_to_the_office(self, endpoint):
        offices = {}
        for framework, desk in DESKS.items():
            office = offices[framework] = BackOffice()
            for ticket in TICKETS.values():
                desk.work(ticket, office, "gpt-4.1-mini", base_url=endpoint.url, api_key="offline")
        assert offices == dict.fromkeys(DESKS, offices["langgraph"])
        assert len(offices["langgraph"].outbox) == 3


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


@pytest.mark.slow
class TestCommand:
    def run(self, *arguments, folder, before="", **environment):
        program = f"import runpy, sys; sys.argv[1:] = {[*arguments]!r}; {before}"
        program += f"runpy.run_path({str(RUN)!r}, run_name='__main__')"
        return subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=folder,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(folder),
                "CREWAI_STORAGE_DIR": str(folder),
                "PYTHONPATH": os.pathsep.join(
                    str(RUN.parents[2] / part) for part in ("core", "integrations")
                ),
                **environment,
            },
        )

    def test_prints_what_the_customer_gets_once_where_every_framework_came_to_the_same(self, tmp_path):
        done = self.run("--no-record", "--ticket", "all", folder=tmp_path)
        assert done.stderr == ""
        assert done.returncode == 0
        assert done.stdout.count("e-mail to ada@example.com: Your refund of 38.00 EUR") == 1
        assert done.stdout.count("CRM C-087: Ticket 4") == 1
        assert re.findall(r"Ticket (\d), .* \[(.+)\]", done.stdout) == [
            (str(number), "langgraph, crewai, llama_index, autogen") for number in TICKETS
        ]

    @pytest.mark.parametrize("framework", FRAMEWORKS)
    def test_needs_no_other_framework_than_the_one_it_is_asked_for(self, framework, tmp_path):
        others = [package for name, package in NEEDS.items() if name != framework]
        if framework == "crewai":
            others.remove("langgraph")
        done = self.run(
            "--no-record",
            "--framework",
            framework,
            folder=tmp_path,
            before=f"sys.modules.update(dict.fromkeys({others!r})); ",
        )
        assert (done.stderr, done.returncode) == ("", 0)
        assert f"Ticket 1, Ada Njoroge: Charged twice in March [{framework}]" in done.stdout

    def test_says_in_one_sentence_each_which_frameworks_are_left_out(self, tmp_path):
        missing = "sys.modules.update(dict.fromkeys(['crewai', 'autogen_agentchat'])); "
        done = self.run("--no-record", folder=tmp_path, before=missing)
        assert (done.stderr, done.returncode) == ("", 0)
        assert done.stdout.splitlines()[:4] == [
            "Left out. The desk in crewai needs crewai: pip install crewai",
            f"Left out. The desk in autogen needs autogen_agentchat: pip install {AUTOGEN}",
            "",
            "Ticket 1, Ada Njoroge: Charged twice in March [langgraph, llama_index]",
        ]

    def test_says_of_every_framework_what_to_install_where_there_is_none(self, tmp_path):
        done = self.run(folder=tmp_path, before=f"sys.modules.update(dict.fromkeys({[*NEEDS.values()]!r})); ")
        assert (done.stdout, done.returncode) == ("", 1)
        assert re.findall(r"The desk in (\w+) needs \w+: pip install \S", done.stderr) == FRAMEWORKS
        assert len(done.stderr.splitlines()) == len(FRAMEWORKS)

    @pytest.mark.parametrize(
        ("missing", "framework", "sentence"),
        [
            ("crewai", "crewai", "The desk in crewai needs crewai: pip install crewai"),
            (
                "langchain",
                "langgraph",
                "The desk in langgraph needs langchain: pip install langchain langchain-openai",
            ),
            (
                "llama_index",
                "llama_index",
                "The desk in llama_index needs llama_index: pip install llama-index-core llama-index-llms-openai",
            ),
            (
                "autogen_ext",
                "autogen",
                f"The desk in autogen needs autogen_ext: pip install {AUTOGEN}",
            ),
            ("counterfoil", "autogen", 'The desk in autogen needs counterfoil: pip install -e ".[all]"'),
            (
                "counterfoil",
                "langgraph",
                'A record needs counterfoil: pip install -e ".[all]", or say --no-record.',
            ),
        ],
    )
    def test_says_in_one_sentence_what_to_install(self, missing, framework, sentence, tmp_path):
        done = self.run(
            "--framework", framework, folder=tmp_path, before=f"sys.modules[{missing!r}] = None; "
        )
        assert done.returncode == 1
        assert done.stderr.strip() == sentence

    @pytest.mark.parametrize(
        ("wrong", "sentence"),
        [
            (["--framework", "langchain"], "argument --framework: invalid choice: 'langchain' (choose from "),
            (["--ticket", "5"], "argument --ticket: invalid choice: '5' (choose from "),
            (["--live"], "--live needs OPENAI_API_KEY in the environment."),
        ],
        ids=["framework", "ticket", "key"],
    )
    def test_says_in_one_sentence_what_it_was_given_wrong(self, wrong, sentence, tmp_path):
        done = self.run(*wrong, folder=tmp_path)
        assert done.returncode != 0
        assert done.stdout == ""
        assert sentence in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize("framework", ["llama_index", "autogen"])
    def test_says_in_one_sentence_that_a_framework_does_not_know_a_model(self, framework, tmp_path):
        wrong = ["--no-record", "--framework", framework, "--model", "llama3.1"]
        done = self.run(*wrong, folder=tmp_path)
        assert done.returncode == 1
        (said,) = done.stderr.splitlines()
        assert said.startswith(f"The desk in {framework} has no use for llama3.1: ")

    @pytest.mark.parametrize("framework", FRAMEWORKS)
    def test_says_in_one_sentence_that_no_model_answered(self, framework, tmp_path):
        nobody = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
        done = self.run("--live", "--no-record", "--framework", framework, folder=tmp_path, **nobody)
        assert done.returncode == 1
        said = done.stderr.strip().splitlines()
        assert said[-1].startswith("The model endpoint did not answer: ")
        assert said[-1].endswith("Connection error.")
        assert "Traceback" not in done.stderr
        assert len(said) == 1 or framework == "crewai"  # CrewAI 1.15 logs what it raises

    def test_goes_live_against_the_endpoint_of_the_environment(self, endpoint, tmp_path):
        done = self.run(
            "--live", "--no-record", folder=tmp_path, OPENAI_API_KEY="k", OPENAI_BASE_URL=endpoint.url
        )
        assert done.returncode == 0
        assert path_of(endpoint) == PATHS[1] * len(FRAMEWORKS)
