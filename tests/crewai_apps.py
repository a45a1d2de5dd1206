"""Small crews, flows and tools that the tests of the CrewAI adapter share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crewai import LLM, Agent, Crew, Task
from crewai.llms.providers.openai.completion import OpenAICompletion
from crewai.tools import tool

from support_desk.endpoint import Endpoint, Reply, Request

__all__ = ["TextModel", "add", "agent", "alone", "by_role", "crew", "model", "search", "task", "text_model"]


@tool("search")
def search(query: str) -> str:
    """Search."""
    if query == "fail":
        raise LookupError("no such page")
    return f"found {query}"


@tool("add")
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


class TextModel(OpenAICompletion):
    """A model that calls tools by writing so: CrewAI's ReAct path."""

    def supports_function_calling(self) -> bool:
        return False


def model(endpoint: Endpoint, **options: Any) -> LLM:
    """Give CrewAI's own client of the endpoint."""
    return LLM(
        model="openai/gpt-4.1-mini",
        **{"base_url": endpoint.url, "api_key": "offline", "max_retries": 0} | options,
    )


def text_model(endpoint: Endpoint) -> TextModel:
    """Give the same as a model that writes its tool calls as text."""
    return TextModel(model="gpt-4.1-mini", base_url=endpoint.url, api_key="offline", max_retries=0)


def agent(role: str, llm: Any, *tools: Any, **options: Any) -> Agent:
    return Agent(role=role, goal="Be right", backstory="Careful", llm=llm, tools=list(tools), **options)


def task(who: Agent | None, description: str = "Work", **options: Any) -> Task:
    return Task(description=description, expected_output="One line", agent=who, **options)


def crew(*tasks: Task, name: str = "office", agents: Sequence[Agent] = (), **options: Any) -> Crew:
    """Give a crew of these tasks and their agents, and of `agents`, who have no task."""
    found = [*{id(one.agent): one.agent for one in tasks if one.agent is not None}.values()]
    return Crew(
        name=name, agents=[*found, *(one for one in agents if one not in found)], tasks=list(tasks), **options
    )


def alone(role: str, llm: Any, *tools: Any, name: str = "office", **options: Any) -> Crew:
    """Give a crew of one agent with one task."""
    return crew(task(agent(role, llm, *tools, **options)), name=name)


def by_role(**answers: Reply | Sequence[Reply]) -> Any:
    """Give a script that answers by the agent's role: one reply, or one after the other as tools have answered."""

    def answer(request: Request) -> Reply:
        role = next(one for one in answers if f"You are {one}" in request.system)
        replies = answers[role]
        if isinstance(replies, Reply):
            return replies
        return replies[min(len(request.answered), len(replies) - 1)]

    return answer
