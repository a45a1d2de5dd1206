"""Teams at work: a run, or a part of one (mapping.md, sections 1 and 2)."""

from __future__ import annotations

from typing import Any

from counterfoil.recorder import UNSET
from counterfoil_autogen import calls, edges, humans
from counterfoil_autogen.calls import Call, TeamRun, Turn, begin, innermost
from counterfoil_autogen.messages import chat_of, text_of_message
from counterfoil_autogen.tracker import recording

__all__ = ["begins", "gives"]


def begins(
    team: Any,
    args: tuple[Any, ...],  # noqa: ARG001  # as all rooms are called: all of a team's are by name
    kwargs: dict[str, Any],
    *,
    streamed: bool,  # noqa: ARG001  # as above
) -> TeamRun | None:
    """A team begins to work."""
    above = innermost()
    if isinstance(above, TeamRun) and above.of == id(team):
        return None  # a subclass's own run_stream
    run, task = TeamRun(team, above), kwargs.get("task")
    who = list(recording(team, above))
    answer = humans.answers(run, task, named=any(session for _, session in who)) if above is None else None
    for recorder, session in who:
        edges.arrives(above, recorder.path, team.name, workflow=True)
        alone = above is None and recorder.here() is None
        scope = begin(
            run,
            recorder,
            "workflow",
            team.name,
            native_id=run.team_id,
            session=(session or run.team_id) if alone else None,
            resuming=answer is not None,
            **_task(task),
        )
        edges.arrived(above, scope, native=isinstance(above, Turn) and above.asks_team)
        if answer is not None:
            recorder.answers(scope.step, [{"id": None, "value": answer, "status": None, "comment": None}])
    if not run.scopes:
        return None
    before = calls.runs.get(run.team_id)
    if before is None or not before.open:  # AutoGen refuses a team that is running already
        calls.runs[run.team_id] = run
    return run


def _task(task: Any) -> dict[str, Any]:
    if isinstance(task, str):
        return {"input": task}
    if task is None:
        return {}
    return {"messages": chat_of(task if isinstance(task, list) else [task])}


def gives(call: Call, item: Any, *, own: bool, last: bool) -> None:  # noqa: ARG001  # as above
    """The last item of a team's stream says how it ended."""
    if not own or not isinstance(call, TeamRun) or type(item).__name__ != "TaskResult":
        return
    edges.ended_here(call, call.name)
    waits = [edges.left_over(call, scope) for scope in call.scopes.values()]
    said = [one for one in item.messages if getattr(one, "type", None) != "StopMessage"]
    calls.ended(
        call,
        "waiting" if any(waits) else "ok",
        output=text_of_message(said[-1]) if said else UNSET,
        stop_reason=item.stop_reason,
    )
