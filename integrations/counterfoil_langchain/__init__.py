"""Counterfoil for LangChain and LangGraph.

    from counterfoil_langchain import CounterfoilHandler
    agent.invoke(..., config={"callbacks": [CounterfoilHandler()]})

or, for every run in the process: `counterfoil_langchain.install()`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from counterfoil_langchain.versions import SUPPORTED

if TYPE_CHECKING:
    from counterfoil_langchain.attach import install, uninstall
    from counterfoil_langchain.handler import CounterfoilHandler

__all__ = ["SUPPORTED", "CounterfoilHandler", "install", "uninstall"]

# The framework is imported when it is first needed, not to read a plugin's name.
_LAZY: Final = {
    "CounterfoilHandler": "counterfoil_langchain.handler",
    "install": "counterfoil_langchain.attach",
    "uninstall": "counterfoil_langchain.attach",
}


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
