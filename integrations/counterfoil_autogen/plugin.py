"""The entry point: tells core how to attach to AutoGen. Imports no framework."""

from __future__ import annotations

from counterfoil import hookimpl
from counterfoil.adapters import Adapter
from counterfoil_autogen.versions import SUPPORTED

__all__ = ["register_adapters"]


@hookimpl
def register_adapters() -> list[Adapter]:
    """Give AutoGen's adapter."""
    return [Adapter(name="autogen", requires=SUPPORTED, attach="counterfoil_autogen.attach")]
