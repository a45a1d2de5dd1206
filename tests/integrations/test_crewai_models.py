"""Model calls of CrewAI: messages, answers, usage, streams, errors."""

import pytest
from crewai.hooks import (
    HookAborted,
    register_before_llm_call_hook,
    unregister_before_llm_call_hook,
)
from pydantic import BaseModel

import counterfoil
from counterfoil_crewai.messages import answer_of, messages_of, plain
from counterfoil_crewai.models import _usage
from crewai_apps import agent, alone, crew, model, search, task, text_model
from outline import outline
from support_desk.endpoint import Reply, Rule, call, in_turn

pytestmark = pytest.mark.usefixtures("listening")

DONE = [Rule(Reply("done"))]
TWO_CALLS = in_turn(Reply(calls=[call("search", query="tea")]), Reply("done"))


def calls_of(db):
    """Give every model call, the first one first."""
    with counterfoil.open(db) as store:
        return sorted(store.llm_calls(), key=lambda one: one.started_ns)


class TestUsage:
    def test_each_call_has_its_own(self, db, serve):
        endpoint = serve(TWO_CALLS)
        alone("clerk", model(endpoint), search).kickoff()
        told = [one.usage for one in endpoint.completions]
        assert [(one.input_tokens, one.output_tokens, one.cache_read_tokens) for one in calls_of(db)] == [
            (one["prompt_tokens"], one["completion_tokens"], one["prompt_tokens_details"]["cached_tokens"])
            for one in told
        ]

    def test_two_agents_that_share_a_model_count_once(self, db, serve):
        endpoint = serve(DONE)
        llm = model(endpoint)
        result = crew(task(agent("clerk", llm)), task(agent("writer", llm))).kickoff()
        with counterfoil.open(db) as store:
            (run,) = store.runs()
        spent = sum(one.usage["prompt_tokens"] for one in endpoint.completions)
        assert run.input_tokens == spent
        # What CrewAI's own total says: https://github.com/crewAIInc/crewAI/issues/7259
        assert result.token_usage.prompt_tokens == 2 * spent

    def test_what_is_not_told_is_unknown(self, db, serve):
        alone("clerk", model(serve([Rule(Reply("done", usage=False))]))).kickoff()
        (one,) = calls_of(db)
        assert (one.input_tokens, one.output_tokens) == (None, None)

    @pytest.mark.parametrize(
        ("raw", "given", "made", "cached"),
        [
            ({"prompt_tokens": 5, "completion_tokens": 2, "cached_prompt_tokens": 3}, 5, 2, 3),
            ({"input_tokens": 5, "output_tokens": 2, "cached_prompt_tokens": 3}, 5, 2, 3),
            ({"prompt_token_count": 5, "candidates_token_count": 2}, 5, 2, None),
            ({"inputTokens": 5, "outputTokens": 2}, 5, 2, None),
        ],
        ids=["openai", "anthropic", "gemini", "bedrock"],
    )
    def test_each_providers_words(self, raw, given, made, cached):
        usage = _usage(raw, streamed=False)
        assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (given, made, cached)
        assert usage.raw == raw

    def test_nothing_and_nothing_is_unknown(self):
        assert _usage({"prompt_tokens": 0, "completion_tokens": 0}, streamed=True) is None
        assert _usage(None, streamed=False) is None


class TestFacts:
    def test_who_served_which_model(self, db, serve):
        endpoint = serve(DONE)
        alone("clerk", model(endpoint)).kickoff()
        (one,) = calls_of(db)
        assert (one.provider, one.request_model, one.finish_reason) == ("openai", "gpt-4.1-mini", "stop")
        assert one.response_id == endpoint.completions[0].response_id
        assert one.cost_usd is not None

    def test_the_conversation_as_it_was_sent(self, db, serve):
        endpoint = serve(TWO_CALLS)
        alone("clerk", model(endpoint), search).kickoff()
        with counterfoil.open(db) as store:
            second = max(store.llm_calls(), key=lambda one: one.started_ns)
            said = store.messages(second)
        sent = endpoint.completions[1].messages
        assert [one["role"] for one in said.input] == [one["role"] for one in sent]
        (asked,) = said.input[2]["parts"]
        assert (asked["type"], asked["name"]) == ("tool_call", "search")
        assert asked["id"] == sent[2]["tool_calls"][0]["id"]
        (answer,) = said.input[3]["parts"]
        assert (answer["id"], answer["response"]) == (asked["id"], "found tea")
        assert said.output == [{"role": "assistant", "parts": [{"type": "text", "content": "done"}]}]

    def test_a_choice_of_tools_is_offered(self, db, serve):
        alone("clerk", model(serve(TWO_CALLS)), search).kickoff()
        (offer,) = calls_of(db)[0].tools
        assert offer["function"]["name"] == "search"
        # CrewAI's event holds the repr() of whatever lies deeper than five levels.
        assert offer["function"]["parameters"]["properties"]["query"]["type"] == "string"

    def test_an_answer_as_an_object(self, db, serve):
        class Verdict(BaseModel):
            good: bool

        llm = model(serve([Rule(Reply('{"good": true}'))]))
        crew(task(agent("clerk", llm), output_pydantic=Verdict)).kickoff()
        assert {one.status for one in calls_of(db)} == {"ok"}


class TestStreams:
    def test_the_time_to_the_first_word(self, db, serve):
        script = in_turn(Reply(calls=[call("search", query="tea")]), Reply("all is done"))
        alone("clerk", model(serve(script), stream=True), search).kickoff()
        for one in calls_of(db):
            assert 0 < one.ttft_ms <= one.duration_ms
            assert one.usage_source == "stream"

    def test_a_crew_that_streams(self, db, serve):
        office = alone("clerk", model(serve(DONE)))
        office.stream = True
        streaming = office.kickoff()
        assert "".join(piece.content for piece in streaming) == "done"
        assert outline(db) == (
            "workflow office\n  task task\n    agent clerk\n      llm OpenAICompletion [clerk]"
        )


class TestErrors:
    def test_a_failure_that_crewai_tells_twice_is_one(self, db, serve):
        with pytest.raises(Exception, match="scripted error 500"):
            alone("clerk", model(serve([Rule(Reply(error=500))]))).kickoff()
        assert outline(db) == (
            "workflow office error\n"
            "  task task error\n"
            "    agent clerk error\n"
            "      llm OpenAICompletion [clerk] error (InternalServerError)\n"
            "    agent clerk error\n"
            "      llm OpenAICompletion [clerk] error (InternalServerError)\n"
            "    agent clerk error\n"
            "      llm OpenAICompletion [clerk] error (InternalServerError)\n"
            "run: error"
        )

    def test_the_message_stands_at_the_call(self, db, serve):
        with pytest.raises(Exception, match="scripted error 401"):
            alone("clerk", model(serve([Rule(Reply(error=401))]))).kickoff()
        with counterfoil.open(db) as store:
            (run,) = store.runs()
        assert run.errors == len(calls_of(db)) == 3
        assert "scripted error 401" in calls_of(db)[0].error_message

    def test_a_hook_that_says_no(self, db, serve):
        def no(_):
            raise HookAborted("too dear", source="budget")

        register_before_llm_call_hook(no)
        try:
            with pytest.raises(HookAborted):
                alone("clerk", model(serve(DONE))).kickoff()
        finally:
            unregister_before_llm_call_hook(no)
        with counterfoil.open(db) as store:
            (run,) = store.runs()
        assert run.status == "denied"


class TestText:
    def test_a_call_in_text_is_chosen_by_the_latest_model_call(self, db, serve):
        asks = Reply('Thought: look\nAction: search\nAction Input: {"query": "tea"}')

        def script(request):
            return asks if "Observation: found" not in request.transcript else Reply("Final Answer: done")

        alone("clerk", text_model(serve(script)), search).kickoff()
        with counterfoil.open(db) as store:
            (used,) = store.tool_calls()
            first = min(store.llm_calls(), key=lambda one: one.started_ns)
        assert used.decided_by == first.step_id
        assert used.arguments == {"query": "tea"}


class TestShapes:
    def test_messages_in_every_form(self):
        assert messages_of(None) is None
        assert messages_of("hi") == [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
        assert messages_of([{"role": "developer", "content": "be brief"}])[0]["role"] == "system"

    @pytest.mark.parametrize(
        "given",
        [
            {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}},
            {"id": "c1", "type": "tool_use", "name": "look", "input": {"a": 1}},
            {"id": "c1", "function_call": {"name": "look", "args": {"a": 1}}},
        ],
        ids=["openai", "anthropic", "gemini"],
    )
    def test_tool_calls_of_each_provider(self, given):
        ((part,),) = [one["parts"] for one in answer_of([given])]
        assert (part["type"], part["id"], part["name"]) == ("tool_call", "c1", "look")
        assert part["arguments"] in ('{"a": 1}', {"a": 1})

    def test_an_object_is_its_json(self):
        (said,) = answer_of({"good": True})
        assert said["parts"] == [{"type": "text", "content": '{"good": true}'}]

    def test_live_objects_are_what_they_are_called(self, serve):
        who = agent("clerk", model(serve(DONE)))
        assert plain({"who": who}) == {"who": "<Agent clerk>"}


class TestCut:
    def test_a_stream_that_is_cut_keeps_what_had_come(self, db, serve):
        endpoint = serve([Rule(Reply("all is well and done", hang_up=8))])
        with pytest.raises(Exception, match=r"."):
            model(endpoint, stream=True).call("hello")
        (one,) = calls_of(db)
        with counterfoil.open(db) as store:
            ((part,),) = [said["parts"] for said in store.messages(one).output]
        assert one.status == "error"
        assert part["content"]
        assert "all is well and done".startswith(part["content"])
