"""Which versions of the framework this adapter supports."""

from __future__ import annotations

from typing import Final

__all__ = ["SUPPORTED"]

#: Distributions and the versions tested: from the first on, up to the second.
SUPPORTED: Final = ("langchain-core>=1.4.9,<2", "langgraph>=1.2.5,<2")
