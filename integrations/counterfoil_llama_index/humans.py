"""Questions to humans, and their answers (mapping.md, section 4).

A tool or step waits by raising an exception that no step's span shows, and is run again from its top once the event
is there: so `Context.wait_for_event` is wrapped, where both the question and the answer pass.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any, Final

from llama_index_instrumentation.span import active_span_id

from counterfoil.guard import guarded
from counterfoil.steps import status_of
from counterfoil_llama_index.messages import plain
from counterfoil_llama_index.naming import lineage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from counterfoil_llama_index.runs import Run
    from counterfoil_llama_index.tracker import Entry, Tracker

__all__ = ["announcing", "required", "responded", "waiting", "waiting_in"]

_RESULTS: Final = "workflows.runtime.types.results"


def waiting(
    original: Callable[..., Awaitable[Any]], trackers: Callable[[], Iterable[Tracker]]
) -> Callable[..., Awaitable[Any]]:
    """Give `Context.wait_for_event` so that it tells of questions and answers."""

    @functools.wraps(original)
    async def wait_for_event(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            answer = await original(self, *args, **kwargs)
        except Exception as error:
            for tracker in trackers():
                if status_of(error) == "waiting":
                    _asks(tracker, error)
                elif isinstance(error, TimeoutError):
                    _gives_up(tracker)
            raise
        for tracker in trackers():
            _gets(tracker, answer)
        return answer

    return wait_for_event


def announcing(original: Callable[..., Any], trackers: Callable[[], Iterable[Tracker]]) -> Callable[..., Any]:
    """Give `Context.write_event_to_stream` so that it tells what a human is asked by an event, before a wait."""

    @functools.wraps(original)
    def write_event_to_stream(self: Any, *args: Any, **kwargs: Any) -> Any:
        event = args[0] if args else kwargs.get("ev")
        if event is not None and "InputRequiredEvent" in lineage(type(event)):
            for tracker in trackers():
                _announces(tracker, event)
        return original(self, *args, **kwargs)

    return write_event_to_stream


@guarded
def _announces(tracker: Tracker, event: Any) -> None:
    entry, run_entry, _ = _place(tracker)
    if entry is not None and run_entry is not None:
        _pausing(tracker, entry).question = plain(event)


@guarded
def _asks(tracker: Tracker, error: Any) -> None:
    entry, run_entry, run = _place(tracker)
    if entry is None or run_entry is None or run is None:
        return
    add = error.add
    waiter = str(add.waiter_id)
    pausing = _pausing(tracker, entry)
    pausing.paused = True
    if (
        waiter in run.waited or waiter in run.questions
    ):  # asked before, perhaps by the run that this one goes on with
        return
    here = pausing.step or run_entry.step
    if here is None:
        return
    question = plain(add.waiter_event) if add.waiter_event is not None else pausing.question
    if question is None:
        question = {"event": getattr(add.event_type, "__name__", str(add.event_type))}
        if add.requirements:
            question["requirements"] = plain(add.requirements)
    run.questions[waiter] = tracker.recorder.ask(
        here, question, native_id=_question_id(waiter, pausing.call_id)
    )


@guarded
def _gets(tracker: Tracker, answer: Any) -> None:
    _, run_entry, run = _place(tracker)
    waiter = _settled()
    if run_entry is None or run is None or waiter is None:
        return
    question, resumed = run.questions.pop(waiter, None), run.waited.pop(waiter, None)
    if question is not None:
        tracker.recorder.answered(question, plain(answer))
    elif resumed is not None and run_entry.step is not None:
        given = {"id": resumed, "value": plain(answer), "status": None, "comment": None}
        tracker.recorder.answers(run_entry.step, [given])


@guarded
def _gives_up(tracker: Tracker) -> None:
    _, _, run = _place(tracker)
    waiter = _settled()
    question = run.questions.pop(waiter, None) if run is not None and waiter is not None else None
    if question is not None:
        tracker.recorder.end(question, "cancelled")


def _place(tracker: Tracker) -> tuple[Entry | None, Entry | None, Run | None]:
    """Give the entry that this code runs in, that of its workflow's run, and what is known of the run."""
    entry = tracker.find(active_span_id.get())
    run_entry = entry if entry is None or entry.role == "run" else entry.above("run")
    return entry, run_entry, run_entry.run if run_entry is not None else None


def _pausing(tracker: Tracker, entry: Entry) -> Entry:
    """Give the tool or step that stops to wait."""
    found = entry if entry.role in {"step", "tool"} else entry.above("step", "tool", "call") or entry
    tracker.begin_lazy(found)
    return found


def _settled() -> str | None:
    """Give the waiter whose event this step has just taken: the wait's own id may be left to LlamaIndex."""
    variable = getattr(sys.modules.get(_RESULTS), "StepWorkerStateContextVar", None)
    context = variable.get(None) if variable is not None else None
    for one in reversed(context.returns.return_values if context is not None else ()):
        if type(one).__name__ == "DeleteWaiter":
            return str(one.waiter_id)
    return None


def _question_id(waiter: str, call_id: str | None) -> str:
    return waiter if call_id is None else f"{waiter} {call_id}"


@guarded
def _waiting_in(state: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for worker in dict(getattr(state, "workers", None) or {}).values():
        for waiter in getattr(worker, "collected_waiters", None) or ():
            if waiter.resolved_event is None:
                call_id = getattr(waiter.event, "tool_id", None)
                found[str(waiter.waiter_id)] = _question_id(
                    str(waiter.waiter_id), str(call_id) if call_id is not None else None
                )
    return found


def waiting_in(state: Any) -> dict[str, str]:
    """Give the questions that a saved context holds: the ids of the waiters, and under which each was recorded."""
    return _waiting_in(state) or {}


# -- steps that return the question, and steps that are given the answer


def required(tracker: Tracker, run_entry: Entry, entry: Entry, event: Any) -> None:
    """A step gave a question as its result."""
    run, here = run_entry.run, entry.step
    if run is not None and here is not None:
        run.asked.append(tracker.recorder.ask(here, plain(event), native_id=str(entry.key)))


def responded(tracker: Tracker, run_entry: Entry, event: Any) -> None:
    """A step is given a human's answer: to the question that was asked first."""
    run = run_entry.run
    if run is None:
        return
    if run.asked:
        tracker.recorder.answered(run.asked.pop(0), plain(event))
    elif run.goes_on and run_entry.step is not None:
        given = {"id": None, "value": plain(event), "status": None, "comment": None}
        tracker.recorder.answers(run_entry.step, [given])
