"""Questions to humans, and their answers (mapping.md, section 4)."""

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Self

from counterfoil.guard import guarded
from counterfoil_crewai.messages import plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from counterfoil.patches import Patches
    from counterfoil.recorder import Step
    from counterfoil_crewai.tracker import Entry, Tracker

__all__ = ["answered", "asked", "giving", "left_open", "resuming", "wrap"]

#: The answer of an agent's that a human is to judge in this context.
_answer: Final[ContextVar[Any]] = ContextVar("counterfoil_crewai_answer", default=None)


# -- @human_feedback and flow.ask(): two events, which are no scope


def asked(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as all handlers are called
    """A flow asks a human."""
    entry = tracker.standing(event.parent_event_id)
    if entry is None or entry.step is None or _question_of(event) in tracker.questions:
        return
    question = {"message": event.message}
    for key in ("output", "emit", "metadata"):
        if getattr(event, key, None):
            question[key] = plain(getattr(event, key))
    tracker.questions[_question_of(event)] = tracker.recorder.ask(
        entry.step, question, native_id=event.event_id
    )


def answered(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
    """A human has answered, or the time for it is over."""
    step = tracker.questions.pop(_question_of(event), None)
    if step is None:
        return
    answer = event.feedback if hasattr(event, "feedback") else event.response
    if answer is None:
        tracker.recorder.end(step, "cancelled")
    else:
        tracker.recorder.answered(step, answer)


def _question_of(event: Any) -> tuple[str, str]:
    return str(event.parent_event_id), event.type.rpartition("_")[0]


# -- a flow that stops until a human answers, and goes on in another run


def left_open(tracker: Tracker, entry: Entry, event: Any) -> None:
    """A method stopped for feedback; CrewAI tells of the question only by this."""
    if entry.step is not None and not any(one.kind == "human" for one in entry.step.children):
        question: dict[str, Any] = {"message": event.message}
        if event.emit:
            question["emit"] = list(event.emit)
        tracker.recorder.ask(entry.step, question, native_id=f"{event.flow_id}:{event.method_name}")


def resuming(flow: Any) -> dict[str, Any] | None:
    """Give what a flow that goes on after a pause was answered, else None."""
    pending = getattr(flow, "_pending_feedback_context", None)
    if pending is None:
        return None
    return {
        "id": f"{pending.flow_id}:{pending.method_name}",
        "value": _given.get(),
        "status": None,
        "comment": None,
    }


#: The feedback that a flow was resumed with in this context.
_given: Final[ContextVar[Any]] = ContextVar("counterfoil_crewai_given", default=None)


def giving(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Wrap `Flow.resume_async`, so that it is known what a paused flow goes on with."""

    @functools.wraps(original)
    async def resume(self: Any, feedback: str = "") -> Any:
        token = _given.set(feedback)
        try:
            return await original(self, feedback)
        finally:
            _given.reset(token)

    return resume


# -- `human_input=True`: CrewAI sends no event (1.15.30)


@guarded
def wrap(patches: Patches, trackers: Callable[[], Iterable[Tracker]]) -> None:
    """Have CrewAI tell of each question and answer."""
    # Where a version of CrewAI has none of these, only such questions are missed.
    from crewai.agents.agent_executor import AgentExecutor  # noqa: PLC0415  # see above
    from crewai.core.providers.human_input import SyncHumanInputProvider  # noqa: PLC0415  # see above

    for owner, name, wrapped in (
        (SyncHumanInputProvider, "_prompt_input", _asking),  # CrewAI asks nowhere else
        (SyncHumanInputProvider, "_prompt_input_async", _asking_async),
        (AgentExecutor, "_handle_human_feedback", _judging),  # there the answer is known
        (AgentExecutor, "_ahandle_human_feedback", _judging_async),
    ):
        made: Any = wrapped(getattr(owner, name), trackers)
        patches.replace(owner, name, staticmethod(made) if owner is SyncHumanInputProvider else made)


class _Asked:
    """A question that waits in each store. A context manager: left without an answer, it was cancelled."""

    def __init__(self, trackers: Iterable[Tracker], question: Any) -> None:
        self._steps: list[tuple[Tracker, Step]] = []
        self._ask(trackers, question)

    @guarded
    def _ask(self, trackers: Iterable[Tracker], question: Any) -> None:
        for tracker in trackers:
            place = tracker.current()
            if place is not None:
                self._steps.append((tracker, tracker.recorder.ask(place, question)))

    @guarded
    def answered(self, answer: Any) -> None:
        for tracker, step in self._steps:
            tracker.recorder.answered(step, plain(answer))
        self._steps = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cancel()

    @guarded
    def _cancel(self) -> None:
        for tracker, step in self._steps:
            tracker.recorder.end(step, "cancelled")


def _asking(
    original: Callable[[Any], str], trackers: Callable[[], Iterable[Tracker]]
) -> Callable[[Any], str]:
    @functools.wraps(original)
    def prompt(crew: Any) -> str:
        with _Asked(trackers(), _answer.get()) as question:
            said = original(crew)
            question.answered(said)
            return said

    return prompt


def _asking_async(
    original: Callable[[Any], Awaitable[str]], trackers: Callable[[], Iterable[Tracker]]
) -> Callable[[Any], Awaitable[str]]:
    @functools.wraps(original)
    async def prompt(crew: Any) -> str:
        with _Asked(trackers(), _answer.get()) as question:
            said = await original(crew)
            question.answered(said)
            return said

    return prompt


def _judging(
    original: Callable[[Any, Any], Any], trackers: Callable[[], Iterable[Tracker]]
) -> Callable[[Any, Any], Any]:
    @functools.wraps(original)
    def judge(self: Any, formatted_answer: Any) -> Any:
        token = _answer.set(_said_by(formatted_answer))
        try:
            with _Asked(_of_another_way(trackers), _answer.get()) as question:
                final = original(self, formatted_answer)
                question.answered(getattr(final, "output", None))
                return final
        finally:
            _answer.reset(token)

    return judge


def _judging_async(
    original: Callable[[Any, Any], Awaitable[Any]], trackers: Callable[[], Iterable[Tracker]]
) -> Callable[[Any, Any], Awaitable[Any]]:
    @functools.wraps(original)
    async def judge(self: Any, formatted_answer: Any) -> Any:
        token = _answer.set(_said_by(formatted_answer))
        try:
            with _Asked(_of_another_way(trackers), _answer.get()) as question:
                final = await original(self, formatted_answer)
                question.answered(getattr(final, "output", None))
                return final
        finally:
            _answer.reset(token)

    return judge


@guarded
def _said_by(answer: Any) -> Any:
    return {"answer": plain(getattr(answer, "output", None))}


def _of_another_way(trackers: Callable[[], Iterable[Tracker]]) -> Iterable[Tracker]:
    """Give whom to tell of a provider of the user's, whose questions are its own: one for all of it."""
    from crewai.core.providers import human_input  # noqa: PLC0415  # as above

    return () if isinstance(human_input.get_provider(), human_input.SyncHumanInputProvider) else trackers()
