"""The endpoint's ledger agrees with `llm_calls` of crews: each completion is one llm step, with the usage that was served."""

import asyncio
import contextvars
import functools
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from crewai.flow.flow import Flow, listen, start
from openai import InternalServerError

import counterfoil
import ledger
from crewai_apps import add, agent, crew, model, search, task, text_model
from support_desk.back_office import BackOffice
from support_desk.crewai_desk import build_desk
from support_desk.endpoint import Endpoint, Reply, Request, call, in_turn
from support_desk.script import answer
from support_desk.tickets import TICKETS

pytestmark = pytest.mark.usefixtures("listening")

# CrewAI 1.15 hands an answer with tool calls on as the calls alone.
agree = functools.partial(ledger.agree, beside=False)

LONG = "The customer wrote at length about beans, grinders, water and the colour of the light. " * 12


@pytest.fixture
def endpoint():
    flaky.clear()
    with Endpoint(scripted, strict=True) as endpoint:
        yield endpoint


flaky: set[str] = set()


def scripted(request: Request) -> Reply | None:
    """Answer by the first of these words that the user said."""
    word, number = re.search(
        r"(?s)(refuse|hang-up|flaky|retry|silent|late|look|both|$) ?(\d*)", said(request)
    ).groups()
    match word:
        case "refuse":
            return Reply(error=int(number))
        case "hang-up":
            return Reply("one two three four five six seven", hang_up=3)
        case "flaky":  # refused once
            known, _ = said(request) in flaky, flaky.add(said(request))
            return Reply("At last.") if known else Reply(error=429)
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
    return Reply(f"You said: {request.user[:80]}", reasoning="because of what was said")


def said(request):
    return "\n".join(str(one["content"]) for one in request.messages if one["role"] == "user")


def in_asyncio(work, llm):
    """Run `work()` to its end; CrewAI 1.15 leaves the connections of its asynchronous clients open."""

    async def run():
        try:
            return await work()
        finally:
            await llm._get_async_client().close()

    return asyncio.run(run())


def called_in_asyncio(endpoint, text, **options):
    llm = model(endpoint, **options)
    return in_asyncio(lambda: llm.acall(text), llm)


#: How a model may be called.
CALLS = {
    "call": lambda endpoint, text: model(endpoint).call(text),
    "acall": called_in_asyncio,
    "streamed": lambda endpoint, text: model(endpoint, stream=True).call(text),
    "streamed in asyncio": functools.partial(called_in_asyncio, stream=True),
    "messages": lambda endpoint, text: model(endpoint).call(
        [{"role": "system", "content": "Be short."}, {"role": "user", "content": text}]
    ),
}


def clerk(endpoint, **options):
    return agent("clerk", model(endpoint, **options), search, add)


def office(endpoint, text, *, streamed=False, **options):
    return crew(task(clerk(endpoint, stream=streamed), text), **options)


def kicked_off_in_asyncio(endpoint, text):
    made = office(endpoint, text)
    return in_asyncio(made.akickoff, made.agents[0].llm)


def alone_in_asyncio(endpoint, text):
    who = clerk(endpoint)
    return in_asyncio(lambda: who.kickoff_async(text), who.llm)


class OneCall(Flow):
    @start()
    def first(self):
        return self.state["office"].kickoff().raw

    @listen(first)
    def second(self, text):
        return text.upper()


def in_a_flow(endpoint, text):
    flow = OneCall()
    flow.state["office"] = office(endpoint, text)
    return flow.kickoff()


#: How an agent may be run.
RUNS = {
    "kickoff": lambda endpoint, text: office(endpoint, text).kickoff(),
    "akickoff": kicked_off_in_asyncio,
    "kickoff_async": lambda endpoint, text: asyncio.run(office(endpoint, text).kickoff_async()),
    "kickoff_for_each": lambda endpoint, text: office(endpoint, "{text}").kickoff_for_each([{"text": text}]),
    "streamed": lambda endpoint, text: office(endpoint, text, streamed=True).kickoff(),
    "a crew that streams": lambda endpoint, text: list(office(endpoint, text, stream=True).kickoff()),
    "an agent alone": lambda endpoint, text: clerk(endpoint).kickoff(text),
    "an agent alone in asyncio": alone_in_asyncio,
    "in a flow": in_a_flow,
}


class TestModel:
    @pytest.mark.parametrize("way", CALLS)
    def test_one_call_is_one_step_with_the_usage_served(self, db, endpoint, way):
        CALLS[way](endpoint, "hello there")
        with counterfoil.open(db) as store:
            (found,) = agree(store, endpoint)
        assert found.input_tokens > 0
        assert found.reasoning_tokens > 0
        assert (found.provider, found.framework, found.agent) == ("openai", "crewai", None)
        assert found.response_id == endpoint.completions[0].response_id

    def test_a_prompt_in_the_providers_cache_is_counted_as_such(self, db, endpoint):
        model(endpoint).call(LONG)
        model(endpoint, stream=True).call(LONG + "Again.")
        with counterfoil.open(db) as store:
            first, second = agree(store, endpoint)
        assert first.cache_read_tokens == 0
        assert 0 < second.cache_read_tokens < second.input_tokens

    def test_only_a_streamed_call_has_a_time_to_its_first_token(self, db, endpoint):
        model(endpoint).call("hello")
        model(endpoint, stream=True).call("hello")
        with counterfoil.open(db) as store:
            plain, streamed = agree(store, endpoint)
        assert plain.ttft_ns is None
        assert 0 < streamed.ttft_ns <= streamed.duration_ns

    @pytest.mark.parametrize("way", ["call", "streamed"])
    def test_usage_that_was_not_told_is_unknown_and_not_nothing(self, db, endpoint, way):
        CALLS[way](endpoint, "silent")
        with counterfoil.open(db) as store:
            (found,) = agree(store, endpoint)
            (run,) = store.runs(all=True)
        told = (found.input_tokens, found.output_tokens, found.cache_read_tokens, found.reasoning_tokens)
        assert told == (None, None, None, None)
        assert (run.input_tokens, run.output_tokens, run.unknown_usage_calls) == (None, None, 1)
        assert endpoint.completions[0].usage["prompt_tokens"] > 0


class TestAgent:
    @pytest.mark.parametrize("way", RUNS)
    def test_each_turn_of_the_model_is_one_call(self, db, endpoint, way):
        RUNS[way](endpoint, "look for tea")
        with counterfoil.open(db) as store:
            calls = agree(store, endpoint)
            (run,) = store.runs()
            tools = store.tool_calls()
        assert [(one.agent, one.run_id) for one in calls] == [("clerk", run.run_id)] * 2
        assert (run.status, run.llm_calls, run.tool_calls, run.errors) == ("ok", 2, 1, 0)
        assert [(tool.decided_by, tool.decided_evidence) for tool in tools] == [
            (calls[0].step_id, "inferred")
        ]
        assert run.input_tokens == sum(one.input_tokens for one in calls)
        assert run.output_tokens == sum(one.output_tokens for one in calls)

    def test_an_agent_that_calls_tools_by_writing_so(self, db, serve):
        endpoint = serve(
            lambda request: Reply(
                "Thought: I know\nFinal Answer: Green tea."
                if "Observation: found tea" in request.transcript
                else 'Thought: I look\nAction: search\nAction Input: {"query": "tea"}'
            )
        )
        crew(task(agent("clerk", text_model(endpoint), search), "look for tea")).kickoff()
        with counterfoil.open(db) as store:
            calls = agree(store, endpoint)
            (tool,) = store.tool_calls()
        assert len(calls) == 2
        assert (tool.tool, tool.decided_by) == ("search", calls[0].step_id)

    @pytest.mark.parametrize("way", ["kickoff", "akickoff"])
    def test_parallel_tools_were_chosen_by_the_call_before(self, db, endpoint, way):
        RUNS[way](endpoint, "both please")
        with counterfoil.open(db) as store:
            calls = agree(store, endpoint)
            tools = store.tool_calls()
        assert sorted((tool.tool, str(tool.arguments), tool.status) for tool in tools) == [
            ("add", "{'a': 1, 'b': 2}", "ok"),
            ("search", "{'query': 'coffee'}", "ok"),
            ("search", "{'query': 'tea'}", "ok"),
        ]
        assert {tool.decided_by for tool in tools} == {calls[0].step_id}

    def test_agents_that_share_a_model_are_counted_once(self, db, endpoint):
        """CrewAI's own total counts the calls of a shared model once for each agent (crewAI#7259)."""
        shared = model(endpoint)
        done = crew(task(agent("one", shared), "hello"), task(agent("two", shared), "good bye")).kickoff()
        with counterfoil.open(db) as store:
            calls = agree(store, endpoint)
            (run,) = store.runs()
        assert [one.agent for one in calls] == ["one", "two"]
        assert run.input_tokens == sum(entry.usage["prompt_tokens"] for entry in endpoint.completions)
        assert run.input_tokens < done.token_usage.prompt_tokens

    @pytest.mark.slow
    @pytest.mark.parametrize("number", TICKETS)
    @pytest.mark.parametrize("way", ["kickoff", "akickoff", "kickoff_async"])
    def test_each_ticket_of_the_support_desk(self, db, number, way):
        given = {"ticket": TICKETS[number].text}
        with Endpoint(answer, strict=True) as endpoint:
            llm = model(endpoint)
            kickoff = functools.partial(getattr(build_desk(llm, BackOffice()), way), given)
            kickoff() if way == "kickoff" else in_asyncio(kickoff, llm)
            with counterfoil.open(db) as store:
                calls = agree(store, endpoint)
                (run,) = store.runs()
        assert {one.run_id for one in calls} == {run.run_id}
        assert run.input_tokens == sum(e.usage["prompt_tokens"] for e in endpoint.completions)
        assert run.output_tokens == sum(e.usage["completion_tokens"] for e in endpoint.completions)

    @pytest.mark.slow
    def test_all_tickets_at_once_in_threads_and_in_asyncio(self, db):
        def given(number):
            return {"ticket": TICKETS[number].text}

        async def at_once(llm):
            await asyncio.gather(
                *(build_desk(llm, BackOffice()).akickoff(given(number)) for number in TICKETS)
            )

        def in_a_thread(endpoint, number):
            desk = build_desk(model(endpoint), BackOffice())
            contextvars.Context().run(desk.kickoff, given(number))

        with Endpoint(answer, strict=True) as endpoint:
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(functools.partial(in_a_thread, endpoint), [*TICKETS, *TICKETS]))
            llm = model(endpoint)
            in_asyncio(lambda: at_once(llm), llm)
            with counterfoil.open(db) as store:
                agree(store, endpoint)
                runs = store.runs()
        assert [run.status for run in runs] == ["ok"] * 12
        assert sum(run.llm_calls for run in runs) == len(endpoint.completions)


class TestTrouble:
    @pytest.mark.parametrize("way", CALLS)
    def test_a_request_that_was_refused_is_an_error(self, db, endpoint, way):
        with pytest.raises(InternalServerError):
            CALLS[way](endpoint, "refuse 500")
        with counterfoil.open(db) as store:
            assert agree(store, endpoint) == []
            (found,) = store.llm_calls()
            (run,) = store.runs(all=True)
        assert (found.status, run.status, run.errors) == ("error", "error", 1)
        assert "scripted error 500" in found.error_message
        assert (run.input_tokens, run.cost_nano, run.unknown_usage_calls) == (None, None, 0)

    @pytest.mark.parametrize("way", ["kickoff", "akickoff", "streamed"])
    def test_each_attempt_of_an_agent_is_a_call_though_each_failure_is_told_twice(self, db, endpoint, way):
        with pytest.raises(InternalServerError):
            RUNS[way](endpoint, "refuse 500")
        with counterfoil.open(db) as store:
            assert agree(store, endpoint) == []
            (run,) = store.runs()
            steps = store.steps(run)
        assert len(endpoint.ledger) == 3  # an agent's max_retry_limit is 2
        assert {step.status for step in steps} == {"error"}
        assert [step.kind for step in steps if step.error_type] == ["llm"] * 3
        assert (run.status, run.llm_calls, run.errors) == ("error", 3, 3)

    @pytest.mark.parametrize("way", ["call", "streamed", "streamed in asyncio"])
    def test_a_connection_that_is_cut_in_the_middle_is_an_error_without_usage(self, db, endpoint, way):
        with pytest.raises(Exception, match=r"Connection error|peer closed connection"):
            CALLS[way](endpoint, "hang-up")
        with counterfoil.open(db) as store:
            assert agree(store, endpoint) == []
            (found,) = store.llm_calls()
            said = store.messages(found)
        assert (found.status, found.input_tokens, found.output_tokens) == ("error", None, None)
        if way != "call":  # what had come by then is kept
            assert said.output[0]["parts"] == [{"type": "text", "content": "one two three"}]

    def test_a_call_that_timed_out_is_an_error(self, db, endpoint):
        with pytest.raises(ConnectionError, match="timed out"):
            model(endpoint, timeout=0.3).call("late")
        with counterfoil.open(db) as store:
            (found,) = store.llm_calls()
        assert (found.status, found.input_tokens) == ("error", None)

    @pytest.mark.slow
    def test_the_http_clients_own_retries_are_not_seen(self, db, endpoint):
        model(endpoint, max_retries=3).call("retry")
        with counterfoil.open(db) as store:
            (found,) = agree(store, endpoint, unseen=2)
            assert store.runs(all=True)[0].errors == 0
        assert [entry.status for entry in endpoint.ledger] == [429, 429, 200]
        assert found.status == "ok"

    @pytest.mark.slow
    def test_each_attempt_after_a_rate_limit_is_a_call(self, db, endpoint):
        RUNS["kickoff"](endpoint, "flaky")
        with counterfoil.open(db) as store:
            agree(store, endpoint)
            (run,) = store.runs()
            calls = store.llm_calls()
        assert [one.status for one in calls] == ["error", "ok"]
        assert {(one.run_id, one.agent) for one in calls} == {(run.run_id, "clerk")}
        assert (run.status, run.llm_calls, run.errors) == ("ok", 2, 1)
