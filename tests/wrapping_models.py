"""Model objects of one framework that ask a LangChain model, as users write them."""

from __future__ import annotations

from typing import Any

from autogen_core.models import ChatCompletionClient, CreateResult, RequestUsage
from crewai.events.types.llm_events import LLMCallType
from crewai.llms.base_llm import BaseLLM, llm_call_context
from langchain_openai import ChatOpenAI

from autogen_apps import INFO
from support_desk.endpoint import Endpoint

__all__ = ["AskingClient", "AskingModel", "langchain_model"]

_ROLES = {"SystemMessage": "system", "UserMessage": "user", "AssistantMessage": "assistant"}


def langchain_model(endpoint: Endpoint, **options: Any) -> ChatOpenAI:
    """Give LangChain's own client of the endpoint, which tells what a streamed call used too."""
    given = {"base_url": endpoint.url, "api_key": "offline", "max_retries": 0, "stream_usage": True}
    return ChatOpenAI(model="gpt-4.1-mini", **given | options)


class AskingClient(ChatCompletionClient):
    """A client of AutoGen's that asks `model` again until `wanted(answer)`; `telling` what it used, or not."""

    def __init__(self, model: Any, *, telling: bool = True, wanted: Any = lambda said: True) -> None:
        self._model = model
        self._telling = telling
        self._wanted = wanted

    async def create(self, messages: Any, **_: Any) -> CreateResult:
        while True:
            said = await self._model.ainvoke(_pairs(messages))
            if self._wanted(said.text):
                return self._result(said)

    async def create_stream(self, messages: Any, **_: Any) -> Any:
        whole: Any = None
        async for piece in self._model.astream(_pairs(messages)):
            whole = piece if whole is None else whole + piece
            if piece.text:
                yield piece.text
        yield self._result(whole)

    def _result(self, said: Any) -> CreateResult:
        used = (said.usage_metadata or {}) if self._telling else {}
        usage = RequestUsage(used.get("input_tokens", 0), used.get("output_tokens", 0))
        return CreateResult(finish_reason="stop", content=said.text, usage=usage, cached=False)

    async def close(self) -> None: ...

    def actual_usage(self) -> RequestUsage:
        return RequestUsage(0, 0)

    def total_usage(self) -> RequestUsage:
        return RequestUsage(0, 0)

    def count_tokens(self, messages: Any, **_: Any) -> int:
        return 0

    def remaining_tokens(self, messages: Any, **_: Any) -> int:
        return 1

    @property
    def capabilities(self) -> Any:
        return INFO

    @property
    def model_info(self) -> Any:
        return INFO


class AskingModel(BaseLLM):
    """A model of CrewAI's that asks `langchain`, `telling` CrewAI's bus of it as its own clients do, or nobody."""

    langchain: Any
    telling: bool = False

    def supports_function_calling(self) -> bool:
        return False

    def get_input_tokens_count(self, messages: Any, tools: Any = None, response_model: Any = None) -> int:
        return len(str(messages)) // 4  # CrewAI's own way of counting warns at every call

    def call(self, messages: Any, tools: Any = None, **told: Any) -> str:
        said = [(one["role"], one["content"]) for one in messages]
        if not self.telling:
            return self.langchain.invoke(said).text
        who = {"from_task": told.get("from_task"), "from_agent": told.get("from_agent")}
        with llm_call_context():
            self._emit_call_started_event(messages, tools=tools, **who)
            answer = self.langchain.invoke(said).text
            self._emit_call_completed_event(answer, LLMCallType.LLM_CALL, messages=messages, **who)
        return answer


def _pairs(messages: Any) -> list[tuple[str, str]]:
    return [(_ROLES[type(one).__name__], str(one.content)) for one in messages]
