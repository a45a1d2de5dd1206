"""What is recorded of a model call: messages, usage, timing, caches, failures."""

import asyncio

import pytest
from inline_snapshot import snapshot
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import Generation, LLMResult
from langgraph.graph import START

import counterfoil
from counterfoil_langchain.answers import answer_of
from counterfoil_langchain.messages import message_of
from langgraph_apps import HI, add, graph
from ordered_model import OrderedModel, PiecewiseModel, calls, model, usage
from outline import outline, outlines


def said(text="x", **facts):
    return AIMessage(text, **{"usage_metadata": usage()} | facts)


def only_call(db):
    with counterfoil.open(db) as store:
        (call,) = store.llm_calls()
    return call


class TestUsage:
    def test_cached_and_reasoning_tokens_are_parts_of_the_sums(self, db, config):
        model(said()).invoke("q", config)
        call = only_call(db)
        assert (call.input_tokens, call.cache_read_tokens, call.cache_write_tokens) == (100, 60, 5)
        assert (call.output_tokens, call.reasoning_tokens) == (20, 7)
        assert call.usage_source == "provider"

    def test_the_raw_object_is_kept_beside_them(self, db, config):
        model(said()).invoke("q", config)
        assert only_call(db).raw_usage == usage()

    def test_a_call_without_usage_is_unknown_not_zero(self, db, config):
        model("x").invoke("q", config)
        call = only_call(db)
        assert (call.input_tokens, call.output_tokens) == (None, None)

    def test_a_stream_that_ends_in_zeros_is_unknown(self, db, config):
        zeros = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
        list(PiecewiseModel(answers=[["a", AIMessageChunk("b", usage_metadata=zeros)]]).stream("q", config))
        call = only_call(db)
        assert (call.input_tokens, call.output_tokens) == (None, None)

    def test_audio_tokens_are_summed(self, db, config):
        heard = usage(input_token_details={"audio": 30}, output_token_details={"audio": 4})
        model(said(usage_metadata=heard)).invoke("q", config)
        assert only_call(db).audio_tokens == 34

    def test_a_providers_own_object_counts_where_there_is_no_other(self):
        own = {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}
        result = LLMResult(
            generations=[[Generation(text="x")]], llm_output={"token_usage": own, "model_name": "m"}
        )
        answer = answer_of(result, streamed=False)
        assert answer.usage[:3] == (12, 3, 8)
        assert answer.model == "m"

    def test_agents_and_runs_show_the_sum_of_their_calls_once(self, db, config):
        answers = (calls(("add", {"a": 1, "b": 2})), said("done"))
        answers[0].usage_metadata = usage()
        create_agent(model(*answers), [add], name="adder").invoke(HI, config)
        with counterfoil.open(db) as store:
            run = store.run("last")
            assert (run.llm_calls, run.input_tokens, run.output_tokens) == (2, 200, 40)
            assert [step.input_tokens for step in store.steps(run) if step.kind != "llm"] == [None, None]


class TestModel:
    def test_the_served_model_stands_beside_the_one_asked_for(self, db, config):
        facts = {
            "model_name": "ordered-1-2026",
            "model_provider": "maker",
            "finish_reason": "stop",
            "id": "r-1",
        }
        model(said(response_metadata=facts)).invoke("q", config)
        call = only_call(db)
        assert (call.request_model, call.model, call.provider) == ("ordered-1", "ordered-1-2026", "maker")
        assert (call.finish_reason, call.response_id) == ("stop", "r-1")

    def test_langchains_own_message_id_is_no_response_id(self, db, config):
        model(said(id="lc_run--1")).invoke("q", config)
        assert only_call(db).response_id is None

    def test_the_tools_offered_are_recorded(self, db, config):
        create_agent(model("x"), [add], name="adder").invoke(HI, config)
        assert [one["function"]["name"] for one in only_call(db).tools] == ["add"]

    def test_each_prompt_of_generate_is_a_call(self, db, config):
        model("a", "b").generate([[HumanMessage("1")], [HumanMessage("2")]], callbacks=config["callbacks"])
        assert outlines(db) == snapshot("""\
llm OrderedModel
--
llm OrderedModel\
""")

    def test_a_text_model_is_one_too(self, db, config):
        FakeListLLM(responses=["said"]).invoke("asked", config)
        with counterfoil.open(db) as store:
            (call,) = store.llm_calls()
            said_and_asked = store.messages(call)
        assert said_and_asked.input == [{"role": "user", "parts": [{"type": "text", "content": "asked"}]}]
        assert said_and_asked.output == [
            {"role": "assistant", "parts": [{"type": "text", "content": "said"}]}
        ]

    def test_a_text_model_in_asyncio_is_recorded_beside_other_handlers(self, db, config):
        asyncio.run(FakeListLLM(responses=["said"]).ainvoke("asked", config))
        assert outline(db) == snapshot("llm FakeListLLM")

    def test_a_conversation_is_written_once(self, db, config):
        agent = create_agent(
            model(calls(("add", {"a": 1, "b": 2})), "done"), [add], name="adder", system_prompt="Be brief."
        )
        agent.invoke(HI, config)
        with counterfoil.open(db) as store:
            _, second = store.llm_calls()
            assert [one["role"] for one in store.messages(second).input] == [
                "system",
                "user",
                "assistant",
                "tool",
            ]
            new = [one for one in store.new_messages("last") if one.step_id == second.step_id]
            assert [(one.direction, one.position, one.role) for one in new] == snapshot(
                [("input", 2, "assistant"), ("input", 3, "tool"), ("output", 4, "assistant")]
            )


class TestStream:
    def test_the_time_to_the_first_token_is_recorded(self, db, config):
        list(PiecewiseModel(answers=[["he", "llo"]]).stream("q", config))
        call = only_call(db)
        assert 0 < call.ttft_ns < call.duration_ns

    def test_a_chunk_with_a_role_alone_is_no_token(self, db, config):
        late = PiecewiseModel(answers=[[AIMessageChunk(""), "x"]])
        stream = late.stream("q", config)
        next(stream)
        entries = config["callbacks"][0].tracker.entries.values()
        assert [entry.ttft_ns for entry in entries] == [None]
        list(stream)
        assert only_call(db).ttft_ns is not None

    def test_a_piece_of_a_tool_call_is_one(self, db, config):
        piece = AIMessageChunk("", tool_call_chunks=[{"name": "add", "args": "{", "id": "c", "index": 0}])
        rest = AIMessageChunk("", tool_call_chunks=[{"name": None, "args": "}", "id": None, "index": 0}])
        list(PiecewiseModel(answers=[[piece, rest]]).stream("q", config))
        assert only_call(db).ttft_ns is not None

    def test_a_plain_call_has_none(self, db, config):
        model("x").invoke("q", config)
        assert only_call(db).ttft_ns is None

    def test_a_graph_that_streams_messages_makes_its_models_stream(self, db, config):
        piecewise = PiecewiseModel(answers=[["he", "llo"]])
        app = graph((START, "chat"), chat=lambda state: {"messages": [piecewise.invoke(state["messages"])]})
        list(app.stream(HI, config, stream_mode="messages"))
        assert only_call(db).ttft_ns is not None

    def test_events_of_version_3_are_one_call(self, db, config):
        list(PiecewiseModel(answers=[["he", "llo"]]).stream_events("q", config, version="v3"))
        with counterfoil.open(db) as store:
            (call,) = store.llm_calls()
            assert store.messages(call).output == snapshot(
                [{"role": "assistant", "parts": [{"type": "text", "content": "hello"}]}]
            )
        assert call.ttft_ns is not None

    def test_usage_of_a_stream_that_broke_is_kept(self, db, config):
        spent = AIMessageChunk(
            "par", usage_metadata={"input_tokens": 9, "output_tokens": 1, "total_tokens": 10}
        )
        with pytest.raises(RuntimeError):
            list(PiecewiseModel(answers=[[spent, RuntimeError]]).stream("q", config))
        call = only_call(db)
        assert (call.status, call.error_type, call.input_tokens, call.output_tokens) == (
            "error",
            "RuntimeError",
            9,
            1,
        )

    def test_one_that_is_closed_early_is_cancelled(self, db, config):
        stream = PiecewiseModel(answers=[["a", "b", "c"]]).stream("q", config)
        next(stream)
        stream.close()
        assert outline(db) == snapshot("""\
llm PiecewiseModel cancelled
run: cancelled\
""")


class TestCache:
    def test_a_hit_keeps_its_tokens_and_says_that_it_was_one(self, db, config):
        cached = OrderedModel(answers=[said()], cache=InMemoryCache())
        cached.invoke("q", config)
        cached.invoke("q", config)
        with counterfoil.open(db) as store:
            assert [(call.cached, call.input_tokens) for call in store.llm_calls()] == [
                (False, 100),
                (True, 100),
            ]


class TestFailure:
    def test_a_failed_call_is_an_error(self, db, config):
        with pytest.raises(RuntimeError):
            model(RuntimeError).invoke("q", config)
        assert outline(db) == snapshot("""\
llm OrderedModel error (RuntimeError)
run: error\
""")

    def test_a_fallback_is_a_second_call(self, db, config):
        model(RuntimeError).with_fallbacks([model("x")]).invoke("q", config)
        assert outline(db) == snapshot("""\
other RunnableWithFallbacks
  llm OrderedModel error (RuntimeError)
  llm OrderedModel\
""")

    def test_each_retry_is_a_call(self, db, config):
        model(ValueError, "x").with_retry(wait_exponential_jitter=False).invoke("q", config)
        assert outline(db) == snapshot("""\
other OrderedModel
  llm OrderedModel error (ValueError)
  llm OrderedModel\
""")


class TestMessage:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (HumanMessage("hi"), {"role": "user", "parts": [{"type": "text", "content": "hi"}]}),
            (SystemMessage("be"), {"role": "system", "parts": [{"type": "text", "content": "be"}]}),
            (("ai", "ok"), {"role": "assistant", "parts": [{"type": "text", "content": "ok"}]}),
            ("hi", {"role": "user", "parts": [{"type": "text", "content": "hi"}]}),
            (
                {"role": "user", "content": [{"type": "text", "text": "hi"}]},
                {"role": "user", "parts": [{"type": "text", "content": "hi"}]},
            ),
            (
                ChatMessage("hm", role="critic"),
                {"role": "critic", "parts": [{"type": "text", "content": "hm"}]},
            ),
            (
                ToolMessage("3", tool_call_id="c1", name="add"),
                {
                    "role": "tool",
                    "parts": [{"type": "tool_call_response", "id": "c1", "response": "3"}],
                    "name": "add",
                },
            ),
            (
                FunctionMessage("3", name="add"),
                {
                    "role": "tool",
                    "parts": [{"type": "tool_call_response", "id": None, "response": "3"}],
                    "name": "add",
                },
            ),
        ],
    )
    def test_each_form_has_its_role(self, given, expected):
        assert message_of(given) == expected

    @pytest.mark.parametrize(
        ("block", "media", "content"),
        [
            ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}, "image/png", "data:image/png;base64,AA"),
            ({"type": "image_url", "image_url": "https://x/y.png"}, None, "https://x/y.png"),
            ({"type": "image", "source_type": "base64", "mime_type": "image/jpeg", "data": "AA"}, "image/jpeg", "AA"),
            ({"type": "image", "base64": "AA", "mime_type": "image/webp"}, "image/webp", "AA"),
            ({"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "AA"}}, "image/gif", "AA"),
            ({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}, "audio/wav", "AA"),
            ({"type": "file", "file": {"file_data": "data:application/pdf;base64,AA"}}, "application/pdf", "data:application/pdf;base64,AA"),
            ({"type": "media", "mime_type": "video/mp4", "data": "AA"}, "video/mp4", "AA"),
        ],
    )  # fmt: skip
    def test_a_picture_or_sound_keeps_its_media_type(self, block, media, content):
        (part,) = message_of(HumanMessage([block]))["parts"]
        assert part == {"type": "blob", "mime_type": media, "content": content}

    @pytest.mark.parametrize(
        "message",
        [
            AIMessage([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "so"}]),
            AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "so"}]),
            AIMessage([{"type": "reasoning", "summary": [{"text": "hm"}]}, {"type": "text", "text": "so"}]),
            AIMessage("so", additional_kwargs={"reasoning_content": "hm"}),
        ],
    )
    def test_reasoning_is_told_from_text(self, message):
        assert message_of(message)["parts"] == [
            {"type": "reasoning", "content": "hm"},
            {"type": "text", "content": "so"},
        ]

    def test_a_tool_call_whose_arguments_are_no_json_is_kept_as_it_was_written(self):
        broken = {
            "name": "add",
            "args": '{"a": 1',
            "id": "c1",
            "error": "no JSON",
            "type": "invalid_tool_call",
        }
        assert message_of(AIMessage("", invalid_tool_calls=[broken]))["parts"] == [
            {"type": "tool_call", "id": "c1", "name": "add", "arguments": '{"a": 1'}
        ]

    def test_a_tool_call_that_the_content_repeats_is_there_once(self):
        message = calls(("add", {"a": 1}))
        message.content = [
            {"type": "text", "text": "I add."},
            {"type": "tool_use", "id": "call1", "name": "add", "input": {}},
        ]
        assert message_of(message)["parts"] == snapshot(
            [
                {"type": "text", "content": "I add."},
                {"type": "tool_call", "id": "call1", "name": "add", "arguments": {"a": 1}},
            ]
        )
