"""A step while it is open: what the recorder and the adapters hold of it in memory, never a live object."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import msgspec

from counterfoil import ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from counterfoil.handoffs import Handoff
    from counterfoil.turns import Turn
    from counterfoil.wrapped import Told

__all__ = ["PYTHON", "Step", "control_flow", "raised_here", "status_of"]

#: What no framework records: `counterfoil.run` and the like.
PYTHON: Final = "python"

_json: Final = msgspec.json.Decoder()


class Step:
    """An open step, given by `Recorder.start` and handed back to `Recorder.end`.

    `agent` is the name of the agent whose turn it belongs to; `turn` holds that turn's model calls.
    `aliases` are other names under which a handoff may ask for it (a node's, where the agent's differs).
    """

    __slots__ = (
        "agent",
        "aliases",
        "arguments_json",
        "asked",
        "call_id",
        "came_by",
        "children",
        "counts",
        "decided",
        "decided_evidence",
        "framework",
        "handed_on",
        "inside",
        "kind",
        "last_agent",
        "name",
        "native_id",
        "open",
        "parent",
        "pending",
        "pid",
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
        self.pid = ids.own_pid()
        self.open = True
        # Made at once: two threads that find None would each make its own.
        self.children: set[Step] = set()
        self.agent: str | None = None
        self.turn: Turn | None = None
        self.turn_step: Step | None = None
        self.aliases: tuple[str, ...] = ()
        self.call_id: str | None = None
        self.native_id: str | None = None
        self.arguments_json: bytes | None = None  # of a tool
        self.decided: str | None = None  # the llm step that chose this tool call
        self.decided_evidence: str | None = None
        self.said: str | None = None  # what the model said beside the call of this tool
        self.counts = step_id  # of a model call told twice: the step that counts, once this one has ended
        self.inside: Sequence[Told] = ()  # of a model call: those that ended in it, see wrapped.py
        # handoffs: see handoffs.py
        self.asked: list[Handoff] = []
        self.returns: list[Handoff] = []
        self.pending: list[Handoff] = []
        self.last_agent: Step | None = None
        self.handed_on = False  # an agent's turn that passed control to another
        self.came_by = False  # an agent's turn that a known handoff led to

    @property
    def arguments(self) -> Any:
        """A tool's arguments, as plain JSON values of their own; None where there are none, or content is not recorded."""
        return None if self.arguments_json is None else _json.decode(self.arguments_json)

    @property
    def inherited(self) -> bool:
        """Whether it was begun before this process was forked off: it is another process's."""
        return self.pid != ids.own_pid()

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

    def standing(self) -> Step:
        """Give this step, or if it has ended the nearest above it that is open, else the root: where late work goes."""
        step = self
        while not step.open and step.parent is not None:
            step = step.parent
        return step

    def __repr__(self) -> str:
        return f"<Step {self.kind} {self.name!r} {self.step_id}{'' if self.open else ' ended'}>"


_MARK: Final = "__counterfoil__"
_MARKS: Final = 256


def raised_here(step: Step, error: BaseException) -> bool:
    """Tell whether `step` is the deepest that `error` ended; if so the steps above will know.

    A mark on the exception tells: ids alone, so nothing of ours keeps it alive, and it can be pickled.
    """
    try:
        if _came_through(step.step_id, error):
            return False
        marks = (*vars(error).get(_MARK, ()), step.step_id, *(above.step_id for above in step.above()))
        # Not setattr: a frozen exception's own would refuse.
        BaseException.__setattr__(error, _MARK, marks[-_MARKS:])
    except Exception:
        return True
    return True


def _came_through(step_id: str, error: BaseException) -> bool:
    if step_id in vars(error).get(_MARK, ()):
        return True
    return isinstance(error, BaseExceptionGroup) and all(
        _came_through(step_id, one) for one in error.exceptions
    )


_CANCELLED: Final = (
    ("asyncio", "CancelledError"),
    ("concurrent.futures", "CancelledError"),
    ("trio", "Cancelled"),
)


#: Package and class of the exceptions that are no errors > the status of a step that one ends. See `control_flow`.
_control_flow: Final[dict[str, str]] = {}


def control_flow(statuses: Mapping[str, str]) -> None:
    """Say by which exceptions a framework pauses, stops or refuses: `{"langgraph.GraphInterrupt": "waiting"}`.

    Each is named by its package and its class, of which a raised one may also be derived: an adapter need not import
    it. From then on every step that one ends has that status, also where the adapter does not see it.
    """
    _control_flow.update(statuses)


def status_of(error: BaseException) -> str:
    """Give the status of a step that ended by `error`: error, cancelled, ok for an exit in good order, or `control_flow`'s."""
    for kind in type(error).__mro__:
        status = _control_flow.get(f"{kind.__module__.partition('.')[0]}.{kind.__name__}")
        if status is not None:
            return status
    if isinstance(error, (GeneratorExit, KeyboardInterrupt)) or _is_cancelled(error):
        return "cancelled"
    if isinstance(error, SystemExit):
        return "ok" if error.code is None or error.code == 0 else "error"
    return "error"


def _is_cancelled(error: BaseException) -> bool:
    # asyncio takes 30 ms to import: where nobody has, nobody was cancelled by it.
    for module, name in _CANCELLED:
        kind = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type) and isinstance(error, kind):
            return True
    return False
