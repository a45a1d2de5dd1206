"""A chat model inside the process whose answer depends on its messages alone, so that any number may run at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool

__all__ = ["ScriptedModel", "StreamingModel", "says"]

_numbers = count(1)


class ScriptedModel(BaseChatModel):
    """Answers with `answer(messages)`; what it used is counted in characters."""

    answer: Callable[[list[BaseMessage]], AIMessage]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        said = self.answer(messages)
        given, made = sum(len(one.text) for one in messages), max(1, len(said.text))
        said.usage_metadata = {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}
        return ChatResult(generations=[ChatGeneration(message=said)])


class StreamingModel(ScriptedModel):
    """As above, and streams its text in pieces of three characters: no piece of a secret looks like one."""

    def _stream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        text = self.answer(messages).text
        for start in range(0, len(text), 3):
            yield ChatGenerationChunk(message=AIMessageChunk(content=text[start : start + 3]))


def says(text: str, *calls: tuple[str, Mapping[str, Any]]) -> AIMessage:
    """Give a model's answer: text, and calls of tools as (tool, arguments)."""
    return AIMessage(
        content=text,
        tool_calls=[
            {"name": tool, "args": dict(arguments), "id": f"call_{next(_numbers)}", "type": "tool_call"}
            for tool, arguments in calls
        ],
    )
