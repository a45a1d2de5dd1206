"""Agents of four frameworks that ask each other: each is a function of a question, which asks the one below by a tool.

A framework reads the annotations of a tool when it is made: they are no strings here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx
from autogen_core.tools import FunctionTool as AutoGenTool
from crewai.tools import tool as crew_tool
from langchain.agents import create_agent
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from llama_index.core.tools import FunctionTool

import autogen_apps
import counterfoil
import crewai_apps
import llama_index_apps
from support_desk.endpoint import Endpoint, Reply, Request, call

__all__ = ["FORMS", "FRAMEWORKS", "expected", "expected_handoffs", "house", "names", "says"]

FRAMEWORKS = ("langchain", "crewai", "llama_index", "autogen")
#: How each calls the one below: as a coroutine, as a plain function, or in a thread of the host's.
FORMS = ("asyncio", "plain", "thread")

Plain = Callable[[str], str]
Async = Callable[[str], Awaitable[str]]


def says(request: Request) -> Reply:
    """Ask the one below, where there is one, and then answer."""
    if request.offered and not request.answered:
        return Reply(calls=[call(request.offered[0], question="tea")])
    return Reply(f"{request.system.split('You are ')[1].split('.')[0]} knows")


def house(
    frameworks: Sequence[str],
    endpoint: Endpoint,
    form: str,
    *,
    config: Any = None,
    attend: Callable[[Any], Any] = lambda team: team,
) -> Plain | Async:
    """Give the function that asks the first agent, which asks the second, and so on. `names` has what they are called.

    LangChain's agents are invoked with `config`, and AutoGen's teams are what `attend(team)` gives.
    """
    below: Any = None
    asks: str | None = None
    for framework, name in reversed(list(zip(frameworks, names(frameworks), strict=True))):
        tool = _tool(framework, f"ask_{asks}", below, form) if below is not None else None
        below = (_coroutine if form == "asyncio" else _function)(
            framework, name, endpoint, tool, config, attend
        )
        asks = name
    return below


def names(frameworks: Sequence[str]) -> list[str]:
    """Give the name of each agent: its framework's, and which one it is of those of the same."""
    numbers = [frameworks[:at].count(one) + 1 for at, one in enumerate(frameworks)]
    return [
        one if number == 1 else f"{one}_{number}" for one, number in zip(frameworks, numbers, strict=True)
    ]


def _tool(framework: str, name: str, below: Any, form: str) -> Any:
    if form == "asyncio":

        async def ask(question: str) -> str:
            """Ask."""
            return await below(question)

    else:

        def ask(question: str) -> str:
            """Ask."""
            if form == "plain":
                return below(question)
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(counterfoil.wrap(below), question).result()

    if framework == "langchain":
        given = {"coroutine": ask} if form == "asyncio" else {"func": ask}
        return StructuredTool.from_function(**given, name=name, description="Ask")
    if framework == "crewai":
        return crew_tool(name)(ask)
    if framework == "llama_index":
        given = {"async_fn": ask} if form == "asyncio" else {"fn": ask}
        return FunctionTool.from_defaults(**given, name=name, description="Ask")
    return AutoGenTool(ask, "Ask", name=name)


def _function(framework: str, name: str, endpoint: Endpoint, tool: Any, config: Any, attend: Any) -> Plain:
    if framework == "langchain":
        agent = _langchain(name, endpoint, tool)
        return lambda question: agent.invoke(_message(question), config)["messages"][-1].text
    if framework == "crewai":
        return lambda question: _crew(name, endpoint, tool).kickoff({"question": question}).raw
    work = _coroutine(framework, name, endpoint, tool, config, attend)
    return lambda question: asyncio.run(work(question))


def _coroutine(framework: str, name: str, endpoint: Endpoint, tool: Any, config: Any, attend: Any) -> Async:
    async def langchain(question: str) -> str:
        async with httpx.AsyncClient() as http:  # else one that is kept beyond its loop
            agent = _langchain(name, endpoint, tool, http_async_client=http)
            return (await agent.ainvoke(_message(question), config))["messages"][-1].text

    async def crewai(question: str) -> str:
        return (await _crew(name, endpoint, tool).akickoff({"question": question})).raw

    async def llama_index(question: str) -> str:
        llm = llama_index_apps.model(endpoint)
        try:
            return str(await llama_index_apps.agent(name, llm, *_those(tool)).run(question))
        finally:
            await llm._get_aclient().close()

    async def autogen(question: str) -> str:
        client = autogen_apps.model(endpoint)
        try:
            options = {"reflect_on_tool_use": True} if tool is not None else {}
            office = attend(autogen_apps.team(autogen_apps.agent(name, client, *_those(tool), **options)))
            return (await office.run(task=question)).messages[-1].to_text()
        finally:
            await client.close()

    return {"langchain": langchain, "crewai": crewai, "llama_index": llama_index, "autogen": autogen}[
        framework
    ]


def _langchain(name: str, endpoint: Endpoint, tool: Any, **options: Any) -> Any:
    llm = ChatOpenAI(model="gpt-4.1-mini", base_url=endpoint.url, api_key="offline", max_retries=0, **options)
    return create_agent(llm, _those(tool), system_prompt=f"You are {name}.", name=name)


def _crew(name: str, endpoint: Endpoint, tool: Any) -> Any:
    who = crewai_apps.agent(name, crewai_apps.model(endpoint), *_those(tool))
    return crewai_apps.crew(crewai_apps.task(who, "Answer: {question}"))


def _those(tool: Any) -> list[Any]:
    return [tool] if tool is not None else []


def _message(question: str) -> dict[str, Any]:
    return {"messages": [("user", question)]}


#: What the turn of an agent stands in, by framework.
_AROUND = {
    "langchain": (),
    "crewai": ("workflow office", "task task"),
    "llama_index": (),
    "autogen": ("workflow office",),
}
_CLIENTS = {
    "langchain": "ChatOpenAI",
    "crewai": "OpenAICompletion",
    "llama_index": "OpenAI",
    "autogen": "OpenAIChatCompletionClient",
}


def expected(frameworks: Sequence[str]) -> str:
    """Give the outline of the steps of a run of that house."""
    return "\n".join(_expected(list(zip(frameworks, names(frameworks), strict=True)), None))


def _expected(floors: Sequence[tuple[str, str]], asker: str | None) -> list[str]:
    (framework, name), *others = floors
    llm = f"  llm {_CLIENTS[framework]} [{name}]"
    lines = [f"agent {name}", llm]
    if others:
        lines += [
            f"  tool ask_{others[0][1]} [{name}]",
            *(f"    {line}" for line in _expected(others, name)),
            llm,
        ]
    for around in reversed(_AROUND[framework]):
        lines = [around + (f" [{asker}]" if asker else ""), *(f"  {line}" for line in lines)]
    return lines


def expected_handoffs(frameworks: Sequence[str]) -> str:
    """Give the outline of the handoffs of such a run."""
    called = list(zip(frameworks, names(frameworks), strict=True))
    lines = []
    for (_, asker), (framework, name) in pairwise(called):
        target, kind = ("office", " to a workflow") if _AROUND[framework] else (name, "")
        lines.append(f"{asker} -> {target} escalation returned inferred{kind}: tea")
    return "\n".join(lines)
