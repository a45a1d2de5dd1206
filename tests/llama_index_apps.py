"""Small agents, tools and workflows that the tests of the LlamaIndex adapter share.

LlamaIndex reads the annotations of a tool when it is made: they are no strings here.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.workflow import Context, HumanResponseEvent, InputRequiredEvent
from llama_index.llms.openai import OpenAI

from support_desk.endpoint import Endpoint, Reply, Request

__all__ = [
    "add",
    "agent",
    "answered",
    "approve",
    "by_name",
    "close_models",
    "model",
    "office",
    "search",
    "slow",
    "text",
]


async def search(query: str) -> str:
    """Search."""
    if query == "fail":
        raise LookupError("no such page")
    return f"found {query}"


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


async def slow(seconds: float) -> str:
    """Wait."""
    await asyncio.sleep(seconds)
    return "waited"


async def approve(ctx: Context, what: str) -> str:
    """Ask a human first."""
    question = InputRequiredEvent(prefix=f"May I {what}?")
    said = await ctx.wait_for_event(HumanResponseEvent, waiter_id=f"may {what}", waiter_event=question)
    return f"{what}: {said.response}"


def model(endpoint: Endpoint, **options: Any) -> OpenAI:
    """Give LlamaIndex's own client of the endpoint, which tells what a streamed call used too."""
    given = {"api_base": endpoint.url, "api_key": "offline", "max_retries": 0}
    told = {"additional_kwargs": {"stream_options": {"include_usage": True}}}
    made = OpenAI(model="gpt-4.1-mini", **given | told | options)
    _made.append(made)
    return made


_made: list[OpenAI] = []


async def close_models() -> None:
    """Close the connections of the models made so far: an exception keeps them open beyond their loop."""
    while _made:
        one = _made.pop()
        if one._client is not None:
            one._client.close()
        if one._aclient is not None:
            await one._aclient.close()


def agent(name: str, llm: Any, *tools: Any, **options: Any) -> FunctionAgent:
    given = {"description": f"The {name}", "system_prompt": f"You are {name}."}
    return FunctionAgent(name=name, llm=llm, tools=list(tools), **given | options)


def office(*agents: FunctionAgent, **options: Any) -> AgentWorkflow:
    """Give a workflow of these agents, the first of which begins."""
    return AgentWorkflow(agents=list(agents), root_agent=agents[0].name, **options)


def by_name(**answers: Reply | Sequence[Reply]) -> Any:
    """Give a script that answers by the agent's name: one reply, or one after the other as that agent has spoken."""
    said = dict.fromkeys(answers, 0)

    def answer(request: Request) -> Reply:
        name = next(one for one in answers if f"You are {one}." in request.system)
        replies = answers[name]
        if isinstance(replies, Reply):
            return replies
        said[name] += 1
        return replies[min(said[name], len(replies)) - 1]

    return answer


async def answered(handler: Any, *answers: str) -> Any:
    """Answer the questions of a run, one after the other, and give its result."""
    waiting = list(answers)
    async for event in handler.stream_events():
        if isinstance(event, InputRequiredEvent) and waiting:
            handler.ctx.send_event(HumanResponseEvent(response=waiting.pop(0)))
    return await handler


def text(role: str, said: str) -> ChatMessage:
    return ChatMessage(role=role, content=said)
