"""The endpoint's ledger agrees with `llm_calls` of agents and teams: each completion is one llm step, with its usage."""

import asyncio
import re

import pytest
from autogen_agentchat.agents import SocietyOfMindAgent
from autogen_agentchat.teams import SelectorGroupChat
from autogen_agentchat.tools import AgentTool
from autogen_core.logging import LLMCallEvent
from autogen_core.models import AssistantMessage, CreateResult, RequestUsage, SystemMessage, UserMessage
from autogen_ext.models.cache import ChatCompletionCache
from autogen_ext.models.replay import ReplayChatCompletionClient
from openai import InternalServerError

import counterfoil
from autogen_apps import INFO, agent, asks, replay, search, team
from ledger import agree
from support_desk.endpoint import Endpoint, Reply, Request, call

pytestmark = pytest.mark.usefixtures("autogen")

LONG = "The customer wrote at length about beans, grinders, water and the colour of the light. " * 12
COUNTED = {"stream_options": {"include_usage": True}}


@pytest.fixture
def endpoint():
    with Endpoint(scripted, strict=True) as endpoint:
        yield endpoint


def scripted(request: Request) -> Reply | None:
    """Answer by the first of these words that the user said."""
    word, number = re.search(
        r"(?s)(refuse|hang-up|retry|silent|late|look|pick|$) ?(\d*)", request.transcript
    ).groups()
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
        case "pick":
            return Reply("bob")
        case "look":
            looks = Reply("I look.", calls=[call("search", query="tea")], reasoning="I must look.")
            return Reply("Found it.") if request.answered else looks
    return Reply("Hello.", reasoning="Let me think.")


def said(text):
    return [SystemMessage(content="You are kind."), UserMessage(content=text, source="user")]


async def create(llm, text="hello"):
    return await llm.create(said(text))


async def stream(llm, text="hello"):
    return [one async for one in llm.create_stream(said(text))][-1]


WAYS = pytest.mark.parametrize("way", [create, stream])


class TestCalls:
    @WAYS
    async def test_what_was_served_is_what_is_stored(self, db, endpoint, client, way):
        await way(client(endpoint, **COUNTED if way is stream else {}), LONG)
        await way(client(endpoint, **COUNTED if way is stream else {}), LONG)
        with counterfoil.open(db) as store:
            calls = agree(store, endpoint)
        assert {one.model for one in calls} == {"gpt-4.1-mini"}
        assert {one.provider for one in calls} == {"openai"}
        assert max(one.cache_read_tokens for one in calls) > 0
        assert all(one.response_id for one in calls)
        assert all(one.reasoning_tokens for one in calls)

    async def test_a_stream_that_tells_no_usage_is_unknown_not_zero(self, db, endpoint, client):
        await stream(client(endpoint))
        with counterfoil.open(db) as store:
            (found,) = agree(store, endpoint)
            (run,) = store.runs(all=True)
        assert (found.input_tokens, found.output_tokens, run.unknown_usage_calls) == (None, None, 1)
        assert found.ttft_ms is not None

    @WAYS
    async def test_a_provider_that_tells_no_usage(self, db, endpoint, client, way):
        await way(client(endpoint), "silent")
        with counterfoil.open(db) as store:
            (found,) = agree(store, endpoint)
        assert found.input_tokens is None

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_a_whole_turn(self, db, endpoint, client, streamed):
        llm = client(endpoint, **COUNTED if streamed else {})
        clerk = agent("clerk", llm, search, max_tool_iterations=3, model_client_stream=streamed)
        await team(clerk).run(task="look")
        with counterfoil.open(db) as store:
            calls = agree(store, endpoint)
            (run,) = store.runs()
        assert [one.finish_reason for one in calls] == ["tool_calls", "stop"]
        assert run.input_tokens == sum(one.usage["prompt_tokens"] for one in endpoint.completions)

    # AutoGen 0.7 writes the client's own answer out, parsed as it is, for its log.
    @pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
    async def test_structured_answers(self, db, endpoint, client):
        from pydantic import BaseModel

        class Mood(BaseModel):
            mood: str

        endpoint.script = lambda _: Reply('{"mood": "fine"}')
        done = await agent("clerk", client(endpoint), output_content_type=Mood).run(task="hello")
        assert done.messages[-1].content.mood == "fine"
        with counterfoil.open(db) as store:
            agree(store, endpoint)
            assert store.runs()[0].output == {"mood": "fine"}

    async def test_selectors_minds_and_agents_in_tools(self, db, endpoint, client):
        llm = client(endpoint)
        mind = SocietyOfMindAgent("bob", team(agent("ann", llm), name="inner"), llm)
        boss = agent("boss", replay(asks(("cid", {"task": "look"}))), AgentTool(agent("cid", llm, search)))
        office = SelectorGroupChat(
            [mind, boss], model_client=llm, max_turns=1, selector_prompt="pick {participants}"
        )
        await office.run(task="hello")
        await boss.run(task="x")
        with counterfoil.open(db) as store:
            assert len(store.llm_calls()) == len(endpoint.completions) + 1  # boss's own
            told = {one.response_id for one in store.llm_calls()} - {None}
            assert told == {one.response_id for one in endpoint.completions}
            (run,) = (one for one in store.runs() if one.name == "SelectorGroupChat")
        assert run.input_tokens == sum(one.usage["prompt_tokens"] for one in endpoint.completions[:-1])

    @pytest.mark.slow
    async def test_thirty_at_once(self, db, endpoint, client):
        llm = client(endpoint)

        async def one():
            await team(agent("clerk", llm, search, max_tool_iterations=3)).run(task="look")

        await asyncio.gather(*(one() for _ in range(30)))
        with counterfoil.open(db) as store:
            agree(store, endpoint)
            assert [run.llm_calls for run in store.runs(limit=None)] == [2] * 30


class TestCache:
    @WAYS
    async def test_a_hit_costs_nothing_and_a_miss_is_one_call(self, db, endpoint, client, way):
        llm = ChatCompletionCache(client(endpoint, **COUNTED if way is stream else {}))
        await way(llm)
        await way(llm)
        with counterfoil.open(db) as store:
            agree(store, endpoint)
            calls = store.llm_calls()
        assert sorted((one.cached, one.request_model) for one in calls) == [
            (False, "gpt-4.1-mini"),
            (True, "gpt-4.1-mini"),
        ]
        assert [one.cost_nano for one in calls if one.cached] == [0]
        assert all(one.input_tokens for one in calls)


class TestTrouble:
    @WAYS
    async def test_a_request_that_was_refused_is_an_error(self, db, endpoint, client, way):
        with pytest.raises(InternalServerError):
            await way(client(endpoint), "refuse 500")
        with counterfoil.open(db) as store:
            assert agree(store, endpoint) == []
            (found,) = store.llm_calls()
        assert (found.status, found.error_type, found.input_tokens) == ("error", "InternalServerError", None)

    @WAYS
    async def test_a_connection_that_is_cut_in_the_middle(self, db, endpoint, client, way):
        with pytest.raises(Exception, match=r"Connection error|peer closed connection"):
            await way(client(endpoint), "hang-up")
        with counterfoil.open(db) as store:
            assert agree(store, endpoint) == []

    async def test_a_call_that_timed_out(self, db, endpoint, client):
        with pytest.raises(Exception, match="timed out"):
            await create(client(endpoint, timeout=0.2), "late")
        with counterfoil.open(db) as store:
            assert [one.status for one in store.llm_calls()] == ["error"]

    @pytest.mark.slow
    async def test_the_http_clients_own_retries_are_not_seen(self, db, endpoint, client):
        await create(client(endpoint, max_retries=3), "retry")
        with counterfoil.open(db) as store:
            agree(store, endpoint, unseen=2)

    async def test_a_stream_that_nobody_reads_to_its_end_is_cancelled(self, db, endpoint, client):
        items = client(endpoint, **COUNTED).create_stream(said("hello"))
        await anext(items)
        await items.aclose()
        with counterfoil.open(db) as store:
            (found,) = store.llm_calls()
        assert (found.status, found.input_tokens) == ("cancelled", None)


class Foreign(ReplayChatCompletionClient):
    """A client that says what its provider said as AutoGen's client of Anthropic does."""

    async def create(self, messages, **options):
        usage = {
            "input_tokens": 10,
            "output_tokens": 4,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 20,
        }
        response = {"id": "msg_1", "model": "claude-x", "usage": usage}
        LLMCallEvent(messages=[], response=response, prompt_tokens=10, completion_tokens=4)
        used = RequestUsage(prompt_tokens=10, completion_tokens=4)
        return CreateResult(finish_reason="stop", content="Hi.", usage=used, cached=False, thought="Hm.")


async def test_input_that_a_provider_counts_without_what_was_cached(db):
    await Foreign([], model_info=INFO).create(said("hello"))
    with counterfoil.open(db) as store:
        (found,) = store.llm_calls()
        said_ = store.messages(found).output[0]
    assert (found.input_tokens, found.cache_read_tokens, found.cache_write_tokens) == (130, 100, 20)
    assert (found.output_tokens, found.model, found.response_id) == (4, "claude-x", "msg_1")
    assert said_["parts"][0] == {"type": "reasoning", "content": "Hm."}


async def test_every_kind_of_message_that_a_model_is_sent(db):
    from autogen_core import FunctionCall, Image
    from autogen_core.models import FunctionExecutionResult, FunctionExecutionResultMessage
    from PIL.Image import new

    calls = [FunctionCall(id="1", name="search", arguments='{"query": "tea"}')]
    results = [FunctionExecutionResult(content=f"r{n}", name="search", call_id=str(n)) for n in (1, 2)]
    await replay("done").create(
        [
            SystemMessage(content="Be kind."),
            UserMessage(content=["look", Image(new("RGB", (4, 3)))], source="user"),
            AssistantMessage(content=calls, source="clerk", thought="I look."),
            FunctionExecutionResultMessage(content=results),
            AssistantMessage(content="so", source="clerk", thought="Hm."),
        ]
    )
    with counterfoil.open(db) as store:
        found = store.messages(store.llm_calls()[0]).input
    assert [(one["role"], one["parts"]) for one in found] == [
        ("system", [{"type": "text", "content": "Be kind."}]),
        (
            "user",
            [
                {"type": "text", "content": "look"},
                {"type": "blob", "mime_type": "image/png", "content": "4x3"},
            ],
        ),
        (
            "assistant",
            [
                {"type": "text", "content": "I look."},
                {"type": "tool_call", "id": "1", "name": "search", "arguments": {"query": "tea"}},
            ],
        ),
        ("tool", [{"type": "tool_call_response", "id": "1", "response": "r1"}]),
        ("tool", [{"type": "tool_call_response", "id": "2", "response": "r2"}]),
        ("assistant", [{"type": "reasoning", "content": "Hm."}, {"type": "text", "content": "so"}]),
    ]
