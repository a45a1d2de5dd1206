"""The entry point: tells core how to attach to CrewAI. Imports no framework."""

from __future__ import annotations

import os

from counterfoil import hookimpl
from counterfoil.adapters import Adapter
from counterfoil_crewai.versions import SUPPORTED

__all__ = ["register_adapters"]


@hookimpl
def register_adapters() -> list[Adapter]:
    """Give CrewAI's adapter."""
    return [Adapter(name="crewai", requires=SUPPORTED, attach="counterfoil_crewai.attach", notes=_telemetry)]


def _telemetry() -> list[str]:
    """What CrewAI 1.15 does by itself, unless its user has turned it off."""
    said = []
    if os.environ.get("CREWAI_DISABLE_TELEMETRY", "").lower() != "true":
        said.append(
            "CrewAI's own telemetry is on: offline it delays the end of a process by ten seconds. "
            "CREWAI_DISABLE_TELEMETRY=true turns it off."
        )
    if os.environ.get("CREWAI_TRACING_ENABLED", "").lower() != "false":
        said.append(
            "CrewAI itself asks on a terminal, for 20 seconds, whether to share a trace of the run. "
            "CREWAI_TRACING_ENABLED=false turns it off."
        )
    return said
