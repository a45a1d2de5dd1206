"""Secrets in every place where a string can enter: none is on the disk, in store, WAL or tape; the model got them all."""

import json

import httpx
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.documents import Document
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompts import PromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import ToolException, create_retriever_tool, tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt
from openai import APIConnectionError, InternalServerError
from typing_extensions import TypedDict

import counterfoil
from canaries import Canaries, PlainWords, files_of
from counterfoil import Rule, guard
from counterfoil_langchain import CounterfoilHandler
from scripted_model import ScriptedModel, StreamingModel, says
from support_desk.endpoint import Endpoint, Reply, Request, call

pytestmark = pytest.mark.slow

#: What `capture="metadata"` keeps: names and ids.
NAMES = {"run name", "thread id", "task", "label", "label's key", "tag", "id of a document"}

#: What is not recorded at all, redacted or not.
NEVER_RECORDED = {
    "API key",
    "base URL",
    "header",
    "organization",
    "body of a request",
    "model's metadata",
    "metadata",
    "configurable",
    "run name of an agent, which has a name of its own",
    *(f"cause of the exception of a {place}" for place in ("tool", "node", "retriever", "model")),
}


def agent_over_http(canaries, config):
    """Prompts, arguments, results, documents, tool definitions, names and the model's configuration, over HTTP."""
    heard = {}
    arguments = {
        "body": json.dumps({"config": json.dumps(canaries.fields("JSON in JSON arguments"))}),
        "note": canaries.text("arguments"),
    }
    replies = [
        Reply(canaries.text("text beside a call"), calls=[("unlock", arguments)]),
        Reply(calls=[call("nobody", body=canaries.text("arguments of an unknown tool"))]),
        Reply(calls=[call("unlock", body=["no", "string", canaries.text("invalid arguments")])]),
        Reply(calls=[call("refuse", why=canaries.text("arguments of a tool that fails"))]),
        Reply(calls=[call("search", query=canaries.text("query"))]),
        Reply(
            canaries.text("last answer"),
            calls=[("unlock", json.dumps({"body": canaries.text("arguments that are no JSON")})[:-2])],
        ),
    ]

    @tool
    def unlock(body: str, note: str) -> dict:
        """Unlock."""
        heard.update(body=body, note=note)
        return {"text": canaries.text("tool result"), "fields": canaries.fields("tool result")}

    unlock.description = canaries.text("tool description")
    unlock.args_schema.model_fields["note"].description = canaries.text("description of an argument")

    @tool
    def refuse(why: str) -> str:
        """Refuse."""
        raise ToolException(canaries.text("tool exception"))

    refuse.handle_tool_error = True

    class Documents(BaseRetriever):
        def _get_relevant_documents(self, query, *, run_manager):
            heard["query"] = query
            return [
                Document(
                    id=canaries.line("id of a document"),
                    page_content=canaries.text("document"),
                    metadata=canaries.fields("metadata of a document"),
                )
            ]

    search = create_retriever_tool(
        Documents(), "search", "Search.", document_prompt=PromptTemplate.from_template("{page_content}")
    )
    with Endpoint(lambda request: replies[len(request.results)]) as endpoint:
        model = ChatOpenAI(
            model="gpt-4.1-mini",
            base_url=endpoint.url.replace("://", f"://user:{canaries.bare('base URL')}@"),
            api_key=canaries.bare("API key"),
            default_headers={"x-api-key": canaries.bare("header")},
            organization=canaries.bare("organization"),
            extra_body={"note": canaries.bare("body of a request")},
            metadata={"note": canaries.bare("model's metadata")},
            max_retries=0,
        )
        agent = create_agent(
            model, [unlock, refuse, search], system_prompt=canaries.text("system prompt"), name="keeper"
        )
        state = agent.invoke(
            {"messages": [("user", canaries.text("prompt"))]},
            config
            | {
                "run_name": canaries.line("run name of an agent, which has a name of its own"),
                "tags": [canaries.line("tag")],
                "metadata": {
                    "note": canaries.text("metadata"),
                    "fields": canaries.fields("metadata"),
                    "counterfoil_task": canaries.line("task"),
                    "counterfoil_labels": {"tier": canaries.line("label"), canaries.line("label's key"): "x"},
                },
                "configurable": {
                    "thread_id": canaries.line("thread id"),
                    "other": canaries.text("configurable"),
                },
            },
        )
        told = endpoint.ledger[-1]
    everything = "\n".join(_strings([told.messages, told.tools, told.headers]))
    for place in (
        "prompt", "system prompt", "text beside a call", "tool result", "tool description", "description of an argument",
        "tool exception", "document", "header", "arguments of a tool that fails", "query",
    ):  # fmt: skip
        assert canaries.all_in(place, everything), place
    assert canaries.all_in("JSON in JSON arguments", heard["body"])
    assert canaries.all_in("arguments", heard["note"])
    assert canaries.all_in("query", heard["query"])
    assert canaries.all_in("last answer", state["messages"][-1].text)
    assert len(endpoint.ledger) == len(replies)


agent_over_http.recorded = {
    "SELECT content FROM messages WHERE role IN ('system', 'user')": 3,
    "SELECT arguments FROM tool_calls": 5,
    "SELECT result FROM tool_calls WHERE tool IN ('unlock', 'refuse', 'search') AND result IS NOT NULL": 3,
    "SELECT error_message FROM tool_calls WHERE tool = 'refuse'": 1,
    "SELECT query FROM accesses": 1,
    "SELECT item_id FROM accesses": 1,
    "SELECT output FROM steps WHERE kind = 'retrieval'": 1,
    "SELECT tools FROM llm_calls": 6,
    "SELECT output FROM steps WHERE kind = 'llm'": 6,
    "SELECT session_id FROM runs": 1,
    "SELECT task FROM runs": 1,
    "SELECT labels FROM runs": 1,
}


def model_that_streams(canaries, config):
    """Text that comes in pieces of three characters, and tool arguments in pieces of twelve."""
    text = canaries.text("streamed answer")
    pieces = list(StreamingModel(answer=lambda _: says(text)).stream("go", config))
    assert max(len(piece.text) for piece in pieces) == 3
    assert canaries.all_in("streamed answer", "".join(piece.text for piece in pieces))

    arguments = {"body": canaries.text("streamed arguments")}
    with Endpoint(
        lambda r: (
            Reply("done")
            if r.results
            else Reply(canaries.text("streamed words"), calls=[("keep", arguments)])
        )
    ) as endpoint:
        model = ChatOpenAI(
            model="gpt-4.1-mini", base_url=endpoint.url, api_key="x", max_retries=0, streaming=True
        )

        @tool
        def keep(body: str) -> str:
            """Keep."""
            return "kept"

        list(
            create_agent(model, [keep], name="keeper").stream(
                {"messages": [("user", "go")]}, config, stream_mode=["messages", "updates", "values"]
            )
        )
        assert canaries.all_in("streamed arguments", "\n".join(_strings(endpoint.ledger[-1].messages)))


model_that_streams.recorded = {
    "SELECT output FROM steps WHERE kind = 'llm' AND agent IS NULL": 1,
    "SELECT output FROM steps WHERE kind = 'llm' AND output LIKE '%tool_call%'": 1,
    "SELECT arguments FROM tool_calls": 1,
}


def exceptions(canaries, config):
    """Text of exceptions: of a tool, a node, a retriever, a model; chained; and what a cut stream had said."""

    def fails(place):
        def function(_):
            try:
                raise KeyError(canaries.text(f"cause of the exception of a {place}"))
            except KeyError as cause:
                raise RuntimeError(canaries.text(f"exception of a {place}")) from cause

        return function

    class Documents(BaseRetriever):
        def _get_relevant_documents(self, query, *, run_manager):
            fails("retriever")(query)

    @tool
    def use(word: str) -> str:
        """Use."""
        fails("tool")(word)

    graph = StateGraph(MessagesState)
    graph.add_node("fails", fails("node"))
    graph.add_edge(START, "fails")
    asks = ScriptedModel(answer=lambda _: says("", ("use", {"word": "x"})))
    for run in (
        lambda: create_agent(asks, [use], name="user").invoke({"messages": [("user", "go")]}, config),
        lambda: graph.compile(name="graph").invoke({"messages": []}, config),
        lambda: Documents().invoke("q", config),
        lambda: ScriptedModel(answer=fails("model")).invoke("q", config),
    ):
        with pytest.raises(RuntimeError):
            run()

    def quote(request: Request):
        raise RuntimeError(f"cannot answer {request.messages}")

    # The endpoint quotes the request, and the client the endpoint.
    with Endpoint(quote) as endpoint, pytest.raises(InternalServerError):
        ChatOpenAI(model="m", base_url=endpoint.url, api_key="x", max_retries=0).invoke(
            canaries.text("prompt that a server quotes"), config
        )
    with (
        Endpoint(lambda _: Reply(canaries.text("stream that was cut"), hang_up=40)) as endpoint,
        # openai 2 lets the error of its HTTP client through where a stream is cut, openai 3 wraps it.
        pytest.raises((APIConnectionError, httpx.RemoteProtocolError)),
    ):
        list(ChatOpenAI(model="m", base_url=endpoint.url, api_key="x", max_retries=0).stream("q", config))


exceptions.recorded = {
    "SELECT error_message FROM steps WHERE error_message LIKE '%key%'": 5,
    "SELECT output FROM steps WHERE kind = 'llm' AND output LIKE '%key%'": 1,
}


def graph_state(canaries, config):
    """State of all kinds, what Command and Send carry, keys, pictures, reasoning, a text model's prompt."""

    class State(MessagesState):
        settings: dict
        note: str
        parts: list

    class Part(TypedDict):
        part: str

    def work(state):
        assert canaries.all_in("state", json.dumps(state["settings"]) + state["note"])
        with counterfoil.step("own step", input=canaries.text("own step")) as span:
            span.set(output=canaries.fields("own step"))
        return Command(
            goto=[Send("part", {"part": canaries.text("Send")})], update={"note": canaries.text("update")}
        )

    def part(state):
        return {"parts": [canaries.text("output of a node")]}

    graph = StateGraph(State)
    graph.add_node("work", work, destinations=("part",))
    graph.add_node("part", part, input_schema=Part)
    graph.add_edge(START, "work")
    picture = {"type": "image_url", "image_url": {"url": canaries.line("URL of a picture")}}
    graph.compile(name="graph").invoke(
        {
            "messages": [
                HumanMessage([{"type": "text", "text": canaries.text("part of a message")}, picture])
            ],
            "settings": canaries.fields("state") | {"note": canaries.text("state")},
            "note": canaries.text("state"),
            "parts": [],
        },
        config,
    )
    given = {canaries.line("key of a dict"): 1, "pair": (canaries.text("tuple"), {canaries.text("set")})}
    echo = RunnableLambda(lambda given: given, name="echo")
    echo.invoke(given, config | {"run_name": canaries.line("run name")})
    thinks = AIMessage(
        [{"type": "reasoning", "reasoning": canaries.text("reasoning")}, {"type": "text", "text": "so"}]
    )
    ScriptedModel(answer=lambda _: thinks).invoke(
        [("system", "x"), ("user", canaries.text("loose message"))], config
    )
    FakeListLLM(responses=[canaries.text("text model's answer")]).invoke(
        canaries.text("text model's prompt"), config
    )


graph_state.recorded = {
    "SELECT input FROM steps WHERE kind = 'workflow'": 1,
    "SELECT name FROM steps WHERE kind = 'other' AND name <> 'own step'": 1,
    "SELECT input FROM steps WHERE kind IN ('task', 'other')": 4,
    "SELECT output FROM steps WHERE name IN ('own step', 'part') OR kind = 'other'": 3,
    "SELECT input FROM steps WHERE kind = 'llm'": 2,
    "SELECT output FROM steps WHERE kind = 'llm'": 2,
}


def handoffs_and_humans(canaries, config):
    """Reasons, questions to a human and their answers, approvals with edited arguments, refusals with a comment."""

    @tool
    def hand_over(reason: str) -> Command:
        """Hand over."""
        return Command(graph=Command.PARENT, goto="clerk", update={"messages": [("user", "close it")]})

    @tool
    def ask_expert(question: str) -> str:
        """Ask."""
        return expert.invoke({"messages": [("user", question)]})["messages"][-1].text

    @tool
    def pay(amount: str) -> str:
        """Pay."""
        paid.append(amount)
        return canaries.text("result after approval")

    def front(messages):
        match sum(message.type == "tool" for message in messages):
            case 0:
                return says(
                    canaries.text("said beside an escalation"),
                    ("ask_expert", {"question": canaries.text("question to an expert")}),
                )
        return says("", ("hand_over", {"reason": canaries.text("reason")}))

    paid = []
    expert = create_agent(
        ScriptedModel(answer=lambda _: says(canaries.text("expert's answer"))), [], name="expert"
    )
    graph = StateGraph(MessagesState)
    graph.add_node(
        "front",
        create_agent(ScriptedModel(answer=front), [ask_expert, hand_over], name="front"),
        destinations=("clerk",),
    )
    graph.add_node("clerk", create_agent(ScriptedModel(answer=lambda _: says("closed")), [], name="clerk"))
    graph.add_edge(START, "front")
    graph.compile(name="office").invoke({"messages": [("user", "go")]}, config)

    def question(_):
        answer = interrupt(
            {"ask": canaries.text("question to a human"), **canaries.fields("question to a human")}
        )
        assert canaries.all_in("human's answer", json.dumps(answer))
        return {}

    asking = StateGraph(MessagesState)
    asking.add_node("question", question)
    asking.add_edge(START, "question")
    asking = asking.compile(name="asking", checkpointer=InMemorySaver())
    thread = config | {"configurable": {"thread_id": "1"}}
    asking.invoke({"messages": []}, thread)
    asking.invoke(Command(resume={"text": json.dumps(canaries.fields("human's answer"))}), thread)

    def wants(messages):
        if messages[-1].type == "human":
            return says(
                "",
                ("pay", {"amount": canaries.text("arguments to approve")}),
                ("pay", {"amount": canaries.text("arguments to refuse")}),
            )
        return says("done")

    payer = create_agent(
        ScriptedModel(answer=wants),
        [pay],
        middleware=[HumanInTheLoopMiddleware(interrupt_on={"pay": True})],
        checkpointer=InMemorySaver(),
        name="payer",
    )
    thread = config | {"configurable": {"thread_id": "2"}}
    payer.invoke({"messages": [("user", "go")]}, thread)
    edited = {"name": "pay", "args": {"amount": canaries.text("edited arguments")}}
    decisions = [
        {"type": "edit", "edited_action": edited},
        {"type": "reject", "message": canaries.text("comment of a refusal")},
    ]
    payer.invoke(Command(resume={"decisions": decisions}), thread)
    assert [canaries.all_in("edited arguments", amount) for amount in paid] == [True]


handoffs_and_humans.recorded = {
    "SELECT reason FROM handoffs WHERE target IN ('expert', 'clerk')": 2,
    "SELECT payload FROM handoffs": 3,
    "SELECT answer FROM handoffs WHERE status = 'returned'": 2,
    "SELECT input FROM steps WHERE kind = 'human'": 3,
    "SELECT output FROM steps WHERE kind = 'human'": 3,
    "SELECT arguments FROM approvals": 2,
    "SELECT comment FROM approvals WHERE status = 'rejected'": 1,
}

SCENARIOS = [agent_over_http, model_that_streams, exceptions, graph_state, handoffs_and_humans]


@pytest.fixture
def db(tmp_path, monkeypatch):
    path = tmp_path / "store" / "counterfoil.db"
    path.parent.mkdir()
    monkeypatch.setenv("COUNTERFOIL_DB", str(path))
    monkeypatch.setenv("COUNTERFOIL_DRAIN", "off")
    before = guard.counted()
    yield path
    assert guard.counted() == before


def _strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def leaks(canaries, db):
    return {name: canaries.found_in(data) for name, data in files_of(db).items() if canaries.found_in(data)}


class TestSecrets:
    @pytest.mark.parametrize("scenario", SCENARIOS)
    def test_no_secret_is_on_the_disk_and_a_mark_is_where_it_was(self, db, scenario):
        canaries = Canaries()
        scenario(canaries, {"callbacks": [CounterfoilHandler(db)]})
        assert [name for name in files_of(db) if name.endswith(".tape")]
        assert leaks(canaries, db) == {}  # on the tape, before it is drained
        with counterfoil.open(db) as store:
            assert {db.name, db.name + "-wal", db.name + "-shm"} <= set(files_of(db))
            assert leaks(canaries, db) == {}
            for query, count in scenario.recorded.items():
                rows = [row for (row,) in store.sql(query)[1]]
                assert len(rows) == count, (query, rows)
                assert [row for row in rows if "[redacted:" not in str(row)] == [], query
        assert leaks(canaries, db) == {}

    def test_the_search_finds_them_where_nothing_is_taken_out(self, db, monkeypatch):
        monkeypatch.setenv("COUNTERFOIL_REDACT", "off")
        canaries = Canaries()
        for scenario in SCENARIOS:
            scenario(canaries, {"callbacks": [CounterfoilHandler(db)]})
        (tapes,) = (data for name, data in files_of(db).items() if name.endswith(".tape"))
        found = {place for place, _ in canaries.found_in(tapes)}
        assert canaries.places - found == NEVER_RECORDED

    def test_users_take_out_more_with_rules_and_functions_of_their_own(self, db):
        def without_names(text):
            return text.replace("Ada Njoroge", "[a customer]")

        rules = [Rule("customer", r"C-\d{3}", ("C-",)), without_names]
        model = ScriptedModel(answer=lambda messages: says(f"Noted: {messages[-1].text}"))
        said = model.invoke("C-204 is Ada Njoroge", {"callbacks": [CounterfoilHandler(db, redactors=rules)]})
        assert said.text == "Noted: C-204 is Ada Njoroge"
        assert not any(word in data for data in files_of(db).values() for word in (b"C-204", b"Njoroge"))
        with counterfoil.open(db) as store:
            (call,) = store.llm_calls()
            said = store.messages(call)
        assert said.output[0]["parts"][0]["content"] == "Noted: [redacted:customer] is [a customer]"

    def test_a_redactor_that_fails_withholds_what_it_was_to_look_at(self, db, monkeypatch):
        def fails(text):
            if "a word like" in text:
                raise RuntimeError("broken")
            return text

        words = PlainWords()
        model = ScriptedModel(answer=lambda _: says(words.text("answer")))
        with monkeypatch.context() as here:
            here.setattr(guard, "_counts", {})
            said = model.invoke(
                words.text("prompt"), {"callbacks": [CounterfoilHandler(db, redactors=[fails])]}
            )
            assert guard.counted()
        assert words.all_in("answer", said.text)
        assert leaks(words, db) == {}
        with counterfoil.open(db) as store:
            (call,) = store.llm_calls()
            messages = store.messages(call)
            assert store.troubles()
        assert (call.status, call.output_tokens) == ("ok", len(said.text))
        assert ["redacted" in str(message) for message in (*messages.input, *messages.output)] == [True, True]
        assert leaks(words, db) == {}


class TestMetadata:
    @pytest.mark.parametrize("scenario", SCENARIOS)
    def test_no_content_at_all_is_on_the_disk(self, db, scenario):
        words = PlainWords()
        scenario(words, {"callbacks": [CounterfoilHandler(db, capture="metadata")]})
        with counterfoil.open(db) as store:
            found = {place for data in files_of(db).values() for place, _ in words.found_in(data)}
            assert found <= NAMES
            assert words.places & NAMES <= found
            steps = store.sql(
                "SELECT count(*), count(input), count(output), count(error_message) FROM steps"
            )[1]
            assert steps[0][0] > 0
            assert steps[0][1:] == (0, 0, 0)
            assert store.sql("SELECT count(*) FROM messages")[1] == [(0,)]

    def test_names_tokens_and_statuses_remain(self, db):
        words = PlainWords()
        model_that_streams(words, {"callbacks": [CounterfoilHandler(db, capture="metadata")]})
        with counterfoil.open(db) as store:
            (run,) = store.runs()
            calls, tools = store.llm_calls(run), store.tool_calls(run)
        assert (run.status, run.agent_names) == ("ok", ["keeper"])
        assert [call.request_model for call in calls] == ["gpt-4.1-mini"] * 2
        assert [(tool.tool, tool.agent, tool.decided_by) for tool in tools] == [
            ("keep", "keeper", calls[0].step_id)
        ]
