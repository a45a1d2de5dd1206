"""Who asked whom, and who came next: coworkers, the order of tasks, the methods of a flow (mapping.md, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from counterfoil.adapters import tidy
from counterfoil.recorder import UNSET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from counterfoil.recorder import Step
    from counterfoil_crewai.tracker import Entry, Tracker

__all__ = [
    "Stages",
    "Visits",
    "agent_begins",
    "agent_fails",
    "method_begins",
    "method_ends",
    "tool_answers",
    "tool_begins",
]

#: CrewAI's tools by which an agent asks another one; the ReAct path writes their names as English.
_ASKING: Final = frozenset({"delegate_work_to_coworker", "ask_question_to_coworker"})
_NOT_FOUND: Final = "coworker mentioned not found"


class Stages:
    """The agents of a crew's tasks so far."""

    __slots__ = ("before", "beside", "of_task")

    def __init__(self) -> None:
        self.before: tuple[Step, ...] = ()  # of the last task that was waited for
        self.beside: tuple[Step, ...] = ()  # of the asynchronous tasks begun since
        self.of_task: dict[str, Step] = {}  # by the task's id


class Visits:
    """The methods of a flow that have ended: which agents each left behind, and which words routers said."""

    __slots__ = ("agents", "said")

    def __init__(self) -> None:
        self.agents: dict[str, tuple[Step, ...]] = {}  # in the order of their ends
        self.said: dict[str, str] = {}  # the method that said a word


# -- coworkers


def tool_begins(tracker: Tracker, step: Step) -> None:
    """Record that a coworker is asked, before the tool has run."""
    if step.name.casefold().replace(" ", "_") not in _ASKING:
        return
    given = step.arguments  # none where no content is recorded: whom a model asks for is its text
    arguments: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    asked = arguments.get("coworker") or arguments.get("co_worker")
    context = arguments.get("context")
    tracker.recorder.handoff(
        "escalation",
        target=tidy(str(asked or "")),
        target_asked=str(asked) if asked else None,
        step=step,
        reason=str(context) if context else None,
        payload=arguments.get("task", arguments.get("question", UNSET)),
        t=step.started_ns,
    )


def tool_answers(tracker: Tracker, step: Step, text: str, *, denied: bool) -> None:
    """Record that nobody was asked: a hook said no, or CrewAI knows no coworker of that name."""
    for handoff in step.asked:
        if handoff.status != "requested" or handoff.mode != "escalation":
            continue
        if denied:
            tracker.recorder.advance(handoff, "refused", refused_by="policy")
        elif _NOT_FOUND in text:
            tracker.recorder.advance(handoff, "refused", refused_by="framework")


def agent_fails(entry: Entry) -> None:
    """A coworker's turn raised: CrewAI tries again, and the handoff waits for that turn, else for the tool's end."""
    tool = entry.parent.step if entry.parent is not None and entry.parent.role == "tool" else None
    for handoff in tool.asked if tool is not None else ():
        if handoff.target_step is entry.step and handoff.status == "accepted":
            handoff.status = "requested"


# -- the order of tasks and methods


def agent_begins(tracker: Tracker, entry: Entry, *, internal: bool) -> None:
    """Record by which order an agent's turn came, if it was by one."""
    step, above = entry.step, entry.parent
    if step is None or above is None or step.came_by:
        return
    with tracker.lock:
        if above.role == "task":
            _task_agent(tracker, above, step, internal=internal)
        elif above.role == "method":
            _method_agent(tracker, above, step, None)


def _task_agent(tracker: Tracker, task: Entry, step: Step, *, internal: bool) -> None:
    crew = task.above("crew")
    if crew is None or crew.stages is None or (internal and step.name == "Task Execution Planner"):
        return
    stages, again = crew.stages, bool(task.last)
    task.last = (step,)
    sources = [stages.of_task[one] for one in task.context if one in stages.of_task]
    if not sources:
        # A task that runs beside the next ones is given what was there before all of them.
        sources = list(stages.before if task.beside else stages.beside or stages.before)
    stages.of_task[str(task.ident)] = step
    if task.beside:
        stages.beside = (*stages.beside, step)
    else:
        stages.before, stages.beside = (step,), ()
    if again:  # the task is tried once more
        return
    for source in sources:
        _route(tracker, source, step, task.reason, crew.step, None)
    method = crew.parent
    if method is not None and method.role == "method":
        _method_agent(tracker, method, step, task.reason, first=not sources)


def method_begins(entry: Entry, flow: Any) -> None:
    """Take note of what a flow's method listens to: as far as that has ended, its agents come before."""
    definition = getattr(flow, "_definition", None)
    method = definition.methods.get(str(entry.ident)) if definition is not None else None
    condition = getattr(method, "listen", None)
    if condition is not None:
        operator = "and" if isinstance(condition, Mapping) and "and" in condition else "or"
        entry.listens = (operator, tuple(_triggers(condition)))


def _triggers(condition: Any) -> Iterator[str]:
    if isinstance(condition, str):
        yield condition
    elif isinstance(condition, Mapping):
        for branch in condition.get("and") or condition.get("or") or ():
            yield from _triggers(branch)


def method_ends(tracker: Tracker, entry: Entry, result: Any) -> None:
    """Take note of the agents that a method leaves behind, or passes on, and of the word that it said."""
    flow = entry.above("flow")
    if flow is None or flow.visits is None:
        return
    name = str(entry.ident)
    with tracker.lock:
        visits = flow.visits
        visits.agents.pop(name, None)  # the latest stands last
        visits.agents[name] = entry.last or tuple(one for one, _ in _sources(entry, visits))
        if isinstance(result, str) and len(result) <= 200:  # a router's word is short
            visits.said[result] = name


def _method_agent(
    tracker: Tracker, method: Entry, step: Step, reason: str | None, *, first: bool = True
) -> None:
    flow = method.above("flow")
    before, method.last = method.last, (step,)
    if before or not first or flow is None or flow.visits is None:
        return  # the method's own code called another agent
    for source, router in _sources(method, flow.visits):
        _route(tracker, source, step, reason, flow.step, router)


def _sources(method: Entry, visits: Visits) -> list[tuple[Step, str | None]]:
    """Give the agents that led to a method, each with the method that picked it by a word, if one did."""
    operator, triggers = method.listens
    known = []
    for trigger in triggers:
        router = visits.said.get(trigger) if trigger not in visits.agents else None
        name = router or trigger
        if name in visits.agents:
            known.append((name, router))
    if operator == "or" and len(known) > 1:
        order = list(visits.agents)
        known = [max(known, key=lambda one: order.index(one[0]))]
    found: dict[str, tuple[Step, str | None]] = {}
    for name, router in known:
        for source in visits.agents[name]:
            found.setdefault(source.name, (source, router))
    return list(found.values())


def _route(
    tracker: Tracker,
    source: Step,
    step: Step,
    reason: str | None,
    holder: Step | None,
    coordinator: str | None,
) -> None:
    if source.name == step.name:
        return
    tracker.recorder.handoff(
        "route",
        source=source.name,
        target=step.name,
        step=source,
        coordinator=coordinator,
        reason=reason,
        evidence="inferred",
        status="accepted",
        target_step=step,
        holder=holder,
        t=step.started_ns,
    )
    step.came_by = True
