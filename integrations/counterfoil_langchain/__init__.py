"""Counterfoil for LangChain and LangGraph.

    from counterfoil_langchain import CounterfoilHandler
    agent.invoke(..., config={"callbacks": [CounterfoilHandler()]})

or, for every run in the process: `counterfoil_langchain.install()`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from counterfoil.adapters import exports
from counterfoil_langchain.versions import SUPPORTED

if TYPE_CHECKING:
    from counterfoil_langchain.attach import install, uninstall
    from counterfoil_langchain.handler import CounterfoilHandler

__all__ = ["SUPPORTED", "CounterfoilHandler", "install", "uninstall"]

# The framework is imported when it is first needed, not to read a plugin's name.
__getattr__, __dir__ = exports(
    __name__, {"CounterfoilHandler": "handler", "install": "attach", "uninstall": "attach"}
)
