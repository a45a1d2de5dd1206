"""Which versions of the framework this adapter supports."""

from __future__ import annotations

from typing import Final

__all__ = ["SUPPORTED"]

#: Distributions and the versions tested: from the first on, up to the second.
SUPPORTED: Final = (
    "llama-index-core>=0.14.25,<0.15",
    "llama-index-instrumentation>=0.6,<1",
    "llama-index-workflows>=2.26,<3",
)
