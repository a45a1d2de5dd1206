"""Who passed control to whom, and who came next in a user's workflow (mapping.md, section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from counterfoil import ids
from counterfoil.adapters import tidy
from counterfoil.snapshot import text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from counterfoil.recorder import Step
    from counterfoil_llama_index.runs import Run
    from counterfoil_llama_index.tracker import Entry, Tracker

__all__ = [
    "Visits", "agent_begins", "agent_ends", "asked", "asking_failed", "permitted", "settle", "workflow_of_agents",
]  # fmt: skip

#: The tool that an AgentWorkflow gives its agents to pass control; no other may have this name.
_HANDOFF: Final = "handoff"


# -- AgentWorkflow


def permitted(workflow: Any) -> dict[str, frozenset[str] | None]:
    """Give whom each agent of an AgentWorkflow may pass control to; None: anybody."""
    found: dict[str, frozenset[str] | None] = {}
    for name, agent in dict(getattr(workflow, "agents", None) or {}).items():
        allowed = getattr(agent, "can_handoff_to", None)
        found[tidy(str(name))] = None if allowed is None else frozenset(tidy(str(one)) for one in allowed)
    return found


def workflow_of_agents(call: Entry | None) -> Run | None:
    """Give the AgentWorkflow's run whose agent calls a tool in this step."""
    run = call.parent.run if call is not None and call.parent is not None else None
    return run if run is not None and run.kind == "agents" else None


def asked(tracker: Tracker, run: Run, step: Step, given: Mapping[str, Any]) -> None:
    """Record that control is to be passed, before the tool has run. `given` are its arguments."""
    if step.name != _HANDOFF:
        return
    target, reason = given.get("to_agent"), given.get("reason")
    if not isinstance(target, str) or tidy(target) == step.agent:
        return
    handoff = tracker.recorder.handoff(
        "transfer",
        target=tidy(target),
        target_asked=target,
        step=step,
        reason=reason if isinstance(reason, str) and reason.strip() else step.said,
        t=step.started_ns,
    )
    with tracker.lock:
        run.requested.append(handoff)


def asking_failed(tracker: Tracker, step: Step, error: BaseException) -> None:
    """Record that a handoff came to nothing, because its tool raised."""
    if step.name != _HANDOFF:
        return
    for handoff in step.holder.pending:
        if handoff.step is step and handoff.status == "requested":
            tracker.recorder.advance(handoff, "failed", error_message=text_of(error))


def settle(tracker: Tracker, run: Run, agent: str) -> None:
    """Record what became of the handoffs of a turn, now that it is known who goes on: of several the last one wins.

    The text of the tool's answer does not tell: it may be the user's own, and two in one turn both say that they did.
    """
    requested, run.requested = run.requested, []
    for handoff in requested:
        if handoff.status != "requested":
            continue
        allowed = run.permitted.get(run.name)
        known = handoff.target in run.permitted and (allowed is None or handoff.target in allowed)
        if handoff.target == agent:
            continue
        if known and agent != run.name:
            tracker.recorder.advance(handoff, "abandoned")
        else:
            tracker.recorder.advance(handoff, "refused", refused_by="framework")


# -- a workflow of the user's


class Visits:
    """The turns that ended in a workflow and that nobody followed yet, each with when it began and ended."""

    __slots__ = ("ended",)

    def __init__(self) -> None:
        self.ended: list[tuple[Step, int]] = []

    def add(self, step: Step) -> None:
        """Take in a turn that ended: those that had ended before it began are followed by it."""
        self.ended = [(one, at) for one, at in self.ended if at >= step.started_ns]
        self.ended.append((step, ids.now_ns()))


def agent_begins(tracker: Tracker, entry: Entry, step: Step) -> None:
    """Record by which agents' turns an agent's turn in a user's workflow came, if by any."""
    visits = _visits(entry)
    if visits is None or step.came_by:
        return
    with tracker.lock:
        for source, _ in visits.ended:
            if source.name == step.name:
                continue
            tracker.recorder.handoff(
                "route",
                source=source.name,
                target=step.name,
                step=source,
                evidence="inferred",
                status="accepted",
                target_step=step,
                holder=step.holder,
                t=step.started_ns,
            )
            step.came_by = True


def agent_ends(tracker: Tracker, entry: Entry, step: Step) -> None:
    """Take note of an agent's turn that ended."""
    visits = _visits(entry)
    if visits is not None:
        with tracker.lock:
            visits.add(step)


def _visits(entry: Entry) -> Visits | None:
    """Give the agents so far of the user's workflow that an agent's run stands in, with no tool in between."""
    above = entry.parent
    while above is not None and above.role != "tool":
        if above.visits is not None:
            return above.visits
        above = above.parent
    return None
