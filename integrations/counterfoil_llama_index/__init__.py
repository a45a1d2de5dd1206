"""Counterfoil for LlamaIndex.

    import counterfoil_llama_index
    counterfoil_llama_index.install()

records every agent, workflow and query of the process from then on; `with counterfoil_llama_index.record():` those that
begin in its block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from counterfoil.adapters import exports
from counterfoil_llama_index.versions import SUPPORTED

if TYPE_CHECKING:
    from counterfoil_llama_index.attach import install, record, uninstall

__all__ = ["SUPPORTED", "install", "record", "uninstall"]

# LlamaIndex's instrumentation brings pydantic: when it is first needed, not to read a plugin's name.
__getattr__, __dir__ = exports(__name__, {"install": "attach", "record": "attach", "uninstall": "attach"})
