"""Counterfoil for AutoGen (AgentChat).

    import counterfoil_autogen
    counterfoil_autogen.install()

records every team and agent of the process from then on; `counterfoil_autogen.record(team)` records one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from counterfoil.adapters import exports
from counterfoil_autogen.versions import SUPPORTED

if TYPE_CHECKING:
    from counterfoil_autogen.attach import install, record, uninstall

__all__ = ["SUPPORTED", "install", "record", "uninstall"]

# AutoGen takes half a second to import: when it is first needed, not to read a plugin's name.
__getattr__, __dir__ = exports(__name__, {"install": "attach", "record": "attach", "uninstall": "attach"})
