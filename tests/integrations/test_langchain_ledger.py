"""The endpoint's ledger agrees with `llm_calls`: each completion is one llm step, with the usage that was served."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from openai import APIConnectionError, APITimeoutError, InternalServerError, RateLimitError

import counterfoil
from ledger import agree
from support_desk.back_office import BackOffice
from support_desk.endpoint import Endpoint, Reply, Request, call, in_turn
from support_desk.langgraph_desk import build_desk
from support_desk.script import answer
from support_desk.tickets import TICKETS

LONG = "The customer wrote at length about beans, grinders, water and the colour of the light. " * 12


@pytest.fixture
def endpoint():
    with Endpoint(scripted, strict=True) as endpoint:
        yield endpoint


@pytest.fixture
def model(endpoint):
    return model_at(endpoint)


def model_at(endpoint, **options):
    options = {"model": "gpt-4.1-mini", "max_retries": 0, "stream_usage": True} | options
    return ChatOpenAI(base_url=endpoint.url, api_key="offline", **options)


def scripted(request: Request) -> Reply | None:
    """Answer by the first word that the user said."""
    word = request.user.partition(" ")[0]
    match word:
        case "refuse":
            return Reply(error=int(request.user.split()[1]))
        case "hang-up":
            return Reply("one two three four five six seven", hang_up=3)
        case "flaky":  # answered at the second request of the same conversation
            flaky[request.user] = flaky.get(request.user, 0) + 1
            return Reply(error=500) if flaky[request.user] == 1 else Reply("At last.")
        case "retry":
            return Reply(error=429) if request.attempt < 2 else Reply("The third time.")
        case "silent":
            return Reply("No usage with this.", usage=False)
        case "slow":
            return Reply("word " * 40, pause=0.05)
        case "late":
            return Reply("Too late.", delay=1.5)
        case "served":
            return Reply("By another.", model="gpt-4.1-mini-2025-04-14")
        case "weather":
            return in_turn(
                Reply(calls=[call("weather", city="Oslo")], reasoning="I must look."), Reply("Rain in Oslo.")
            )(request)
        case "both":
            look = [call("weather", city="Oslo"), call("weather", city="Rome"), call("trains", to="Rome")]
            return in_turn(Reply("I look.", calls=look), Reply("Rome, by the 08:04."))(request)
    return Reply(f"You said: {request.user[:80]}", reasoning="because of what was said")


flaky: dict[str, int] = {}


def weather(city: str) -> str:
    """Tell the weather."""
    return f"{city}: rain"


def trains(to: str) -> str:
    """Tell the trains."""
    return f"to {to}: 08:04"


async def drained(stream):
    return [piece async for piece in stream]


#: How a model may be called.
CALLS = {
    "invoke": lambda model, text, config: model.invoke(text, config),
    "ainvoke": lambda model, text, config: asyncio.run(model.ainvoke(text, config)),
    "stream": lambda model, text, config: list(model.stream(text, config)),
    "astream": lambda model, text, config: asyncio.run(drained(model.astream(text, config))),
    "astream_events": lambda model, text, config: asyncio.run(
        drained(model.astream_events(text, config, version="v2"))
    ),
    "generate": lambda model, text, config: model.generate([[HumanMessage(text)]], **config),
    "in a chain": lambda model, text, config: (model | (lambda message: message.text)).invoke(text, config),
}

#: How an agent may be run.
RUNS = {
    "invoke": lambda agent, text, config: agent.invoke(asked(text), config),
    "ainvoke": lambda agent, text, config: asyncio.run(agent.ainvoke(asked(text), config)),
    "stream": lambda agent, text, config: list(agent.stream(asked(text), config)),
    "stream of messages": lambda agent, text, config: list(
        agent.stream(asked(text), config, stream_mode="messages")
    ),
    "astream of messages": lambda agent, text, config: asyncio.run(
        drained(agent.astream(asked(text), config, stream_mode="messages"))
    ),
    "astream_events": lambda agent, text, config: asyncio.run(
        drained(agent.astream_events(asked(text), config, version="v2"))
    ),
}


def asked(text):
    return {"messages": [("user", text)]}


class TestModel:
    @pytest.mark.parametrize("way", CALLS)
    def test_one_call_is_one_step_with_the_usage_served(self, db, config, endpoint, model, way):
        CALLS[way](model, "hello there", config)
        with counterfoil.open(db) as store:
            (call,) = agree(store, endpoint)
        assert call.input_tokens > 0
        assert call.reasoning_tokens > 0
        assert (call.provider, call.framework, call.agent) == ("openai", "langchain", None)

    # langchain-openai 1.7 adds up what several answers used, and stumbles over numbers that are not given.
    @pytest.mark.filterwarnings("ignore:Unexpected type for token usage:UserWarning")
    @pytest.mark.parametrize("way", ["batch", "abatch", "batch_as_completed", "generate"])
    def test_each_item_of_a_batch_is_a_call_and_a_run_of_its_own(self, db, config, endpoint, model, way):
        items = [f"item {number}" for number in range(7)]
        match way:
            case "batch":
                model.batch(items, config)
            case "abatch":
                asyncio.run(model.abatch(items, config))
            case "batch_as_completed":
                list(model.batch_as_completed(items, config))
            case "generate":
                model.generate([[HumanMessage(item)] for item in items], **config)
        with counterfoil.open(db) as store:
            calls = agree(store, endpoint)
            runs = store.runs(all=True)
        assert len(calls) == 7
        assert {call.run_id for call in calls} == {run.run_id for run in runs}
        assert [run.llm_calls for run in runs] == [1] * 7

    def test_a_prompt_in_the_providers_cache_is_counted_as_such(self, db, config, endpoint, model):
        model.invoke(LONG, config)
        list(model.stream(LONG + "Again.", config))
        with counterfoil.open(db) as store:
            first, second = agree(store, endpoint)
        assert first.cache_read_tokens == 0
        assert 0 < second.cache_read_tokens < second.input_tokens

    def test_the_model_that_served_stands_beside_the_one_that_was_asked_for(
        self, db, config, endpoint, model
    ):
        model.invoke("served by whom?", config)
        list(model.stream("served by whom?", config))
        with counterfoil.open(db) as store:
            calls = agree(store, endpoint)
        assert {(call.request_model, call.model) for call in calls} == {
            ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14")
        }

    def test_only_a_streamed_call_has_a_time_to_its_first_token(self, db, config, endpoint, model):
        model.invoke("hello", config)
        list(model.stream("hello", config))
        with counterfoil.open(db) as store:
            plain, streamed = agree(store, endpoint)
        assert plain.ttft_ns is None
        assert 0 < streamed.ttft_ns <= streamed.duration_ns

    @pytest.mark.parametrize("way", ["invoke", "stream"])
    def test_usage_that_was_not_told_is_unknown_and_not_nothing(self, db, config, endpoint, way):
        if way == "invoke":
            model_at(endpoint).invoke("silent", config)
        else:
            list(model_at(endpoint, stream_usage=False).stream("hello", config))
        with counterfoil.open(db) as store:
            (call,) = agree(store, endpoint)
            (run,) = store.runs(all=True)
        told = (call.input_tokens, call.output_tokens, call.cache_read_tokens, call.reasoning_tokens)
        assert told == (None, None, None, None)
        assert (run.input_tokens, run.output_tokens, run.unknown_usage_calls) == (None, None, 1)
        assert endpoint.completions[0].usage["prompt_tokens"] > 0

    def test_an_answer_from_langchains_cache_is_no_request_and_costs_nothing(self, db, config, endpoint):
        model = model_at(endpoint, cache=InMemoryCache())
        for _ in range(3):
            model.invoke("hello", config)
        with counterfoil.open(db) as store:
            (asked,) = agree(store, endpoint)
            calls = store.llm_calls()
        assert [call.cached for call in calls] == [False, True, True]
        assert [call.input_tokens for call in calls] == [asked.input_tokens] * 3
        assert [call.cost_nano for call in calls[1:]] == [0, 0]
        assert asked.cost_nano > 0


class TestAgent:
    @pytest.mark.parametrize("way", RUNS)
    def test_each_turn_of_the_model_is_one_call(self, db, config, endpoint, model, way):
        agent = create_agent(model, [weather, trains], name="traveller")
        RUNS[way](agent, "weather in Oslo?", config)
        with counterfoil.open(db) as store:
            calls = agree(store, endpoint)
            (run,) = store.runs()
            tools = store.tool_calls()
        assert [(call.agent, call.run_id) for call in calls] == [("traveller", run.run_id)] * 2
        assert (run.llm_calls, run.tool_calls, run.errors) == (2, 1, 0)
        assert [tool.decided_by for tool in tools] == [calls[0].step_id]
        assert run.input_tokens == sum(call.input_tokens for call in calls)
        assert run.output_tokens == sum(call.output_tokens for call in calls)

    @pytest.mark.slow
    @pytest.mark.parametrize("way", ["invoke", "ainvoke"])
    def test_parallel_tools_answer_the_calls_that_the_model_made(self, db, config, endpoint, model, way):
        agent = create_agent(model, [weather, trains], name="traveller")
        RUNS[way](agent, "both please", config)
        with counterfoil.open(db) as store:
            calls = agree(store, endpoint)
            tools = store.tool_calls()
        asked = {one["id"]: one["function"]["name"] for one in endpoint.completions[0].answer["tool_calls"]}
        assert {tool.call_id: tool.tool for tool in tools} == asked
        assert len(tools) == 3
        assert {(tool.decided_by, tool.decided_evidence, tool.status) for tool in tools} == {
            (calls[0].step_id, "native", "ok")
        }

    @pytest.mark.slow
    @pytest.mark.parametrize("number", TICKETS)
    @pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream of messages"])
    def test_each_ticket_of_the_support_desk(self, db, config, number, way):
        with Endpoint(answer, strict=True) as endpoint:
            desk = build_desk(model_at(endpoint), BackOffice())
            RUNS[way](desk, TICKETS[number].text, config)
            with counterfoil.open(db) as store:
                calls = agree(store, endpoint)
                (run,) = store.runs()
        assert {call.run_id for call in calls} == {run.run_id}
        assert run.input_tokens == sum(e.usage["prompt_tokens"] for e in endpoint.completions)
        assert run.output_tokens == sum(e.usage["completion_tokens"] for e in endpoint.completions)

    @pytest.mark.slow
    def test_all_tickets_at_once_in_threads_and_in_asyncio(self, db, config):
        def ask(number):
            return asked(TICKETS[number].text)

        async def at_once(desk):
            await asyncio.gather(*(desk.ainvoke(ask(number), config) for number in TICKETS))

        with Endpoint(answer, strict=True) as endpoint:
            desk = build_desk(model_at(endpoint), BackOffice())
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda number: desk.invoke(ask(number), config), [*TICKETS, *TICKETS]))
            asyncio.run(at_once(desk))
            with counterfoil.open(db) as store:
                agree(store, endpoint)
                runs = store.runs()
        assert [run.status for run in runs] == ["ok"] * 12
        assert sum(run.llm_calls for run in runs) == len(endpoint.completions)


class TestTrouble:
    @pytest.mark.parametrize(("status", "error"), [(500, InternalServerError), (429, RateLimitError)])
    @pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream"])
    def test_a_request_that_was_refused_is_an_error(self, db, config, endpoint, model, status, error, way):
        with pytest.raises(error):
            CALLS[way](model, f"refuse {status}", config)
        with counterfoil.open(db) as store:
            assert agree(store, endpoint) == []
            (call,) = store.llm_calls()
            (run,) = store.runs(all=True)
        assert (call.status, run.status, run.errors) == ("error", "error", 1)
        assert f"scripted error {status}" in call.error_message
        assert (run.input_tokens, run.cost_nano, run.unknown_usage_calls) == (None, None, 0)

    def test_an_agents_error_stands_at_the_call_alone(self, db, config, endpoint, model):
        agent = create_agent(model, [weather], name="traveller")
        with pytest.raises(InternalServerError):
            agent.invoke(asked("refuse 500"), config)
        with counterfoil.open(db) as store:
            agree(store, endpoint)
            (run,) = store.runs()
            steps = store.steps(run)
        assert {step.status for step in steps} == {"error"}
        assert [(step.kind, step.error_message is not None) for step in steps if step.error_type] == [
            ("llm", True)
        ]
        assert (run.status, run.errors) == ("error", 1)

    @pytest.mark.parametrize("way", ["invoke", "stream", "astream"])
    def test_a_connection_that_is_cut_in_the_middle_is_an_error_without_usage(
        self, db, config, endpoint, model, way
    ):
        # openai 2 lets the error of its HTTP client through where a stream is cut, openai 3 wraps it.
        with pytest.raises((APIConnectionError, httpx.RemoteProtocolError)):
            CALLS[way](model, "hang-up", config)
        with counterfoil.open(db) as store:
            assert agree(store, endpoint) == []
            (call,) = store.llm_calls()
            said = store.messages(call)
        assert (call.status, call.input_tokens, call.output_tokens) == ("error", None, None)
        if way != "invoke":  # what had come by then is kept
            assert said.output[0]["parts"] == [{"type": "text", "content": "one two three"}]

    def test_a_call_that_timed_out_is_an_error(self, db, config, endpoint):
        with pytest.raises(APITimeoutError):
            model_at(endpoint, timeout=0.3).invoke("late", config)
        with counterfoil.open(db) as store:
            (call,) = store.llm_calls()
        assert (call.status, call.input_tokens) == ("error", None)

    def test_a_stream_that_its_reader_left_is_cancelled(self, db, config, endpoint, model):
        stream = model.stream("slow", config)
        next(stream)
        stream.close()
        with counterfoil.open(db) as store:
            (call,) = store.llm_calls()
            (run,) = store.runs(all=True)
        assert (call.status, call.error_type, run.status, run.errors) == ("cancelled", None, "cancelled", 0)

    def test_a_task_that_was_cancelled_leaves_no_call_open(self, db, config, endpoint, model):
        async def cancel_in_the_middle():
            begun = asyncio.Event()

            async def read():
                pieces = 0
                async for _ in model.astream("slow", config):
                    pieces += 1
                    if pieces == 3:  # langchain-core 1.7 loses a cancellation that comes with the first
                        begun.set()

            task = asyncio.create_task(read())
            await begun.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(cancel_in_the_middle())
        with counterfoil.open(db) as store:
            (call,) = store.llm_calls()
        assert (call.status, call.error_type) == ("cancelled", None)

    @pytest.mark.slow
    def test_the_http_clients_own_retries_are_not_seen(self, db, config, endpoint):
        model_at(endpoint, max_retries=3).invoke("retry", config)
        with counterfoil.open(db) as store:
            (call,) = agree(store, endpoint, unseen=2)
            assert store.runs(all=True)[0].errors == 0
        assert [entry.status for entry in endpoint.ledger] == [429, 429, 200]
        assert call.status == "ok"

    def test_each_attempt_of_with_retry_is_a_call(self, db, config, endpoint, model):
        flaky.clear()
        patient = model.with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
        assert patient.invoke("flaky one", config).text == "At last."
        with counterfoil.open(db) as store:
            agree(store, endpoint)
            (run,) = store.runs(all=True)
            calls = store.llm_calls()
        assert [call.status for call in calls] == ["error", "ok"]
        assert {call.run_id for call in calls} == {run.run_id}
        assert (run.status, run.llm_calls, run.errors) == ("ok", 2, 1)

    def test_a_fallback_is_a_call_beside_the_one_that_failed(self, db, config, endpoint, model):
        backup = model_at(endpoint, model="gpt-4.1-nano")
        flaky.clear()
        model.with_fallbacks([backup]).invoke("flaky two", config)
        with counterfoil.open(db) as store:
            agree(store, endpoint)
            (run,) = store.runs(all=True)
            calls = store.llm_calls()
        assert [(call.request_model, call.status) for call in calls] == [
            ("gpt-4.1-mini", "error"),
            ("gpt-4.1-nano", "ok"),
        ]
        assert (run.status, run.errors) == ("ok", 1)
