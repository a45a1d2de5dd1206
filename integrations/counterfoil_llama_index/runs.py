"""Runs of agents and workflows, their steps, and the turns of the agents in them: `agent`, `workflow`, `task`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from counterfoil.adapters import tidy
from counterfoil.recorder import UNSET
from counterfoil.snapshot import Taken, snapshot
from counterfoil.steps import status_of
from counterfoil_llama_index import edges, failures, humans, tools
from counterfoil_llama_index.context import facts_of_root
from counterfoil_llama_index.messages import message_of, messages_of, plain
from counterfoil_llama_index.naming import (
    AGENT_STEPS,
    agent_name,
    collectors,
    lineage,
    method_of,
    workflow_name,
)
from counterfoil_llama_index.tracker import FRAMEWORK

if TYPE_CHECKING:
    from counterfoil.handoffs import Handoff
    from counterfoil.recorder import Step
    from counterfoil_llama_index.tracker import Entry, Tracker

__all__ = ["Run", "run_begins", "run_ends", "span_cancelled", "step_begins", "step_ends"]

#: What LlamaIndex itself puts into an agent's start event, beside what it was asked.
_ASKED: Final = ("user_msg", "chat_history")


class Run:
    """What is known of one run of a workflow, while it lasts."""

    __slots__ = (
        "asked",
        "cancelled",
        "collectors",
        "goes_on",
        "kind",
        "name",
        "permitted",
        "questions",
        "requested",
        "stopped_by",
        "turn",
        "turns",
        "waited",
    )

    def __init__(self, kind: str) -> None:
        self.kind = kind  # agent; agents: of an AgentWorkflow; workflow: of the user's
        self.collectors: frozenset[str] = frozenset()
        self.goes_on = False  # from a context that was saved
        self.cancelled = False  # by `cancel_run()`
        self.stopped_by: str | None = None
        self.turn: Step | None = None  # of agents: whose turn it is
        self.turns = 0
        self.name = ""
        self.permitted: Mapping[str, frozenset[str] | None] = {}  # of agents: whom each may pass control to
        self.requested: list[Handoff] = []  # of agents: handoffs of this turn
        # humans, see humans.py: questions by waiter, those of the run that this one goes on with, and those put in words
        self.questions: dict[str, Step] = {}
        self.waited: dict[str, str] = {}
        self.asked: list[Step] = []

    @property
    def asks(self) -> bool:
        """Whether an answer is waited for."""
        return bool(self.questions or self.asked or self.waited)


def run_begins(tracker: Tracker, entry: Entry, instance: Any, arguments: Mapping[str, Any]) -> None:
    """A workflow begins, or goes on: an agent's own, an AgentWorkflow, or the user's."""
    kinds = lineage(type(instance))
    event = arguments.get("start_event")
    kind = "agent" if "BaseWorkflowAgent" in kinds else "agents" if "AgentWorkflow" in kinds else "workflow"
    run = entry.run = Run(kind)
    facts: dict[str, Any] = facts_of_root() if entry.step is None or not entry.step.open else {}
    facts["native_id"] = _run_id(arguments) or str(entry.key)
    if event is None:  # nobody starts it: it goes on from a context that was saved
        facts["resuming"] = run.goes_on = True
        run.waited = humans.waiting_in(arguments.get("init_state"))
        facts["questions"] = tuple(run.waited.values())
    if kind == "agent":
        name = tidy(agent_name(instance))
        tracker.begin(entry, "agent", name, **_conversation(event), **facts)
        if entry.step is not None:
            edges.agent_begins(tracker, entry, entry.step)
        return
    if kind == "agents":
        run.permitted = edges.permitted(instance)
        given = _conversation(event)
    else:
        entry.visits = edges.Visits()
        run.collectors = collectors(instance)
        given = {"input": plain(event) if event is not None else UNSET}
    tracker.begin(entry, "workflow", tidy(workflow_name(instance)), **given, **facts)


def _run_id(arguments: Mapping[str, Any]) -> str | None:
    tags = arguments.get("tags")
    inner = tags.get("instrument_tags") if isinstance(tags, Mapping) else None
    found = inner.get("llamaindex.run_id") if isinstance(inner, Mapping) else None
    return found if isinstance(found, str) else None


def _conversation(event: Any) -> dict[str, Any]:
    """Give what an agent is asked: the history and the message, and what the host added of its own."""
    if event is None:
        return {}
    get = event.get
    asked = [*(get("chat_history", None) or ())]
    message = get("user_msg", None)
    if message is not None:
        asked.append(message)
    known = {*_ASKED, "memory", "max_iterations", "early_stopping_method"}
    rest = {key: plain(value) for key, value in event.items() if key not in known and value is not None}
    given: dict[str, Any] = {"messages": messages_of(asked)} if asked else {}
    if rest:
        given["input"] = rest
    return given


def run_ends(tracker: Tracker, entry: Entry, result: Any, error: BaseException | None) -> None:
    """A workflow ended: by its result, by `cancel_run()` (its span then ends with none), or by an exception."""
    run = entry.run
    if run is None:
        return
    if error is not None:
        if run.asks and status_of(error) == "cancelled":
            _pauses(tracker, entry, run)
        else:
            tracker.fail(entry, error, stop_reason=failures.stop_reason(error))
    elif run.cancelled:
        if run.asks:
            _pauses(tracker, entry, run)
        else:
            tracker.end(entry, "cancelled")
    else:
        said = _answer(result)
        if run.turn is not None:
            _end_turn(tracker, entry, **said)
        tracker.end(entry, **said, stop_reason=run.stopped_by)
    if run.kind == "agent" and entry.step is not None:
        edges.agent_ends(tracker, entry, entry.step)


def _pauses(tracker: Tracker, entry: Entry, run: Run) -> None:
    """A run was cancelled while it waited for a human: its context is saved, and another run goes on."""
    if run.turn is not None:
        turn, run.turn = run.turn, None
        tracker.recorder.end(turn, "waiting")
    tracker.end(entry, "waiting")


def _answer(result: Any) -> dict[str, Any]:
    kinds = lineage(type(result))
    value: Any = getattr(result, "result", None) if "StopEvent" in kinds else result
    if "AgentOutput" in lineage(type(value)):
        said: dict[str, Any] = {"messages": [message_of(value.response)]}
        if value.structured_response is not None:
            said["output"] = plain(value.structured_response)
        return said
    if value is None and "StopEvent" in kinds and type(result).__name__ != "StopEvent":
        value = result  # one of the user's, with fields of its own
    return {"output": plain(value)}


# -- steps


def step_begins(tracker: Tracker, entry: Entry, arguments: Mapping[str, Any]) -> None:
    """A step of a workflow begins: a `task`, or where it is an agent's own, a part of that agent's turn."""
    run_entry = entry.parent
    run = run_entry.run if run_entry is not None else None
    if run is None or run_entry is None:
        return
    event = _event_of(arguments)
    name = entry.name = method_of(str(entry.key))
    if event is not None and "HumanResponseEvent" in lineage(type(event)):
        humans.responded(tracker, run_entry, event)
    if run.kind != "workflow" and name in AGENT_STEPS:
        if run.kind == "agents":
            _turn_of_step(tracker, run_entry, run, name, event, arguments)
        entry.step = run.turn or run_entry.step
        entry.wanted = len(getattr(event, "tool_calls", None) or ())
        if name == "call_tool" and event is not None:
            entry.role = "call"
            tools.asked(entry, event)
        return
    given = Taken(snapshot(plain(event)))
    entry.step = run.turn or run_entry.step
    if name in run.collectors:
        entry.lazy = (tidy(name), given)
    else:
        tracker.begin(entry, "task", tidy(name), input=given)


def _event_of(arguments: Mapping[str, Any]) -> Any:
    """Give the event that a step is given; its parameter may have any name, or there are several."""
    found = [one for one in arguments.values() if "Event" in lineage(type(one))]
    if len(found) == 1:
        return found[0]
    several = [
        one
        for one in arguments.values()
        if isinstance(one, list) and one and "Event" in lineage(type(one[0]))
    ]
    return several[0] if several else found or None


def _turn_of_step(
    tracker: Tracker, run_entry: Entry, run: Run, name: str, event: Any, arguments: Mapping[str, Any]
) -> None:
    """Begin a turn where the agent's name has changed, or where a run that goes on does not say whose turn it is."""
    with tracker.lock:
        if name == "run_agent_step" and event is not None:
            agent = tidy(str(event.current_agent_name))
            if run.turn is None or run.name != agent:
                _end_turn(tracker, run_entry)
                _begin_turn(tracker, run_entry, run, agent, messages=messages_of(event.input))
        elif run.turn is None and name in {"aggregate_tool_results", "call_tool", "parse_agent_output"}:
            known = getattr(event, "current_agent_name", None) or _at_once(arguments.get("ctx"))
            if isinstance(known, str):
                _begin_turn(tracker, run_entry, run, tidy(known))


def _at_once(context: Any) -> Any:
    """Give the agent's name that a saved context holds: reading it never waits while it is kept in memory."""
    if context is None:
        return None
    reading = context.store.get("current_agent_name", default=None)
    try:
        reading.send(None)
    except StopIteration as done:
        return done.value
    finally:
        reading.close()
    return None


def _begin_turn(tracker: Tracker, run_entry: Entry, run: Run, name: str, **given: Any) -> None:
    run.name = name
    run.turns += 1
    run.turn = tracker.recorder.start(
        "agent",
        name,
        framework=FRAMEWORK,
        parent=run_entry.step,
        native_id=f"{run_entry.key}/{run.turns}",
        **given,
    )
    if run.turns == 1:
        edges.agent_begins(tracker, run_entry, run.turn)


def _end_turn(tracker: Tracker, run_entry: Entry, **said: Any) -> None:
    run = run_entry.run
    if run is not None and run.turn is not None:
        turn, run.turn = run.turn, None
        tracker.recorder.end(turn, **said)
        edges.agent_ends(tracker, run_entry, turn)


def step_ends(tracker: Tracker, entry: Entry, result: Any, error: BaseException | None) -> None:
    """A step of a workflow ended."""
    run_entry = entry.parent
    run = run_entry.run if run_entry is not None else None
    if run is None or run_entry is None:
        return
    if entry.role == "call":
        tools.answered(tracker, entry, result)
    elif error is not None:
        if run.turn is not None and entry.name in AGENT_STEPS:
            turn, run.turn = run.turn, None
            tracker.recorder.fail(turn, error)
        tracker.begin_lazy(entry)
        tracker.fail(entry, error)
        return
    kinds = lineage(type(result))
    if run.kind != "workflow" and "AgentInput" in kinds and entry.name == "aggregate_tool_results":
        _goes_on(tracker, run_entry, run, tidy(str(result.current_agent_name)))
    elif entry.name == "parse_agent_output" and "StopEvent" in kinds and entry.wanted:
        # early_stopping_method="generate": tools were asked for, and never ran.
        run.stopped_by = "max_iterations"
    if "InputRequiredEvent" in kinds:
        tracker.begin_lazy(entry)
        humans.required(tracker, run_entry, entry, result)
    if entry.lazy is not None and result is not None:
        tracker.begin_lazy(entry)
    if entry.paused:
        tracker.end(entry, "waiting")
    else:
        tracker.end(entry, "cancelled" if entry.cancelled else "ok", output=plain(result))


def span_cancelled(tracker: Tracker, event: Any) -> None:
    """A step was cancelled, or a run by `cancel_run()`: its span then ends as if all were well."""
    entry = tracker.find(event.span_id)
    if entry is None:
        return
    if entry.run is not None:
        entry.run.cancelled = True
    else:
        entry.cancelled = True


def _goes_on(tracker: Tracker, run_entry: Entry, run: Run, agent: str) -> None:
    """All tools of a turn have answered: the same agent goes on, or the one that control was passed to."""
    with tracker.lock:
        edges.settle(tracker, run, agent)
        if run.turn is not None and run.name != agent:
            _end_turn(tracker, run_entry)
