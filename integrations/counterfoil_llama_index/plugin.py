"""The entry point: tells core how to attach to LlamaIndex. Imports no framework."""

from __future__ import annotations

from counterfoil import hookimpl
from counterfoil.adapters import Adapter
from counterfoil_llama_index.versions import SUPPORTED

__all__ = ["register_adapters"]


@hookimpl
def register_adapters() -> list[Adapter]:
    """Give LlamaIndex's adapter."""
    return [
        Adapter(
            name="llama_index",
            requires=SUPPORTED,
            attach="counterfoil_llama_index.attach",
            imported="llama_index_instrumentation",
        )
    ]
