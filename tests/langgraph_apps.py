"""Small graphs and tools that the tests of the LangChain adapter share."""

from __future__ import annotations

from typing import Any

from langchain_core.tools import tool
from langgraph.graph import MessagesState, StateGraph
from langgraph.types import interrupt

from ordered_model import model

__all__ = ["HI", "add", "asks", "graph", "question"]

HI = {"messages": [("user", "hi")]}


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@tool
def question(text: str) -> str:
    """Ask a human."""
    return interrupt({"question": text})


def graph(
    *edges: Any, name: str | None = None, state: Any = MessagesState, checkpointer: Any = None, **nodes: Any
) -> Any:
    """Give a graph of these nodes; an edge with a function in second place is conditional."""
    built = StateGraph(state)
    for node, function in nodes.items():
        built.add_node(node, function)
    for edge in edges:
        if callable(edge[1]):
            built.add_conditional_edges(*edge)
        else:
            built.add_edge(*edge)
    return built.compile(name=name, checkpointer=checkpointer)


def asks(*answers: Any) -> Any:
    """Give a node that calls a model itself."""
    asked = model(*answers)
    return lambda state: {"messages": [asked.invoke(state["messages"])]}
