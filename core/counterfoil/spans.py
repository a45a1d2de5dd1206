"""The open block of a `counterfoil.run` or `counterfoil.step`, and of every call of a decorated function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from counterfoil import context
from counterfoil.events import STEP_STATUSES, Usage
from counterfoil.guard import guarded
from counterfoil.recorder import UNSET, all_recorders, recorder_at
from counterfoil.snapshot import Taken, snapshot

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from counterfoil.recorder import Recorder, Step

__all__ = ["Block", "Span", "places"]


class Block:
    """A piece of the host's code, and the step that it is in each store. Nothing here raises."""

    def __init__(
        self, db: str | os.PathLike[str] | None, start: Callable[[Recorder, Step | None], Step]
    ) -> None:
        self._db = db
        self._start = start
        self.steps: list[tuple[Recorder, Step]] = []
        self.said: dict[str, Any] = {}

    @guarded
    def begin(self) -> None:
        """Start the steps: in the store named, else where all is recorded that we are in, else in the default one."""
        self.steps = []
        self.said = {}
        inside: list[tuple[Recorder, Step | None]] = [*places(self._db)]
        for recorder, place in inside or [(recorder_at(self._db), None)]:
            self.steps.append((recorder, self._start(recorder, place)))

    def enter(self) -> None:
        """Have what is recorded from here on in this context stand inside."""
        for _recorder, step in self.steps:
            context.enter(step)

    def leave(self) -> None:
        """Undo `enter`."""
        for _recorder, step in reversed(self.steps):
            context.leave(step)

    @guarded
    def finish(self, error: BaseException | None = None) -> None:
        """End the steps with what was said of them, and the exception that ended the code, if one did."""
        for recorder, step in self.steps:
            if error is None:
                recorder.end(step, **self.said)
            else:
                recorder.fail(step, error, **(self.said | {"status": None}))


class Span:
    """A `run` or `step`, open inside its `with` block: what the block came to is said with `set`."""

    def __init__(self, block: Block) -> None:
        self._block = block

    @property
    def run_id(self) -> str:
        """The run's id: 32 hex digits, a W3C trace id; empty where nothing is recorded."""
        steps = self._block.steps
        return steps[0][1].run_id if steps else ""

    @property
    def step_id(self) -> str:
        """The step's id: 16 hex digits, a W3C span id; empty where nothing is recorded."""
        steps = self._block.steps
        return steps[0][1].step_id if steps else ""

    @guarded
    def set(
        self,
        *,
        output: Any = UNSET,
        usage: Usage | Mapping[str, Any] | None = None,
        model: str | None = None,
        provider: str | None = None,
        response_id: str | None = None,
        status: str | None = None,
        stop_reason: str | None = None,
    ) -> None:
        """Say what the block gave: its output, a model call's usage and model, another status than `ok`."""
        said = self._block.said
        some = {"model": model, "provider": provider, "response_id": response_id, "stop_reason": stop_reason}
        said.update({key: value for key, value in some.items() if value is not None})
        if output is not UNSET:
            # As it is now: it may change before the block ends.
            said["output"] = Taken(snapshot(output))
        if usage is not None:
            said["usage"] = usage if isinstance(usage, Usage) else Usage(**usage)
        if status is not None:
            if status not in STEP_STATUSES or status == "running":
                raise ValueError(f"a step's status is one of {', '.join(STEP_STATUSES)}, not {status!r}")
            said["status"] = status

    @guarded
    def score(
        self, name: str, value: float | None = None, *, label: str | None = None, comment: str | None = None
    ) -> None:
        """Judge this step; on a run's span, the run."""
        for recorder, step in self._block.steps:
            recorder.score(step, name, value, label=label, comment=comment)

    def __enter__(self) -> Self:
        self._block.begin()
        self._block.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._block.leave()
        self._block.finish(error)


def places(db: str | os.PathLike[str] | None) -> list[tuple[Recorder, Step]]:
    """Give the steps we are in: of the store named, else of every store that records this context."""
    recorders = (recorder_at(db),) if db is not None else all_recorders()
    found = [(recorder, recorder.here()) for recorder in recorders]
    return [(recorder, place) for recorder, place in found if place is not None]
