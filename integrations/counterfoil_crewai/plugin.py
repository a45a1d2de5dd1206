"""The entry point: tells core how to attach to CrewAI. Imports no framework."""

from __future__ import annotations

from counterfoil.adapters import Adapter
from counterfoil.plugins import hookimpl
from counterfoil_crewai.versions import SUPPORTED

__all__ = ["register_adapters"]


@hookimpl
def register_adapters() -> list[Adapter]:
    """Give CrewAI's adapter."""
    return [Adapter(name="crewai", requires=SUPPORTED, attach="counterfoil_crewai.attach")]
