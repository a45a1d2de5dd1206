"""Which versions of the framework this adapter supports."""

from __future__ import annotations

from typing import Final

__all__ = ["SUPPORTED"]

#: Distributions and the versions tested: from the first on, up to the second.
SUPPORTED: Final = ("autogen-agentchat>=0.7.2,<0.8", "autogen-core>=0.7.2,<0.8")
