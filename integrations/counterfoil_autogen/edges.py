"""Who passed control to whom, who was asked, and who was picked (mapping.md, section 3)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from counterfoil import ids
from counterfoil.adapters import tidy
from counterfoil.guard import guarded
from counterfoil.snapshot import text_of
from counterfoil.steps import status_of
from counterfoil.turns import reason_from
from counterfoil_autogen import humans
from counterfoil_autogen.calls import TeamRun, Turn, innermost
from counterfoil_autogen.messages import text_of_message
from counterfoil_autogen.naming import chooses

if TYPE_CHECKING:
    from counterfoil.recorder import Step
    from counterfoil_autogen.calls import Call, Scope

__all__ = [
    "Left", "Pick", "arrived", "arrives", "asks", "ended_here", "followed", "given_up", "hands_over", "left_over",
    "not_handed_over", "picked",
]  # fmt: skip

_SWARM: Final = "SwarmGroupChatManager"
#: The coordinator that says whom it picks only in its model's answer (autogen-agentchat 0.7).
_MAGENTIC: Final = "MagenticOneOrchestrator"


class Pick(NamedTuple):
    """Who is next, as it was decided."""

    coordinator: str | None
    sources: tuple[str, ...] | None  # None: who spoke last
    reason: str | None
    decided: str | None  # the llm step
    t: int


class Left(NamedTuple):
    """A handoff to somebody who is none of the team."""

    step: Step
    target: str
    reason: str | None
    question: Any
    message_id: str


# -- somebody is asked, and answers


def asks(scope: Scope, runner: Any) -> None:
    """A tool that is an agent or a team is called."""
    step = scope.step
    scope.recorder.handoff(
        "escalation",
        target=tidy(runner.name),
        step=step,
        target_type="workflow" if hasattr(runner, "_team_id") else "agent",
        reason=reason_from(step.arguments, step.said),
        payload=step.arguments,
        t=step.started_ns,
    )


def _asks_directly(above: Scope, name: str, *, native: bool) -> None:
    if above.step.name != name:
        above.recorder.handoff(
            "escalation", target=name, step=above.step, evidence="native" if native else "inferred"
        )


# -- an agent passes control


def hands_over(turn: Turn, message: Any) -> None:
    """A turn ended with a handoff. Of several that the model asked for, AutoGen follows the first."""
    team = turn.above if isinstance(turn.above, TeamRun) else None
    asked = [(call_id, name) for call_id, (name, _) in turn.asked.items() if name in turn.handoffs]
    for scope in turn.scopes.values():
        step = scope.tools.get(asked[0][0], scope.step) if asked else scope.step
        reason = step.said or _thought(scope.step)
        other = team.scopes.get(scope.recorder.path) if team is not None else None
        if team is None or other is None or message.target in team.names:
            scope.recorder.handoff(
                "transfer",
                target=tidy(message.target),
                step=step,
                reason=reason,
                t=step.started_ns if step.kind == "tool" else None,
            )
        else:
            other.left = Left(
                step, message.target, reason, reason or text_of_message(message), str(message.id)
            )
        for call_id, name in asked[1:]:
            step = scope.tools.get(call_id, scope.step)
            scope.recorder.handoff(
                "transfer",
                target=tidy(turn.handoffs[name]),
                step=step,
                status="abandoned",
                reason=step.said,
                t=step.started_ns,
            )


def _thought(step: Step) -> str | None:
    choice = step.turn.chose() if step.turn is not None else None
    return choice.text if choice is not None else None


def not_handed_over(call: Call, scope: Scope, error: BaseException) -> None:
    """The tool by which an agent would have passed control raised."""
    target = call.above.handoffs.get(scope.step.name) if isinstance(call.above, Turn) else None
    if target is not None:
        scope.recorder.handoff(
            "transfer",
            target=tidy(target),
            step=scope.step,
            status="failed",
            reason=scope.step.said,
            error_message=text_of(error),
            t=scope.step.started_ns,
        )


def given_up(scope: Scope, error: BaseException) -> None:
    """A team's run raised: a handoff to somebody whom it does not know has failed, if control had not gone on."""
    left, scope.left = scope.left, None
    if left is not None:
        raised = status_of(error) == "error"
        _nowhere(scope, left, "failed" if raised else "abandoned")


def left_over(run: TeamRun, scope: Scope) -> bool:
    """A team's run ended; tell whether it waits for a human, to whom control was passed."""
    left, scope.left = scope.left, None
    if left is None:
        return False
    if run.above is not None:  # the team around it goes on
        _nowhere(scope, left, "abandoned")
        return False
    humans.left_to(scope, left.step, run.team_id, tidy(left.target), left.question, left.message_id)
    return True


def _nowhere(scope: Scope, left: Left, status: str) -> None:
    scope.recorder.handoff(
        "transfer",
        target=tidy(left.target),
        step=left.step,
        status=status,
        reason=left.reason,
        holder=scope.step,
        t=left.step.started_ns,
    )


# -- somebody picks who is next


@guarded
def picked(manager: Any, names: list[str]) -> None:
    """A manager has picked who is next; in a Swarm it does what the agents said."""
    run = innermost()
    if not isinstance(run, TeamRun) or any(one.__name__ == _SWARM for one in type(manager).__mro__):
        return
    coordinator = chooses(manager)
    led, run.led = run.led, [edge for edge in run.led if edge[1] not in names]
    for scope in run.scopes.values():
        said, scope.said = scope.said, None
        passed = {
            one.target: one
            for one in scope.step.pending
            if one.mode == "transfer" and one.status == "requested"
        }
        for name in names:
            edges = [edge for edge in led if edge[1] == name]
            if passed.pop(tidy(name), None) is not None:
                continue  # as the agent before asked
            chosen = said if said is not None and _names(said[1], name) else None
            scope.picks[name] = Pick(
                coordinator,
                tuple(dict.fromkeys(source for source, _, _ in edges)) or None,
                _conditions(edges) or (chosen[1] if chosen is not None else None),
                chosen[0] if chosen is not None else None,
                ids.now_ns(),
            )
        for handoff in passed.values():  # nobody of this team follows them
            scope.recorder.advance(handoff, "abandoned")


def _names(text: str, name: str) -> bool:
    spoken = name.replace("_", " ")
    return any(re.search(rf"\b{re.escape(one)}\b", text) for one in (name, spoken))


def _conditions(edges: list[tuple[str, str, str | None]]) -> str | None:
    return "; ".join(dict.fromkeys(one for _, _, one in edges if one)) or None


@guarded
def followed(edge: Any, message: Any) -> None:
    """An edge of a graph leads on from the agent who spoke."""
    run = innermost()
    if isinstance(run, TeamRun):
        function = getattr(edge, "condition_function", None)
        named = getattr(function, "__name__", None)
        condition = edge.condition if isinstance(edge.condition, str) else named
        run.led.append(
            (str(message.source), str(edge.target), condition if condition != "<lambda>" else None)
        )


def arrives(above: Call | None, path: str, name: str, *, workflow: bool = False) -> None:
    """Record, before the turn or run of `name` begins, by whose choice it does."""
    scope = above.scopes.get(path) if above is not None else None
    if scope is None:
        return
    if isinstance(above, Turn):
        if not workflow:
            _asks_directly(scope, tidy(name), native=False)
        return
    if not isinstance(above, TeamRun) or name not in above.names:
        return
    left, scope.left = scope.left, None
    if left is not None:  # control was passed to nobody of this team, and it goes on
        _nowhere(scope, left, "abandoned")
    pick = scope.picks.pop(name, None) or (_ledger(scope, name) if above.manager == _MAGENTIC else None)
    if pick is None:
        return
    sources = pick.sources or ((scope.last,) if scope.last is not None else ())
    if not sources and pick.coordinator is not None:
        _route(scope, pick, pick.coordinator, scope.step, name, workflow=workflow)
    for source in sources:
        if source != name:
            _route(scope, pick, source, scope.turns.get(source, scope.step), name, workflow=workflow)


def _route(scope: Scope, pick: Pick, source: str, step: Step, name: str, *, workflow: bool) -> None:
    scope.recorder.handoff(
        "route",
        source=tidy(source),
        target=tidy(name),
        step=step,
        target_type="workflow" if workflow else "agent",
        coordinator=pick.coordinator,
        reason=pick.reason,
        decided=pick.decided,
        decided_evidence="native" if pick.decided is not None else None,
        holder=scope.step,
        t=pick.t,
    )


def _ledger(scope: Scope, name: str) -> Pick | None:
    """Give what the orchestrator's progress ledger says of who is next."""
    said, scope.said = scope.said, None
    if said is None:
        return None
    found = re.search(r"\{.*\}", said[1], re.DOTALL)
    try:
        ledger = json.loads(found[0]) if found is not None else None
    except ValueError:
        return None
    chosen = ledger.get("next_speaker") if isinstance(ledger, dict) else None
    if not isinstance(chosen, dict) or chosen.get("answer") != name:
        return None
    reason = chosen.get("reason")
    return Pick(_MAGENTIC, None, text_of(reason) if reason else None, said[0], ids.now_ns())


def arrived(above: Call | None, scope: Scope, *, native: bool) -> None:
    """Record that a team which was picked, or asked by an agent, has begun; of agents, core finds that."""
    other = above.scopes.get(scope.recorder.path) if above is not None else None
    if other is None:
        return
    if isinstance(above, TeamRun):
        for handoff in other.step.pending:
            if handoff.status == "requested" and handoff.target == scope.step.name:
                scope.recorder.advance(handoff, "accepted", target_step=scope.step)
    elif isinstance(above, Turn):
        made = scope.recorder.handoff(
            "escalation",
            target=scope.step.name,
            step=other.step,
            target_type="workflow",
            status="accepted",
            evidence="native" if native else "inferred",
            target_step=scope.step,
        )
        scope.step.returns.append(made)


def ended_here(call: Call, name: str) -> None:
    """Take note that a participant's turn, or run, has ended in its team."""
    if isinstance(call.above, TeamRun) and name in call.above.names:
        for path, scope in call.scopes.items():
            other = call.above.scopes.get(path)
            if other is not None:
                other.turns[name] = scope.step
                other.last = name
