"""What a scenario is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from support_desk.endpoint import Reply

__all__ = ["FRAMEWORKS", "Scenario", "Variance"]

FRAMEWORKS = ("langgraph", "crewai", "llama_index", "autogen")


@dataclass(frozen=True)
class Variance:
    """Where `frameworks` rightly differ: lines of the expectation, and those that stand in their place there."""

    frameworks: Sequence[str]
    why: str
    lines: Mapping[str, str | None]  # None: nothing stands there
    either: bool = False  # the framework does now the one, now the other


@dataclass(frozen=True)
class Scenario:
    """What each agent's model says, in turn, and the record of it; `impossible` says where and why it cannot be."""

    name: str
    says: Mapping[str, Sequence[Reply]]
    expected: str
    permitted: Sequence[Variance] = ()
    impossible: Mapping[str, str] = field(default_factory=dict)
    failures: int = 0  # requests that the endpoint refuses first
