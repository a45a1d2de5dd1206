"""The endpoint's ledger agrees with `llm_calls` of LlamaIndex: each completion is one llm step, with the usage that was served."""

import asyncio
import re

import pytest
from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index.core.chat_engine import SimpleChatEngine
from openai import InternalServerError

import counterfoil
from ledger import agree
from llama_index_apps import add, agent, model, office, search, text
from support_desk.endpoint import Endpoint, Reply, Request, call, in_turn

pytestmark = pytest.mark.usefixtures("llama_index")

LONG = "The customer wrote at length about beans, grinders, water and the colour of the light. " * 12


@pytest.fixture
def endpoint():
    with Endpoint(scripted, strict=True) as endpoint:
        yield endpoint


def scripted(request: Request) -> Reply | None:
    """Answer by the first of these words that the user said."""
    said = "\n".join(str(one["content"]) for one in request.messages if one["role"] == "user")
    word, number = re.search(r"(?s)(refuse|hang-up|retry|silent|late|look|both|pass|$) ?(\d*)", said).groups()
    match word:
        case "refuse":
            return Reply(error=int(number))
        case "hang-up":
            return Reply("one two three four five six seven", hang_up=3)
        case "retry":
            return Reply(error=429) if request.attempt < 2 else Reply("The third time.")
        case "silent":
            return Reply("No usage with this.", usage=False)
        case "late":
            return Reply("Too late.", delay=1.5)
        case "look":
            looks = Reply("I look.", calls=[call("search", query="tea")], reasoning="I must look.")
            return in_turn(looks, Reply("Green tea."))(request)
        case "both":
            calls = [call("search", query="tea"), call("search", query="coffee"), call("add", a=1, b=2)]
            return in_turn(Reply(calls=calls), Reply("Three."))(request)
        case "pass":
            if "You are front." in request.system:
                return Reply("They know.", calls=[call("handoff", to_agent="back", reason="tea")])
            return Reply("Green tea.")
    return Reply(f"You said: {request.user[:80]}", reasoning="because of what was said")


async def read(stream):
    async for _ in await stream:
        pass


#: How a model may be called.
CALLS = {
    "chat": lambda llm, said: llm.chat([text("system", "Be short."), text("user", said)]),
    "achat": lambda llm, said: asyncio.run(llm.achat([text("user", said)])),
    "complete": lambda llm, said: llm.complete(said),
    "acomplete": lambda llm, said: asyncio.run(llm.acomplete(said)),
    "stream_chat": lambda llm, said: list(llm.stream_chat([text("user", said)])),
    "stream_complete": lambda llm, said: list(llm.stream_complete(said)),
    "a chat engine": lambda llm, said: SimpleChatEngine.from_defaults(llm=llm).chat(said),
    "a chat engine, streamed": lambda llm, said: list(
        SimpleChatEngine.from_defaults(llm=llm).stream_chat(said).response_gen
    ),
}


def ask(endpoint, way, said, **options):
    # A client that outlives the loop of asyncio.run() would never be closed.
    CALLS[way](model(endpoint, reuse_client=not way.startswith("a"), **options), said)


def clerk(endpoint, **options):
    return agent("clerk", model(endpoint), search, add, **options)


#: How an agent may be run.
RUNS = {
    "streamed": lambda endpoint, said: clerk(endpoint).run(said),
    "in one piece": lambda endpoint, said: clerk(endpoint, streaming=False).run(said),
    "in a workflow": lambda endpoint, said: office(clerk(endpoint)).run(said),
}


class TestModel:
    @pytest.mark.parametrize("way", CALLS)
    def test_one_call_is_one_step_with_the_usage_served(self, db, endpoint, way):
        ask(endpoint, way, "hello there")
        with counterfoil.open(db) as store:
            (found,) = agree(store, endpoint)
        assert found.input_tokens > 0
        assert found.reasoning_tokens > 0
        assert (found.provider, found.framework, found.agent) == ("openai", "llama_index", None)
        assert found.response_id == endpoint.completions[0].response_id

    async def test_streamed_in_asyncio(self, db, endpoint):
        await read(model(endpoint).astream_chat([text("user", "hello")]))
        with counterfoil.open(db) as store:
            (found,) = agree(store, endpoint)
        assert 0 < found.ttft_ns <= found.duration_ns

    def test_a_prompt_in_the_providers_cache_is_counted_as_such(self, db, endpoint):
        ask(endpoint, "complete", LONG)
        ask(endpoint, "stream_complete", LONG + "Again.")
        with counterfoil.open(db) as store:
            first, second = agree(store, endpoint)
        assert first.cache_read_tokens == 0
        assert 0 < second.cache_read_tokens < second.input_tokens

    @pytest.mark.parametrize("way", ["chat", "stream_chat"])
    def test_usage_that_was_not_told_is_unknown_and_not_nothing(self, db, endpoint, way):
        ask(endpoint, way, "silent")
        with counterfoil.open(db) as store:
            (found,) = agree(store, endpoint)
            (run,) = store.runs(all=True)
        told = (found.input_tokens, found.output_tokens, found.cache_read_tokens, found.reasoning_tokens)
        assert told == (None, None, None, None)
        assert (run.input_tokens, run.output_tokens, run.unknown_usage_calls) == (None, None, 1)

    def test_a_stream_whose_client_did_not_ask_for_usage(self, db, endpoint):
        ask(endpoint, "stream_chat", "hello", additional_kwargs={})
        with counterfoil.open(db) as store:
            (found,) = agree(store, endpoint)
        assert found.input_tokens is None


class TestAgent:
    @pytest.mark.parametrize("way", RUNS)
    async def test_each_turn_of_the_model_is_one_call(self, db, endpoint, way):
        await RUNS[way](endpoint, "look for tea")
        with counterfoil.open(db) as store:
            calls = agree(store, endpoint)
            (run,) = store.runs()
            (tool,) = store.tool_calls()
        assert [(one.agent, one.run_id) for one in calls] == [("clerk", run.run_id)] * 2
        assert (run.status, run.llm_calls, run.tool_calls, run.errors) == ("ok", 2, 1, 0)
        assert (tool.decided_by, tool.decided_evidence) == (calls[0].step_id, "native")
        assert run.input_tokens == sum(one.input_tokens for one in calls)
        assert run.output_tokens == sum(one.output_tokens for one in calls)

    @pytest.mark.parametrize("way", RUNS)
    async def test_parallel_tools_were_chosen_by_the_call_before(self, db, endpoint, way):
        await RUNS[way](endpoint, "both please")
        with counterfoil.open(db) as store:
            calls = agree(store, endpoint)
            tools = store.tool_calls()
        assert sorted((tool.tool, str(tool.arguments), tool.status) for tool in tools) == [
            ("add", "{'a': 1, 'b': 2}", "ok"),
            ("search", "{'query': 'coffee'}", "ok"),
            ("search", "{'query': 'tea'}", "ok"),
        ]
        assert {tool.decided_by for tool in tools} == {calls[0].step_id}

    async def test_control_that_is_passed(self, db, endpoint):
        llm = model(endpoint)
        await office(agent("front", llm), agent("back", llm)).run("pass it on")
        with counterfoil.open(db) as store:
            calls = agree(store, endpoint)
            (one,) = store.handoffs(store.runs()[0])
        assert [call.agent for call in calls] == ["front", "back"]
        assert one.decided_by == calls[0].step_id

    @pytest.mark.slow
    async def test_many_at_once(self, db, endpoint):
        shared = model(endpoint)
        await asyncio.gather(
            *(agent(f"clerk{n}", shared, search, add).run(f"look {n}") for n in range(8)),
            *(office(agent("front", shared), agent("back", shared)).run("pass it on") for _ in range(8)),
        )
        with counterfoil.open(db) as store:
            agree(store, endpoint)
            assert [run.status for run in store.runs()] == ["ok"] * 16

    async def test_a_query_engine(self, db, endpoint):
        index = VectorStoreIndex.from_documents(
            [Document(text=LONG), Document(text="tea")], embed_model=MockEmbedding(embed_dim=8)
        )
        for mode in ("compact", "refine", "tree_summarize"):
            engine = index.as_query_engine(llm=model(endpoint), response_mode=mode)
            await engine.aquery("hello")
            await asyncio.to_thread(engine.query, "hello")
        answer = index.as_query_engine(llm=model(endpoint), streaming=True).query("hello")
        await asyncio.to_thread(lambda: list(answer.response_gen))
        with counterfoil.open(db) as store:
            calls = agree(store, endpoint)
            assert len(store.runs(all=True)) == 1 + 7  # the index first
        assert len(calls) >= 7


class TestTrouble:
    # A chat engine's stream is read in a thread of LlamaIndex's own, which dies with the error.
    @pytest.mark.parametrize("way", [way for way in CALLS if way != "a chat engine, streamed"])
    def test_a_request_that_was_refused_is_an_error(self, db, endpoint, way):
        with pytest.raises(InternalServerError):
            ask(endpoint, way, "refuse 500")
        with counterfoil.open(db) as store:
            assert agree(store, endpoint) == []
            (found,) = store.llm_calls()
            (run,) = store.runs(all=True)
        assert (found.status, run.status, run.errors) == ("error", "error", 1)
        assert "scripted error 500" in found.error_message
        assert (run.input_tokens, run.cost_nano, run.unknown_usage_calls) == (None, None, 0)

    @pytest.mark.parametrize("way", RUNS)
    async def test_of_an_agent_it_is_told_once(self, db, endpoint, way):
        with pytest.raises(InternalServerError):
            await RUNS[way](endpoint, "refuse 500")
        with counterfoil.open(db) as store:
            assert agree(store, endpoint) == []
            (run,) = store.runs()
            assert [step.kind for step in store.steps(run) if step.error_type] == ["llm"]
        assert (run.status, run.llm_calls, run.errors) == ("error", 1, 1)

    @pytest.mark.slow
    @pytest.mark.parametrize("way", ["chat", "stream_chat"])
    def test_a_connection_that_is_cut_in_the_middle_is_an_error_without_usage(self, db, endpoint, way):
        with pytest.raises(Exception, match=r"Connection error|peer closed connection"):
            ask(endpoint, way, "hang-up")
        with counterfoil.open(db) as store:
            assert agree(store, endpoint) == []
            (found,) = store.llm_calls()
        assert (found.status, found.input_tokens, found.output_tokens) == ("error", None, None)

    def test_a_call_that_timed_out_is_an_error(self, db, endpoint):
        with pytest.raises(Exception, match="timed out"):
            ask(endpoint, "chat", "late", timeout=0.3)
        with counterfoil.open(db) as store:
            (found,) = store.llm_calls()
        assert (found.status, found.error_type, found.input_tokens) == ("error", "APITimeoutError", None)

    @pytest.mark.slow
    def test_the_http_clients_own_retries_are_not_seen(self, db, endpoint):
        ask(endpoint, "chat", "retry", max_retries=3)
        with counterfoil.open(db) as store:
            (found,) = agree(store, endpoint, unseen=2)
            assert store.runs(all=True)[0].errors == 0
        assert [entry.status for entry in endpoint.ledger] == [429, 429, 200]
        assert found.status == "ok"
