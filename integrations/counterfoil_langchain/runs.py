"""One LangChain run as a step: begun, failed, over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from counterfoil import ids
from counterfoil.adapters import tidy
from counterfoil.recorder import UNSET, Step
from counterfoil.steps import status_of
from counterfoil_langchain import agents, failures, humans, naming
from counterfoil_langchain.messages import split_state
from counterfoil_langchain.tracker import FRAMEWORK, Entry, Tracker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

__all__ = ["begin", "entry_of", "fail", "native_name", "over"]


def entry_of(
    run_id: UUID, above: Entry | None, name: str, role: str, metadata: Mapping[str, Any] | None
) -> Entry:
    """Give the entry of a run that begins now."""
    entry = Entry(run_id.int, above)  # a UUID's own hash and comparison are written in Python
    entry.run_id, entry.name, entry.role = run_id, name, role
    entry.started_ns = ids.now_ns()
    if metadata:
        entry.integration = metadata.get("ls_integration")
        entry.label = metadata.get("lc_agent_name")
    return entry


def native_name(serialized: Mapping[str, Any] | None, otherwise: str) -> str:
    """Give the class's or function's own name; the rest of `serialized` holds the whole configuration."""
    if not serialized:
        return otherwise
    path = serialized.get("id")
    return str(serialized.get("name") or (path[-1] if path else otherwise))


def begin(
    tracker: Tracker,
    entry: Entry,
    kind: str,
    name: str,
    *,
    state: Any = UNSET,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    **facts: Any,
) -> Step:
    """Start the step of `entry` under the one it holds so far; a run's root if it holds none.

    `state` is its input as the framework gave it; `facts` are further arguments of `Recorder.start`.
    """
    if state is not UNSET:
        facts["messages"], rest, some = split_state(state)
        if some:
            facts["input"] = rest
    if entry.step is None:
        facts |= naming.run_facts(metadata, tags)
    step = tracker.recorder.start(
        kind,
        tidy(name),
        framework=FRAMEWORK,
        parent=entry.step,
        native_id=str(entry.run_id),
        t=entry.started_ns,
        **facts,
    )
    entry.step, entry.owns = step, True
    if tracker.tentative or step.turn_step is None:
        agents.note_step(tracker, entry, step)
    return step


def fail(tracker: Tracker, entry: Entry, error: BaseException, **said: Any) -> None:
    """End the step of `entry` by an exception; `said` are further arguments of `Recorder.end`."""
    status = status_of(error)
    step = entry.step
    if status == "waiting" and error.args:
        humans.ask_about(tracker, entry, error.args[0])
    if entry.owns and step is not None:
        if step.parent is None and status == "error":
            said["stop_reason"] = failures.stop_reason(error)
        tracker.recorder.fail(step, error, status=status, **said)
    over(tracker, entry)


def over(tracker: Tracker, entry: Entry) -> None:
    """Let go of everything, if a root has ended."""
    if entry.root is entry:
        tracker.close(entry)
