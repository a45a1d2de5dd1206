"""Counterfoil for CrewAI.

    from counterfoil_crewai import CounterfoilListener
    CounterfoilListener()

records every crew, flow and agent of the process from then on; so does `counterfoil_crewai.install()`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from counterfoil.adapters import exports
from counterfoil_crewai.versions import SUPPORTED

if TYPE_CHECKING:
    from counterfoil_crewai.attach import install, uninstall
    from counterfoil_crewai.listener import CounterfoilListener

__all__ = ["SUPPORTED", "CounterfoilListener", "install", "uninstall"]

# CrewAI takes five seconds to import: when it is first needed, not to read a plugin's name.
__getattr__, __dir__ = exports(
    __name__, {"CounterfoilListener": "listener", "install": "attach", "uninstall": "attach"}
)
