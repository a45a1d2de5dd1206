"""A small office of three agents whose runs all have the same shape, each with a token of its own in every text."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

import counterfoil
from counterfoil.store.read import Store
from scripted_model import ScriptedModel, says

__all__ = [
    "AGENTS",
    "LLM_CALLS",
    "STEPS",
    "TOKEN",
    "TOOL_CALLS",
    "WHOLE",
    "build_office",
    "case",
    "scripted_office",
    "shapes",
    "token_of",
]

TOKEN = re.compile(r"token-\d{5}")

#: What each run holds: the front asks and hands over, the expert looks three things up, the clerk closes.
AGENTS = {"front", "expert", "clerk"}
LLM_CALLS = 2 + 3 + 2
TOOL_CALLS = 2 + 3 + 1
STEPS = {
    ("workflow", None): 1,
    ("agent", "front"): 1,
    ("agent", "expert"): 1,
    ("agent", "clerk"): 1,
    ("llm", "front"): 2,
    ("llm", "expert"): 3,
    ("llm", "clerk"): 2,
    ("tool", "front"): 2,
    ("tool", "expert"): 3,
    ("tool", "clerk"): 1,
    ("other", "expert"): 3,  # counterfoil.step inside of the tool
}
#: The same as `shapes` gives it.
WHOLE = {(kind, agent, "ok"): count for (kind, agent), count in STEPS.items()}


def shapes(store: Store) -> list[Counter[tuple[str, str | None, str]]]:
    """Give of each run in a store how many steps it has, by kind, agent and status."""
    _, rows = store.sql("SELECT run_id, kind, agent, status FROM steps")
    runs: dict[str, Counter[tuple[str, str | None, str]]] = {}
    for run_id, kind, agent, status in rows:
        runs.setdefault(run_id, Counter())[kind, agent, status] += 1
    return list(runs.values())


def case(number: int) -> dict[str, Any]:
    """Give the input of a run."""
    return {"messages": [("user", f"case token-{number:05}")]}


def token_of(text: str) -> str:
    return TOKEN.search(text)[0]


@tool
def look_up(fact: str) -> str:
    """Look a fact up."""
    counterfoil.access("facts", query=fact)
    with counterfoil.step("digest", input=fact):
        return f"known of {fact}"


@tool("look_up")
async def look_up_in_a_task(fact: str) -> str:
    """Look a fact up."""
    await asyncio.sleep(0)
    counterfoil.access("facts", query=fact)
    with counterfoil.step("digest", input=fact):
        await asyncio.sleep(0)
        return f"known of {fact}"


@tool
def close(note: str) -> str:
    """Close the case."""
    return f"closed: {note}"


@tool
def hand_over(reason: str) -> Command:
    """Hand the case over to the clerk."""
    return Command(graph=Command.PARENT, goto="clerk", update={"messages": [("user", f"close {reason}")]})


def front_says(messages: list[BaseMessage]) -> AIMessage:
    token = token_of(messages[-1].text)
    if messages[-1].type == "human":
        return says(f"hm, {token}", ("ask_expert", {"question": f"what of {token}?"}))
    return says("", ("hand_over", {"reason": f"known of {token}"}))


def expert_says(messages: list[BaseMessage]) -> AIMessage:
    token = token_of(messages[-1].text)
    match sum(message.type == "tool" for message in messages):
        case 0:
            return says("", ("look_up", {"fact": f"a of {token}"}), ("look_up", {"fact": f"b of {token}"}))
        case 2:
            return says("", ("look_up", {"fact": f"c of {token}"}))
    return says(f"all is known of {token}")


def clerk_says(messages: list[BaseMessage]) -> AIMessage:
    token = token_of(messages[-1].text)
    if messages[-1].type == "human":
        return says("", ("close", {"note": f"done with {token}"}))
    return says(f"good bye, {token}")


def build_office(front: Any, expert: Any, clerk: Any, *, in_tasks: bool = False) -> CompiledStateGraph:
    """Give the office with these models; `in_tasks`, for asyncio: with tools that are coroutines."""
    expert = create_agent(expert, [look_up_in_a_task if in_tasks else look_up], name="expert")

    @tool
    def ask_expert(question: str) -> str:
        """Ask the expert."""
        return expert.invoke({"messages": [("user", question)]})["messages"][-1].text

    @tool("ask_expert")
    async def ask_expert_in_a_task(question: str) -> str:
        """Ask the expert."""
        return (await expert.ainvoke({"messages": [("user", question)]}))["messages"][-1].text

    ask = ask_expert_in_a_task if in_tasks else ask_expert
    office = StateGraph(MessagesState)
    office.add_node("front", create_agent(front, [ask, hand_over], name="front"), destinations=("clerk",))
    office.add_node("clerk", create_agent(clerk, [close], name="clerk"))
    office.add_edge(START, "front")
    return office.compile(name="office")


def scripted_office(*, in_tasks: bool = False) -> CompiledStateGraph:
    """Give the office with models inside the process."""
    models = [ScriptedModel(answer=answer) for answer in (front_says, expert_says, clerk_says)]
    return build_office(*models, in_tasks=in_tasks)
