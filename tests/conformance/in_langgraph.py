"""The scenarios in LangChain and LangGraph."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import httpx
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware, ToolErrorMiddleware
from langchain.tools import ToolRuntime
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, tool
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, interrupt

from conformance.cells import Stage
from conformance.tools import ANSWER, FACT, add, search
from support_desk.endpoint import Reply, Request, call

TASK = {"messages": [("user", "Tea?")]}


def in_its_words(reply: Reply, _: Request) -> Reply:
    return dataclasses.replace(reply, calls=[_in_its_words(*one) for one in reply.calls])


def _in_its_words(name: str, given: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    match name:
        case "passes":
            return call(f"transfer_to_{given['to']}", reason=given["reason"])
        case "asks":
            return call(f"ask_{given['whom']}", question=given["question"])
        case "asks_human":
            return call("ask_human", question=given["question"])
    return name, given


def address(stage: Stage) -> dict[str, Any]:
    http = httpx.AsyncClient()
    stage.closing.push_async_callback(http.aclose)
    return {"base_url": stage.endpoint.url, "api_key": "offline", "http_async_client": http}


def agent(
    name: str, stage: Stage, *tools: Any, streaming: bool = False, **options: Any
) -> CompiledStateGraph:
    model = ChatOpenAI(
        model="gpt-4.1-mini", max_retries=0, streaming=streaming, stream_usage=streaming, **address(stage)
    )
    return create_agent(model, list(tools), name=name, system_prompt=f"You are {name}.", **options)


def asking(other: CompiledStateGraph) -> BaseTool:
    async def ask(question: str) -> str:
        """Ask somebody who knows."""
        answer = await other.ainvoke({"messages": [("user", question)]})
        return answer["messages"][-1].text

    return tool(f"ask_{other.name}")(ask)


def passing_to(name: str) -> BaseTool:
    def transfer(reason: str, runtime: ToolRuntime) -> Command:
        """Pass control to somebody else."""
        done = ToolMessage("It is yours.", tool_call_id=runtime.tool_call_id)
        return Command(
            graph=Command.PARENT, goto=name, update={"messages": [*runtime.state["messages"], done]}
        )

    return tool(f"transfer_to_{name}")(transfer)


def team(front: CompiledStateGraph, *others: CompiledStateGraph) -> CompiledStateGraph:
    built = StateGraph(MessagesState)
    built.add_node(front.name, front, destinations=tuple(one.name for one in others))
    for one in others:
        built.add_node(one.name, one)
    built.add_edge(START, front.name)
    return built.compile(name="team")


@tool
def ask_human(question: str) -> str:
    """Ask a human."""
    return interrupt({"question": question})


async def two_tools(stage: Stage) -> None:
    await agent("clerk", stage, tool(search), tool(add)).ainvoke(TASK)


async def raises(stage: Stage) -> None:
    told = ToolErrorMiddleware(on_error=lambda error, _: str(error))
    await agent("clerk", stage, tool(search), middleware=[told]).ainvoke(TASK)


async def transfer(stage: Stage) -> None:
    await team(agent("front", stage, passing_to("back")), agent("back", stage)).ainvoke(TASK)


async def two_transfers(stage: Stage) -> None:
    front = agent("front", stage, passing_to("left"), passing_to("right"))
    await team(front, agent("left", stage), agent("right", stage)).ainvoke(TASK)


async def escalation(stage: Stage) -> None:
    await agent("clerk", stage, asking(agent("expert", stage))).ainvoke(TASK)


async def nested(stage: Stage) -> None:
    expert = agent("expert", stage, asking(agent("grower", stage)))
    await agent("clerk", stage, asking(expert)).ainvoke(TASK)


async def human(stage: Stage) -> None:
    clerk, thread = agent("clerk", stage, ask_human, checkpointer=InMemorySaver()), _thread()
    await clerk.ainvoke(TASK, thread)
    await clerk.ainvoke(Command(resume=ANSWER), thread)


async def streaming(stage: Stage) -> None:
    async for _ in agent("clerk", stage, tool(search), streaming=True).astream(TASK, stream_mode="messages"):
        pass


async def retrieval(stage: Stage) -> None:
    embeddings = OpenAIEmbeddings(check_embedding_ctx_length=False, **address(stage))
    store = await InMemoryVectorStore.afrom_texts([FACT], embeddings, ids=["tea"])
    retriever = store.as_retriever()

    @tool
    async def look_up(query: str) -> str:
        """Look something up."""
        return "\n".join(one.page_content for one in await retriever.ainvoke(query))

    await agent("clerk", stage, look_up).ainvoke(TASK)


async def model_error(stage: Stage) -> None:
    again = ModelRetryMiddleware(max_retries=1, initial_delay=0, jitter=False)
    await agent("clerk", stage, middleware=[again]).ainvoke(TASK)


async def cancelled(stage: Stage) -> None:
    await stage.cancel(agent("clerk", stage).ainvoke(TASK))


async def resumed(stage: Stage) -> None:
    """The answer comes to a graph of the same form, made anew from what the first left with the checkpointer."""
    kept = InMemorySaver()
    await agent("clerk", stage, ask_human, checkpointer=kept).ainvoke(TASK, _thread())
    await agent("clerk", stage, ask_human, checkpointer=kept).ainvoke(Command(resume=ANSWER), _thread())


def _thread() -> dict[str, Any]:
    return {"configurable": {"thread_id": "customer-7"}}


APPS = {
    "one agent with two tools": two_tools,
    "parallel tools": two_tools,
    "a tool that raises": raises,
    "an unknown tool": two_tools,
    "bad arguments": two_tools,
    "transfer": transfer,
    "two transfers at once": two_transfers,
    "escalation": escalation,
    "nested escalation": nested,
    "a human is asked": human,
    "streaming": streaming,
    "retrieval": retrieval,
    "model error with a retry": model_error,
    "cancelled run": cancelled,
    "pause and resume": resumed,
}
