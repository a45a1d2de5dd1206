"""What the tools of every application do; each framework makes tools of its own of these."""

from __future__ import annotations

__all__ = ["ANSWER", "FACT", "add", "search"]

#: What is found about tea.
FACT = "Tea is hot."
#: What the human says who is asked.
ANSWER = "green"


def search(query: str) -> str:
    """Search the web."""
    if query == "fail":
        raise LookupError("no such page")
    return f"found {query}"


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b
