"""The scenarios in LlamaIndex.

LlamaIndex reads the annotations of a tool when it is made: they are no strings here.
"""

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from llama_index.core import VectorStoreIndex
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.schema import TextNode
from llama_index.core.tools import FunctionTool
from llama_index.core.workflow import Context, HumanResponseEvent, InputRequiredEvent
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai import OpenAI
from openai import InternalServerError
from workflows.errors import WorkflowCancelledByUser

import counterfoil
import llama_index_apps
from conformance.cells import Stage
from conformance.tools import ANSWER, FACT, add, search
from llama_index_apps import close_models
from support_desk.endpoint import Reply, Request, call

__all__ = ["APPS", "in_its_words"]


def in_its_words(reply: Reply, request: Request) -> Reply | None:
    """Pass control by LlamaIndex's own tool, and ask an agent or a human by a tool for each."""
    return replace(reply, calls=[_said(tool, **given) for tool, given in reply.calls])


def _said(tool: str, **given: Any) -> tuple[str, dict[str, Any]]:
    match tool:
        case "passes":
            return call("handoff", to_agent=given["to"], reason=given["reason"])
        case "asks":
            return call(f"ask_{given['whom']}", question=given["question"])
        case "asks_human":
            return call("ask_human", question=given["question"])
    return call(tool, **given)


def model(stage: Stage) -> OpenAI:
    """LlamaIndex's client of the endpoint; it keeps its connections until somebody closes them."""
    stage.closing.push_async_callback(close_models)
    return llama_index_apps.model(stage.endpoint)


def agent(name: str, llm: OpenAI, *tools: Any, **options: Any) -> FunctionAgent:
    return llama_index_apps.agent(name, llm, *tools, **{"streaming": False} | options)


def asking(one: FunctionAgent) -> FunctionTool:
    """A tool that asks an agent."""

    async def ask(question: str) -> str:
        return str(await one.run(question))

    return FunctionTool.from_defaults(
        async_fn=ask, name=f"ask_{one.name}", description=f"Ask the {one.name}."
    )


async def ask_human(ctx: Context, question: str) -> str:
    """Ask a human."""
    asked = InputRequiredEvent(prefix=question)
    said = await ctx.wait_for_event(HumanResponseEvent, waiter_id=question, waiter_event=asked)
    return str(said.response)


async def two_tools(stage: Stage) -> None:
    await agent("clerk", model(stage), search, add).run("How much tea?")


async def transfer(stage: Stage) -> None:
    llm = model(stage)
    agents = [agent("front", llm, can_handoff_to=["back"]), agent("back", llm), agent("boss", llm)]
    await AgentWorkflow(agents=agents, root_agent="front").run("Which tea?")


async def two_transfers(stage: Stage) -> None:
    llm = model(stage)
    agents = [agent(name, llm) for name in ("front", "left", "right")]
    await AgentWorkflow(agents=agents, root_agent="front").run("Which tea?")


async def escalation(stage: Stage) -> None:
    llm = model(stage)
    await agent("clerk", llm, asking(agent("expert", llm))).run("Which tea?")


async def nested(stage: Stage) -> None:
    llm = model(stage)
    expert = agent("expert", llm, asking(agent("grower", llm)))
    await agent("clerk", llm, asking(expert)).run("Which tea?")


async def human(stage: Stage) -> None:
    handler = agent("clerk", model(stage), ask_human).run("Which tea?")
    async for event in handler.stream_events():
        if isinstance(event, InputRequiredEvent):
            handler.ctx.send_event(HumanResponseEvent(response=ANSWER))
    await handler


async def resumed(stage: Stage) -> None:
    handler = agent("clerk", model(stage), ask_human).run("Which tea?")
    async for event in handler.stream_events():
        if isinstance(event, InputRequiredEvent):
            break
    saved = json.dumps(handler.ctx.to_dict())
    await handler.cancel_run()
    with suppress(WorkflowCancelledByUser):
        await handler

    clerk = agent("clerk", model(stage), ask_human)
    handler = clerk.run(ctx=Context.from_dict(clerk, json.loads(saved)))
    handler.ctx.send_event(HumanResponseEvent(response=ANSWER))
    await handler


async def streamed(stage: Stage) -> None:
    handler = agent("clerk", model(stage), search, streaming=True).run("How is the tea?")
    async for _ in handler.stream_events():
        pass
    await handler


async def retrieval(stage: Stage) -> None:
    embedding = OpenAIEmbedding(api_base=stage.endpoint.url, api_key="offline", max_retries=0)
    index = VectorStoreIndex([TextNode(text=FACT)], embed_model=embedding)
    stage.closing.callback(embedding._client.close)

    def look_up(query: str) -> str:
        """Look something up."""
        return "\n".join(node.text for node in index.as_retriever().retrieve(query))

    await agent("clerk", model(stage), look_up).run("What of tea?")


async def tried_again(stage: Stage) -> None:
    clerk = agent("clerk", model(stage))
    with counterfoil.run("tea", db=stage.db):
        try:
            await clerk.run("What of tea?")
        except InternalServerError:
            await clerk.run("What of tea?")


async def cancelled(stage: Stage) -> None:
    async def work() -> None:
        await agent("clerk", model(stage)).run("Which tea?")

    await stage.cancel(work())


APPS: dict[str, Callable[[Stage], Awaitable[None]]] = {
    "one agent with two tools": two_tools,
    "parallel tools": two_tools,
    "a tool that raises": two_tools,
    "an unknown tool": two_tools,
    "bad arguments": two_tools,
    "transfer": transfer,
    "refused transfer": transfer,
    "two transfers at once": two_transfers,
    "escalation": escalation,
    "nested escalation": nested,
    "a human is asked": human,
    "streaming": streamed,
    "retrieval": retrieval,
    "model error with a retry": tried_again,
    "cancelled run": cancelled,
    "pause and resume": resumed,
}
