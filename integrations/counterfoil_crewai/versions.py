"""Which versions of the framework this adapter supports."""

from __future__ import annotations

from typing import Final

__all__ = ["SUPPORTED"]

#: Distributions and the versions tested: from the first on, up to the second.
SUPPORTED: Final = ("crewai>=1.15.30,<2",)
