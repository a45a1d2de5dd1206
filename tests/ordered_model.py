"""A chat model inside the process that gives its answers in order; each may be an error, or say what it used."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr

__all__ = ["OrderedModel", "PiecewiseModel", "calls", "model", "usage"]


class OrderedModel(BaseChatModel):
    """Gives `answers` one after the other, and begins again at the end."""

    answers: list[Any]
    model_name: str = "ordered-1"
    _place: Iterator[int] = PrivateAttr(default_factory=itertools.count)

    @property
    def _llm_type(self) -> str:
        return "ordered"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _next(self) -> Any:
        answer = self.answers[next(self._place) % len(self.answers)]
        if isinstance(answer, type) and issubclass(answer, BaseException):
            raise answer("the model failed")
        return answer

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        answer = self._next()
        said = AIMessage(answer) if isinstance(answer, str) else answer.model_copy(deep=True)
        return ChatResult(generations=[ChatGeneration(message=said)])


class PiecewiseModel(OrderedModel):
    """As above, and streams: each answer is a list of chunks, an error among them is raised there."""

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        said = "".join(str(one) for one in self._next() if isinstance(one, str))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(said))])

    def _stream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        for piece in self._next():
            if isinstance(piece, type):
                raise piece("the stream broke")
            yield ChatGenerationChunk(
                message=AIMessageChunk(content=piece) if isinstance(piece, str) else piece
            )


def model(*answers: Any) -> OrderedModel:
    """Give a model with these answers."""
    return OrderedModel(answers=list(answers))


def calls(*asked: tuple[str, Mapping[str, Any]], text: str = "", ids: str = "call") -> AIMessage:
    """Give an answer that asks for tools, as (tool, arguments); their call ids are `call1`, `call2`, ..."""
    return AIMessage(
        content=text,
        tool_calls=[
            {"name": tool, "args": dict(arguments), "id": f"{ids}{number}", "type": "tool_call"}
            for number, (tool, arguments) in enumerate(asked, 1)
        ],
    )


def usage(**more: Any) -> dict[str, Any]:
    """Give what a call used, with cached and reasoning tokens."""
    return {
        "input_tokens": 100,
        "output_tokens": 20,
        "total_tokens": 120,
        "input_token_details": {"cache_read": 60, "cache_creation": 5},
        "output_token_details": {"reasoning": 7},
    } | more
