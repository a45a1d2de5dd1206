"""Which versions of the framework this adapter supports, and whether those installed are among them."""

from __future__ import annotations

import functools
import importlib.metadata
import logging
import re
from typing import Final

__all__ = ["SUPPORTED", "unsupported", "warn_once"]

#: Distributions and the versions tested: from the first on, up to the second.
SUPPORTED: Final = ("langchain-core>=0.3.80,<2", "langgraph>=0.6,<2")

_REQUIREMENT: Final = re.compile(r"([\w-]+)>=([\d.]+),<([\d.]+)", re.ASCII)


def unsupported() -> tuple[str, ...]:
    """Give one sentence for each distribution that is installed in a version not supported."""
    sentences = []
    for requirement in SUPPORTED:
        match = _REQUIREMENT.fullmatch(requirement)
        assert match is not None
        name, first, beyond = match.groups()
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if not _numbers(first) <= _numbers(installed) < _numbers(beyond):
            sentences.append(
                f"{name} {installed} is installed, but this version of counterfoil was tested with {requirement}: "
                "what it records may be incomplete."
            )
    return tuple(sentences)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(one) for one in re.findall(r"\d+", version.partition("+")[0])[:3])


@functools.cache
def warn_once() -> None:
    """Log those sentences, once in this process."""
    for sentence in unsupported():
        logging.getLogger("counterfoil").warning(sentence)
