"""An office of three agents in AutoGen whose runs all have the same shape, each with a token of its own in every text."""

from __future__ import annotations

import asyncio
import json
import re
from itertools import count
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import Swarm
from autogen_agentchat.tools import AgentTool
from autogen_core import FunctionCall
from autogen_core.models import ChatCompletionClient, CreateResult, RequestUsage

import counterfoil
from autogen_apps import INFO

__all__ = [
    "AGENTS",
    "LLM_CALLS",
    "STEPS",
    "TOKEN",
    "TOOL_CALLS",
    "OfficeModel",
    "autogen_office",
    "case",
    "token_of",
]

TOKEN = re.compile(r"token-\d{5}")

#: What each run holds: the front asks the expert, who looks two things up, and passes on to the clerk, who closes the case.
AGENTS = {"front", "expert", "clerk"}
LLM_CALLS = 2 + 2 + 2
TOOL_CALLS = 2 + 2 + 1
STEPS = {
    ("workflow", None): 1,
    ("agent", "front"): 1,
    ("agent", "expert"): 1,
    ("agent", "clerk"): 1,
    ("llm", "front"): 2,
    ("llm", "expert"): 2,
    ("llm", "clerk"): 2,
    ("tool", "front"): 2,
    ("tool", "expert"): 2,
    ("tool", "clerk"): 1,
    ("other", "expert"): 2,
}
_numbers = count(1)


def case(number: int) -> str:
    """Give the task of a run."""
    return f"case token-{number:05}"


def token_of(text: str) -> str:
    """Give the one token that a text holds."""
    (token,) = set(TOKEN.findall(text))
    return token


class OfficeModel(ChatCompletionClient):
    """Answers by who asks and what is known so far, in a moment."""

    async def create(self, messages: Any, **options: Any) -> CreateResult:
        await asyncio.sleep(0.001)
        who = str(messages[0].content)
        results = [one for one in messages if one.type == "FunctionExecutionResultMessage"]
        token = TOKEN.findall(json.dumps([str(one.content) for one in messages]))[0]
        content: Any = f"{who} is done with {token}"
        if who == "front":
            asked = (
                [_call("expert", task=f"what of {token}?")] if not results else [_call("transfer_to_clerk")]
            )
            content = asked
        elif who == "expert" and not results:
            content = [_call("look_up", fact=f"a of {token}"), _call("look_up", fact=f"b of {token}")]
        elif who == "clerk" and not results:
            content = [_call("close", note=f"done with {token}")]
        thought = f"I, {who}, know of {token}" if isinstance(content, list) else None
        used = RequestUsage(prompt_tokens=10, completion_tokens=5)
        finish = "stop" if thought is None else "function_calls"
        return CreateResult(finish_reason=finish, content=content, usage=used, cached=False, thought=thought)

    async def create_stream(self, messages: Any, **options: Any) -> Any:
        yield await self.create(messages, **options)

    async def close(self) -> None: ...

    def actual_usage(self) -> RequestUsage:
        return RequestUsage(0, 0)

    def total_usage(self) -> RequestUsage:
        return RequestUsage(0, 0)

    def count_tokens(self, messages: Any, **options: Any) -> int:
        return 0

    def remaining_tokens(self, messages: Any, **options: Any) -> int:
        return 1

    @property
    def capabilities(self) -> Any:
        return INFO

    @property
    def model_info(self) -> Any:
        return INFO


def _call(name: str, **arguments: str) -> FunctionCall:
    return FunctionCall(id=f"call_{next(_numbers)}", name=name, arguments=json.dumps(arguments))


def autogen_office(**options: Any) -> Swarm:
    """Give the office, for one run: `autogen_office().run(task=case(1))`."""
    model = OfficeModel()

    def look_up(fact: str) -> str:
        """Look a fact up."""
        counterfoil.access("facts", query=fact)
        with counterfoil.step("digest", input=fact):
            return f"known of {fact}"

    async def close(note: str) -> str:
        """Close the case."""
        return f"closed: {note}"

    def agent(name: str, *tools: Any, **more: Any) -> AssistantAgent:
        return AssistantAgent(
            name, model, tools=list(tools) or None, system_message=name, max_tool_iterations=3, **more
        )

    front = agent("front", AgentTool(agent("expert", look_up)), handoffs=["clerk"])
    return Swarm([front, agent("clerk", close)], name="office", max_turns=2, **options)
