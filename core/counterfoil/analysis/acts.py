"""What somebody asks the reason of: a tool call, a handoff, or another step, and which runs did the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from counterfoil.analysis.alignment import same_name
from counterfoil.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from counterfoil.store.read import Store
    from counterfoil.store.records import Handoff, Step

__all__ = ["Act", "act_of", "doers"]

_NOUNS: Final = ("handoff", "step", "run")
_BEGINNING: Final = "SELECT {0}_id FROM t_{0}s WHERE {0}_id >= ? AND {0}_id < ? ORDER BY 1 LIMIT 3"
_LAST_HANDOFF: Final = """SELECT handoff_id FROM t_handoffs WHERE run_id = ?
  ORDER BY coalesce(requested_ns, asked_ns) DESC, handoff_id DESC LIMIT 1"""
_LAST_TOOL: Final = """SELECT step_id FROM t_steps WHERE run_id = ? AND kind = 'tool' AND status <> 'waiting'
  ORDER BY started_ns DESC, q DESC LIMIT 1"""
_HANDED: Final = """SELECT run_id, source, coalesce(target, target_asked), step_id, coalesce(requested_ns, asked_ns)
  FROM t_handoffs WHERE run_id IN (SELECT value FROM json_each(?)) ORDER BY 5"""
_CALLED: Final = """SELECT run_id, agent, name, step_id, started_ns FROM t_steps
  WHERE run_id IN (SELECT value FROM json_each(?)) AND kind = 'tool' AND status <> 'waiting' ORDER BY started_ns"""


class Act(msgspec.Struct, frozen=True):
    """What was done. `kind` is `handoff`, or the step's; `name` is who was handed to, the tool, the model.

    `given` is what it was given (a tool's arguments, a handoff's payload), `result` what came of it (a tool's result, the
    answer), `reason` what was said for it with the handoff itself. `step_id` is the step that did it, of a handoff the
    one that asked. `decided_by` is the llm step that chose it, `decided_evidence` how that is known.
    """

    kind: str
    run_id: str
    step_id: str | None
    handoff_id: str | None
    agent: str | None
    name: str | None
    mode: str | None
    target_type: str | None
    target_step_id: str | None
    coordinator: str | None
    status: str | None
    error: str | None
    evidence: str | None
    decided_by: str | None
    decided_evidence: str | None
    framework: str | None
    at_ns: int | None
    given: Any
    result: Any
    reason: str | None


def act_of(store: Store, ref: str) -> Act:
    """Give what `ref` names: the beginning of a step's, a handoff's or a run's id, or `last`, the newest run.

    Of a run it is the last handoff, else the last tool call. Raises StoreError with one sentence.
    """
    noun, found = ("run", store.run("last").run_id) if ref.strip() == "last" else _found(store, ref)
    if noun == "run":
        noun, found = _last_of(store, found)
    if noun == "step":
        step = store.step(found)
        handed = [one for one in _handoffs(store, step.run_id) if _is_of(one, step)]
        if not handed:
            return _of_step(step)
        found = handed[0].handoff_id
        return _of_handoff(handed[0])
    (run_id,) = store.sql("SELECT run_id FROM t_handoffs WHERE handoff_id = ?", (found,))[1][0]
    return next(_of_handoff(one) for one in _handoffs(store, run_id) if one.handoff_id == found)


def _found(store: Store, ref: str) -> tuple[str, str]:
    wanted = ref.strip().lower()
    if not wanted or any(one not in "0123456789abcdef" for one in wanted):
        raise StoreError(
            f"No step, handoff or run {ref!r}: give the beginning of its id, in hexadecimal, or `last`."
        )
    found = [
        (noun, str(row[0]))
        for noun in _NOUNS
        for row in store.sql(_BEGINNING.format(noun), (wanted, wanted + "g"))[1]
    ]
    exact = [one for one in found if one[1] == wanted]
    if not found:
        raise StoreError(f"No step, handoff or run begins with {ref!r}.")
    if len(found) > 1 and not exact:
        some = ", ".join(f"{noun} {one}" for noun, one in found[:3]) + (", ..." if len(found) > 3 else "")
        raise StoreError(f"More than one id begins with {ref!r}: {some}")
    return (exact or found)[0]


def _last_of(store: Store, run_id: str) -> tuple[str, str]:
    for noun, query in (("handoff", _LAST_HANDOFF), ("step", _LAST_TOOL)):
        if rows := store.sql(query, (run_id,))[1]:
            return noun, str(rows[0][0])
    raise StoreError(f"Run {run_id} has no handoff and no tool call: name one of its steps.")


def _handoffs(store: Store, run_id: str | None) -> list[Handoff]:
    return store.handoffs(run_id) if run_id is not None else []


def _is_of(handoff: Handoff, step: Step) -> bool:
    """Tell whether to ask for the step is to ask for the handoff: the tool that asked, or the step that was begun."""
    return (handoff.step_id == step.step_id and step.kind == "tool") or handoff.target_step_id == step.step_id


def _of_step(step: Step) -> Act:
    if step.run_id is None:
        raise StoreError(f"Step {step.step_id} has no run yet: its start is not drained.")
    return Act(
        kind=step.kind or "step",
        run_id=step.run_id,
        step_id=step.step_id,
        handoff_id=None,
        agent=step.agent,
        name=step.name,
        mode=None,
        target_type=None,
        target_step_id=None,
        coordinator=None,
        status=step.status,
        error=_joined(step.error_type, step.error_message),
        evidence=step.evidence,
        decided_by=step.decided_by,
        decided_evidence=step.decided_evidence,
        framework=step.framework,
        at_ns=step.started_ns,
        given=None if step.kind == "llm" else step.input,
        result=None if step.kind == "llm" else step.output,
        reason=None,
    )


def _of_handoff(handoff: Handoff) -> Act:
    if handoff.run_id is None:
        raise StoreError(f"Handoff {handoff.handoff_id} has no run.")
    return Act(
        kind="handoff",
        run_id=handoff.run_id,
        step_id=handoff.step_id,
        handoff_id=handoff.handoff_id,
        agent=handoff.source,
        name=handoff.target or handoff.target_asked,
        mode=handoff.mode,
        target_type=handoff.target_type,
        target_step_id=handoff.target_step_id,
        coordinator=handoff.coordinator,
        status=handoff.status,
        error=_joined(handoff.refused_by and f"refused by {handoff.refused_by}", handoff.error_message),
        evidence=handoff.evidence,
        decided_by=handoff.decided_by,
        decided_evidence=handoff.decided_evidence,
        framework=handoff.framework,
        at_ns=handoff.requested_ns,
        given=handoff.payload,
        result=handoff.answer,
        reason=handoff.reason,
    )


def _joined(*said: str | None) -> str | None:
    return ": ".join(one for one in said if one) or None


def doers(store: Store, act: Act, run_ids: Iterable[str]) -> dict[str, tuple[str | None, int]]:
    """Give of `run_ids` those that did the same, with the step and the time of the first time.

    The same: a handoff from the same agent to the same, however asked for; a call of the same tool by the same agent.
    Names are the same as `alignment.same_name` says.
    """
    listed = msgspec.json.encode(list(run_ids)).decode()
    wanted = same_name(act.agent), same_name(act.name)
    done: dict[str, tuple[str | None, int]] = {}
    query = _HANDED if act.kind == "handoff" else _CALLED
    for run_id, agent, name, step_id, at_ns in store.sql(query, (listed,))[1]:
        if (same_name(agent), same_name(name)) == wanted:
            done.setdefault(run_id, (step_id, at_ns or 0))
    return done
