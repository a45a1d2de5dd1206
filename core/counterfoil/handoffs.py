"""Handoffs under way: who was asked, who came, what returned (mapping.md, section 3). One rule for all adapters.

An adapter says what it sees asked. That the target then starts, answers, or never comes is the same in every
framework and is found here, from the steps alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from counterfoil.turns import reason_from

if TYPE_CHECKING:
    from counterfoil.steps import Step

__all__ = ["Handoff", "agent_ended", "agent_started", "tool_ended", "workflow_ended"]

#: How an escalation ends when its target ended so.
_OUTCOMES = {"ok": "returned", "error": "failed", "cancelled": "abandoned", "denied": "abandoned"}


class Handoff:
    """An edge from one agent to another, given by `Recorder.handoff`, and where it stands."""

    __slots__ = ("evidence", "handoff_id", "mode", "source", "status", "step", "target", "target_step")

    def __init__(
        self, handoff_id: str, step: Step | None, mode: str, source: str | None, target: str, evidence: str
    ) -> None:
        self.handoff_id = handoff_id
        self.step = step
        self.mode = mode
        self.source = source
        self.target = target
        self.evidence = evidence
        self.status = ""
        self.target_step: Step | None = None


class Writer(Protocol):
    """What of the recorder this page needs."""

    def handoff(
        self,
        mode: str,
        *,
        source: str | None,
        target: str,
        step: Step | None,
        target_type: str,
        reason: str | None,
        payload: Any,
        evidence: str,
        decided: str | None,
        decided_evidence: str | None,
        t: int,
    ) -> Handoff:
        """Record a new handoff as requested."""

    def advance(
        self,
        handoff: Handoff,
        status: str,
        *,
        mode: str | None = None,
        target: str | None = None,
        target_step: Step | None = None,
        evidence: str | None = None,
        answer: Any = ...,
    ) -> None:
        """Record the next status of a handoff."""


def agent_started(writer: Writer, step: Step) -> None:
    """Match a new agent turn with the handoff that led to it, if there is one."""
    holder = step.holder
    before = holder.last_agent
    holder.last_agent = step
    step.came_by = (
        _asked_by_tool(writer, step)
        or _asked_by_agent(writer, step)
        or _passed_on(writer, step, holder)
        or _handed_back(writer, step, holder, before)
    )


def tool_ended(writer: Writer, step: Step, status: str, answer: Any) -> None:
    """Settle what was asked through this tool call: it has answered with `answer`, or failed."""
    for handoff in step.asked:
        if handoff.mode != "escalation":
            continue
        if status == "waiting":
            continue  # paused for a human: neither answered nor given up
        if handoff.status == "accepted":
            _answered(writer, handoff, status, answer)
        elif handoff.status == "requested":
            writer.advance(handoff, "failed" if status == "error" else "abandoned")
    step.asked = []


def agent_ended(writer: Writer, step: Step, status: str, answer: Any) -> None:
    """Settle the escalations that waited for this turn, or for this human's answer."""
    for handoff in step.returns:
        # A human accepts nothing: asked, then answered.
        if handoff.status in {"requested", "accepted"} and status != "waiting":
            _answered(writer, handoff, status, answer)
    step.returns = []


def _answered(writer: Writer, handoff: Handoff, status: str, answer: Any) -> None:
    outcome = _OUTCOMES.get(status, "abandoned")
    if outcome == "returned":
        writer.advance(handoff, outcome, answer=answer)
    else:
        writer.advance(handoff, outcome)


def workflow_ended(writer: Writer, step: Step, status: str) -> None:
    """Settle what was requested here and never started: another one won, the run ended, or the attempt raised."""
    for handoff in step.pending:
        if handoff.status == "requested":
            raised = status == "error" and handoff is step.pending[-1]
            writer.advance(handoff, "failed" if raised else "abandoned")
    step.pending = []
    step.last_agent = None


def _asked_by_tool(writer: Writer, step: Step) -> bool:
    """A sub-agent behind a tool: the asker waits for its answer."""
    target: Step = step
    tool: Step | None = None
    for above in step.above():
        if above.kind == "tool":
            tool = above
            break
        if above.kind == "agent":
            return False
        if above.kind == "workflow":
            target = above
    if tool is None or tool.agent is None:
        return False
    names = (target.name, *target.aliases)
    for known in tool.asked:
        if known.target_step is target:
            # Inside a workflow that was asked, control passes on by its own rules.
            return target is step
        if known.status == "requested" and (known.target in names or known.evidence == "native"):
            writer.advance(known, "accepted", target=target.name, target_step=target)
            return True
    if target.name == tool.agent:
        return True
    handoff = writer.handoff(
        "escalation",
        source=tool.agent,
        target=target.name,
        step=tool,
        target_type="agent" if target is step else "workflow",
        reason=reason_from(tool.arguments, tool.said),
        payload=tool.arguments,
        evidence="inferred",
        decided=tool.decided,
        decided_evidence=tool.decided_evidence,
        t=tool.started_ns,
    )
    writer.advance(handoff, "accepted", target_step=target)
    return True


def _asked_by_agent(writer: Writer, step: Step) -> bool:
    """An agent above has said that it asks this one (`counterfoil.handoff(mode="escalation")`)."""
    for above in step.above():
        if above.kind != "agent":
            continue
        for handoff in above.asked:
            if handoff.status == "requested" and handoff.target in (step.name, *step.aliases):
                writer.advance(handoff, "accepted", target=step.name, target_step=step)
                step.returns.append(handoff)
                return True
    return False


def _passed_on(writer: Writer, step: Step, holder: Step) -> bool:
    """Control was passed to this agent, perhaps by several at once."""
    found = False
    names = (step.name, *step.aliases)
    for handoff in holder.pending:
        if handoff.status == "requested" and handoff.target in names:
            writer.advance(handoff, "accepted", target=step.name, target_step=step)
            found = True
    return found


def _handed_back(writer: Writer, step: Step, holder: Step, before: Step | None) -> bool:
    """The source runs next and the target passed to nobody: it was asked, and its answer came back."""
    if before is None or before.handed_on or before.name == step.name:
        return False
    for handoff in reversed(holder.pending):
        if handoff.target_step is before:
            if handoff.mode == "transfer" and handoff.source == step.name and handoff.status == "accepted":
                writer.advance(handoff, "returned", mode="escalation", evidence="inferred")
                return True
            return False
    return False
