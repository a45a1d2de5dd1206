"""The entry point: tells core how to attach to LangChain. Imports no framework."""

from __future__ import annotations

from counterfoil import hookimpl
from counterfoil.adapters import Adapter
from counterfoil_langchain.versions import SUPPORTED

__all__ = ["register_adapters"]


@hookimpl
def register_adapters() -> list[Adapter]:
    """Give LangChain's adapter, LangGraph included."""
    return [Adapter(name="langchain", requires=SUPPORTED, attach="counterfoil_langchain.attach")]
