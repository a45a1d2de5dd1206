"""Small agents, teams and tools that the tests of the AutoGen adapter share."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import FunctionCall
from autogen_core.models import CreateResult, ModelFamily, ModelInfo, RequestUsage
from autogen_ext.models.openai import OpenAIChatCompletionClient
from autogen_ext.models.replay import ReplayChatCompletionClient

from support_desk.endpoint import Endpoint, Reply, Request

__all__ = ["INFO", "add", "agent", "asks", "by_agent", "model", "replay", "says", "search", "team"]

INFO = ModelInfo(
    vision=False,
    function_calling=True,
    json_output=True,
    family=ModelFamily.GPT_41,
    structured_output=True,
    multiple_system_messages=True,
)
_numbers = itertools.count(1)


async def search(query: str) -> str:
    """Search."""
    if query == "fail":
        raise LookupError("no such page")
    return f"found {query}"


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def model(endpoint: Endpoint, **options: Any) -> OpenAIChatCompletionClient:
    """Give AutoGen's own client of the endpoint."""
    given = {"base_url": endpoint.url, "api_key": "offline", "max_retries": 0, "model_info": INFO}
    return OpenAIChatCompletionClient(model="gpt-4.1-mini", **given | options)


def says(text: str, thought: str | None = None) -> CreateResult:
    """Give an answer of a model in text."""
    used = RequestUsage(prompt_tokens=5, completion_tokens=3)
    return CreateResult(finish_reason="stop", content=text, usage=used, cached=False, thought=thought)


def asks(*calls: tuple[str, Any], thought: str | None = None) -> CreateResult:
    """Give an answer of a model that calls tools: (name, arguments; a str is given as it is)."""
    content = [
        FunctionCall(
            id=f"call_{next(_numbers)}",
            name=name,
            arguments=given if isinstance(given, str) else json.dumps(given),
        )
        for name, given in calls
    ]
    used = RequestUsage(prompt_tokens=11, completion_tokens=7)
    return CreateResult(
        finish_reason="function_calls", content=content, usage=used, cached=False, thought=thought
    )


def replay(*answers: CreateResult | str) -> ReplayChatCompletionClient:
    """Give AutoGen's own client that answers what is given, one after the other."""
    return ReplayChatCompletionClient(
        [says(one) if isinstance(one, str) else one for one in answers], model_info=INFO
    )


def agent(name: str, llm: Any, *tools: Any, **options: Any) -> AssistantAgent:
    """Give an agent; `llm` is a client, or what a model answers."""
    client = (
        llm if hasattr(llm, "create") else replay(*([llm] if isinstance(llm, (str, CreateResult)) else llm))
    )
    return AssistantAgent(
        name,
        client,
        tools=list(tools) or None,
        system_message=f"You are {name}.",
        **{"description": name} | options,
    )


def team(*agents: Any, name: str = "office", turns: int | None = None, **options: Any) -> RoundRobinGroupChat:
    """Give a team that takes turns, once around."""
    return RoundRobinGroupChat(list(agents), name=name, **{"max_turns": turns or len(agents)} | options)


def by_agent(**answers: Reply | Sequence[Reply]) -> Callable[[Request], Reply]:
    """Give a script that answers by the agent's name: one reply, or one after the other as tools have answered."""

    def answer(request: Request) -> Reply:
        name = next(one for one in answers if f"You are {one}." in request.system)
        replies = answers[name]
        if isinstance(replies, Reply):
            return replies
        return replies[min(len(request.answered), len(replies) - 1)]

    return answer
