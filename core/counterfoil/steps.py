"""A step while it is open: what the recorder and the adapters hold of it in memory, never a live object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from counterfoil.turns import Turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from counterfoil.handoffs import Handoff

__all__ = ["Step"]


class Step:
    """An open step, given by `Recorder.start` and handed back to `Recorder.end`.

    `agent` is the name of the agent whose turn it belongs to; `turn` holds that turn's model calls.
    `aliases` are other names under which a handoff may ask for it (a node's, where the agent's differs).
    """

    __slots__ = (
        "agent",
        "aliases",
        "arguments",
        "asked",
        "call_id",
        "came_by",
        "children",
        "decided",
        "framework",
        "handed_on",
        "kind",
        "last_agent",
        "name",
        "native_id",
        "open",
        "parent",
        "pending",
        "returns",
        "run_id",
        "said",
        "started_ns",
        "step_id",
        "store",
        "turn",
        "turn_step",
    )

    def __init__(
        self,
        store: str,
        run_id: str,
        step_id: str,
        parent: Step | None,
        kind: str,
        name: str,
        framework: str,
        started_ns: int,
    ) -> None:
        self.store = store
        self.run_id = run_id
        self.step_id = step_id
        self.parent = parent
        self.kind = kind
        self.name = name
        self.framework = framework
        self.started_ns = started_ns
        self.open = True
        self.children: set[Step] | None = None
        self.agent: str | None = None
        self.turn: Turn | None = None
        self.turn_step: Step | None = None
        self.aliases: tuple[str, ...] = ()
        self.call_id: str | None = None
        self.native_id: str | None = None
        self.arguments: Any = None  # of a tool: plain JSON values
        self.decided: str | None = None
        self.said: str | None = None  # what the model said beside the call of this tool
        # handoffs: see handoffs.py
        self.asked: list[Handoff] | None = None
        self.returns: list[Handoff] | None = None
        self.pending: list[Handoff] | None = None
        self.last_agent: Step | None = None
        self.handed_on = False  # an agent's turn that passed control to another
        self.came_by = False  # an agent's turn that a known handoff led to

    def above(self) -> Iterator[Step]:
        """Give the steps that this one stands in, nearest first."""
        step = self.parent
        while step is not None:
            yield step
            step = step.parent

    @property
    def holder(self) -> Step:
        """The workflow step in which agents pass control to each other, else the root."""
        last = self
        for step in self.above():
            if step.kind == "workflow":
                return step
            last = step
        return last

    def __repr__(self) -> str:
        return f"<Step {self.kind} {self.name!r} {self.step_id}{'' if self.open else ' ended'}>"
