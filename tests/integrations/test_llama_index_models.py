"""Model calls of LlamaIndex: what was sent, what came back, and what it used, wherever the provider's integration left it."""

import asyncio
import warnings

import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    CompletionResponse,
    ImageBlock,
    LLMMetadata,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.bridge.pydantic import BaseModel, Field
from llama_index.core.llms import LLM, CustomLLM, MockLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback

import counterfoil
from counterfoil_llama_index.messages import message_of
from llama_index_apps import add, agent, model, text
from outline import outline
from support_desk.endpoint import Reply, in_turn

pytestmark = pytest.mark.usefixtures("llama_index")

HELLO = [text("system", "Be kind."), text("user", "Hello")]


class Told(CustomLLM):
    """A model of no integration, which answers with what a test says that its provider told."""

    raw: dict | None = None
    extra: dict = Field(default_factory=dict)

    @property
    def metadata(self):
        return LLMMetadata(model_name="told-1")

    @llm_completion_callback()
    def complete(self, prompt, formatted=False, **kwargs):
        return CompletionResponse(text="said", raw=self.raw, additional_kwargs=self.extra)

    @llm_completion_callback()
    def stream_complete(self, prompt, formatted=False, **kwargs):
        def pieces():
            yield CompletionResponse(text="sa", delta="sa")
            yield CompletionResponse(text="said", delta="id", raw=self.raw)

        return pieces()


def calls(db):
    with counterfoil.open(db) as store:
        return sorted(store.llm_calls(), key=lambda one: one.started_ns)


def said(db):
    """Give the only call's messages."""
    with counterfoil.open(db) as store:
        (one,) = store.llm_calls()
        return store.messages(one)


class TestCalls:
    def test_what_is_known_of_one(self, db, serve):
        model(serve(in_turn(Reply("Hi there.")))).chat(HELLO)
        (one,) = calls(db)
        assert (one.provider, one.request_model, one.model) == ("openai", "gpt-4.1-mini", "gpt-4.1-mini")
        assert (one.status, one.finish_reason, one.usage_source, one.ttft_ms) == (
            "ok",
            "stop",
            "provider",
            None,
        )
        assert one.response_id is not None
        assert (one.agent, one.framework) == (None, "llama_index")

    def test_messages(self, db, serve):
        model(serve(in_turn(Reply("Hi there.")))).chat(HELLO)
        found = said(db)
        assert [(one["role"], one["parts"][0]["content"]) for one in (*found.input, *found.output)] == [
            ("system", "Be kind."),
            ("user", "Hello"),
            ("assistant", "Hi there."),
        ]

    def test_a_completion(self, db, serve):
        assert model(serve(in_turn(Reply("Hi there.")))).complete("Hello").text == "Hi there."
        found = said(db)
        assert [(one["role"], one["parts"][0]["content"]) for one in (*found.input, *found.output)] == [
            ("user", "Hello"),
            ("assistant", "Hi there."),
        ]

    async def test_the_tools_it_was_offered(self, db, serve):
        await agent("clerk", model(serve(in_turn(Reply("No.")))), add).run("x")
        with counterfoil.open(db) as store:
            _, ((offers,),) = store.sql(
                "SELECT json_extract(e.head, '$.offers') FROM events e WHERE kind = 'start' AND json_extract(e.head, '$.kind') = 'llm'"
            )
        assert offers is not None

    def test_several_ways_of_asking_are_one_call_each(self, db, serve):
        class Order(BaseModel):
            number: str

        def script(request):
            return Reply('{"number": "A"}' if "response_format" in request.body else "x")

        llm = model(serve(script))
        llm.predict(_template("Say {what}"), what="it")
        llm.structured_predict(Order, _template("Order {what}"), what="tea")
        llm.as_structured_llm(Order).chat(HELLO)
        assert len(calls(db)) == 3
        assert {one.input_tokens is None for one in calls(db)} == {False}

    def test_chat_by_way_of_complete_is_one_call(self, db):
        Told(raw={"usage": {"prompt_tokens": 3, "completion_tokens": 2}}).chat(HELLO)
        assert [(one.input_tokens, one.output_tokens) for one in calls(db)] == [(3, 2)]
        assert outline(db) == "llm Told"

    def test_one_model_that_asks_another_is_two(self, db):
        class Router(Told):
            inner: LLM = None

            @llm_chat_callback()
            def chat(self, messages, **kwargs):
                return self.inner.chat(messages, **kwargs)

        Router(inner=Told()).chat(HELLO)
        assert outline(db) == "llm Router\n  llm Told"


class TestStreams:
    def test_a_stream_takes_as_long_as_it_is_read(self, db, serve):
        stream = model(serve(in_turn(Reply("one two three", pause=0.02)))).stream_chat(HELLO)
        assert "".join(piece.delta for piece in stream) == "one two three"
        (one,) = calls(db)
        assert 0 < one.ttft_ms < one.duration_ms
        assert (one.usage_source, one.finish_reason, one.output_tokens > 0) == ("stream", "stop", True)
        assert said(db).output[0]["parts"] == [{"type": "text", "content": "one two three"}]

    async def test_in_asyncio(self, db, serve):
        stream = await model(serve(in_turn(Reply("one two three")))).astream_chat(HELLO)
        async for _ in stream:
            pass
        (one,) = calls(db)
        assert (one.status, one.ttft_ms is not None, one.output_tokens > 0) == ("ok", True, True)

    def test_of_text(self, db):
        assert [piece.delta for piece in Told().stream_complete("x")] == ["sa", "id"]
        assert said(db).output[0]["parts"] == [{"type": "text", "content": "said"}]

    def test_without_its_usage_it_is_unknown(self, db, serve):
        for _ in model(serve(in_turn(Reply("Hi"))), additional_kwargs={}).stream_chat(HELLO):
            pass
        (one,) = calls(db)
        assert (one.input_tokens, one.output_tokens, one.usage_source) == (None, None, None)

    async def test_many_at_once(self, db, serve):
        llm = model(serve(lambda request: Reply(f"said {request.user}")))

        async def one(number):
            stream = await llm.astream_chat([text("user", f"word{number}")])
            async for _ in stream:
                await asyncio.sleep(0)

        await asyncio.gather(*map(one, range(20)))
        with counterfoil.open(db) as store:
            pairs = [store.messages(call) for call in store.llm_calls()]
        assert {(m.input[0]["parts"][0]["content"], m.output[0]["parts"][0]["content"]) for m in pairs} == {
            (f"word{n}", f"said word{n}") for n in range(20)
        }


class TestUsage:
    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            pytest.param(
                {"usage": {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4},
                           "completion_tokens_details": {"reasoning_tokens": 2}}},
                (10, 5, 4, None, 2), id="OpenAI's chat",
            ),
            pytest.param(
                {"usage": {"input_tokens": 10, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 4},
                           "output_tokens_details": {"reasoning_tokens": 2}}},
                (10, 5, 4, None, 2), id="OpenAI's responses",
            ),
            pytest.param(
                {"usage": {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 4,
                           "cache_creation_input_tokens": 3}},
                (17, 5, 4, 3, None), id="Anthropic, which counts cached ones apart",
            ),
            pytest.param(
                {"usage_metadata": {"prompt_token_count": 10, "candidates_token_count": 5,
                                    "cached_content_token_count": 4, "thoughts_token_count": 2}},
                (10, 7, 4, None, 2), id="Google, which counts thoughts apart",
            ),
            pytest.param(
                {"prompt_eval_count": 10, "eval_count": 5}, (10, 5, None, None, None), id="Ollama, beside the answer"
            ),
            pytest.param(
                {"usage": {"inputTokens": 10, "outputTokens": 5}}, (10, 5, None, None, None), id="Bedrock"
            ),
            pytest.param({"usage": {"prompt_tokens": 0, "completion_tokens": 0}}, (None,) * 5, id="0 and 0 is unknown"),
            pytest.param({"usage": None}, (None,) * 5, id="none"),
            pytest.param(None, (None,) * 5, id="nothing at all"),
        ],
    )  # fmt: skip
    def test_of_a_provider(self, db, raw, expected):
        Told(raw=raw).complete("x")
        (one,) = calls(db)
        assert (
            one.input_tokens, one.output_tokens, one.cache_read_tokens, one.cache_write_tokens, one.reasoning_tokens,
        ) == expected  # fmt: skip

    def test_an_object_of_the_providers_is_read_without_a_warning(self, db):
        class Details(BaseModel):
            cached_tokens: int

        class Tokens(BaseModel):
            prompt_tokens: int
            completion_tokens: int
            prompt_tokens_details: Details

        told = Tokens(prompt_tokens=10, completion_tokens=5, prompt_tokens_details=Details(cached_tokens=4))
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            Told(raw={"usage": told}).complete("x")
        (one,) = calls(db)
        assert (one.input_tokens, one.output_tokens, one.cache_read_tokens) == (10, 5, 4)
        assert [one for one in warned if "counterfoil" in one.filename] == []

    def test_beside_the_answer(self, db):
        Told(extra={"prompt_tokens": 10, "completion_tokens": 5}).complete("x")
        assert [(one.input_tokens, one.output_tokens) for one in calls(db)] == [(10, 5)]

    def test_of_a_model_that_tells_nothing(self, db):
        MockLLM().complete("one two")
        assert [(one.input_tokens, one.output_tokens, one.provider) for one in calls(db)] == [
            (None, None, None)
        ]

    async def test_none_stands_on_agents_or_workflows(self, db, serve):
        await agent("clerk", model(serve(in_turn(Reply("x"))))).run("x")
        with counterfoil.open(db) as store:
            _, rows = store.sql("SELECT kind, input_tokens FROM t_steps WHERE input_tokens IS NOT NULL")
            assert {kind for kind, _ in rows} == {"llm"}


class TestErrors:
    def test_a_model_that_raises(self, db):
        class Broken(Told):
            @llm_completion_callback()
            def complete(self, prompt, formatted=False, **kwargs):
                raise ConnectionError("no line")

        with pytest.raises(ConnectionError):
            Broken().complete("x")
        assert [(one.status, one.error_type, one.error_message) for one in calls(db)] == [
            ("error", "ConnectionError", "no line")
        ]

    def test_a_stream_that_breaks_off(self, db, serve):
        stream = model(serve(in_turn(Reply("one two three four", hang_up=2)))).stream_chat(HELLO)
        with pytest.raises(Exception, match=r"peer closed|incomplete"):
            list(stream)
        (one,) = calls(db)
        assert (one.status, one.ttft_ms is not None, one.input_tokens) == ("error", True, None)
        assert said(db).output[0]["parts"] == [{"type": "text", "content": "one two"}]


class TestMessages:
    def test_blocks(self):
        message = ChatMessage(
            role="assistant",
            blocks=[
                ThinkingBlock(content="I think"),
                TextBlock(text="I say"),
                ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs='{"a": 1}'),
                ImageBlock(url="https://example.com/a.png", image_mimetype="image/png"),
            ],
        )
        assert message_of(message)["parts"] == [
            {"type": "reasoning", "content": "I think"},
            {"type": "text", "content": "I say"},
            {"type": "tool_call", "id": "c1", "name": "add", "arguments": {"a": 1}},
            {"type": "blob", "mime_type": "image/png", "content": "https://example.com/a.png"},
        ]

    @pytest.mark.parametrize(
        "known",
        [
            {"id": "c1", "function": {"name": "add", "arguments": '{"a": 1}'}},
            {"tool_id": "c1", "tool_name": "add", "tool_kwargs": {"a": 1}},
            {"id": "c1", "name": "add", "input": {"a": 1}},
        ],
    )
    def test_calls_that_an_integration_keeps_beside(self, known):
        message = ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": [known]})
        (part,) = message_of(message)["parts"]
        assert part == {"type": "tool_call", "id": "c1", "name": "add", "arguments": {"a": 1}}

    def test_a_tools_answer(self):
        message = ChatMessage(role="tool", content="3", additional_kwargs={"tool_call_id": "c1"})
        assert message_of(message) == {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "c1", "response": "3"}],
        }


def _template(said):
    from llama_index.core import PromptTemplate

    return PromptTemplate(said)
