"""Questions to a human and their answers: interrupts, human-in-the-loop middleware, resume (mapping.md, section 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from counterfoil_langchain.messages import plain

if TYPE_CHECKING:
    from counterfoil.recorder import Step
    from counterfoil_langchain.tracker import Entry, Tracker

__all__ = ["GO_ON", "ask_about", "let_pass", "paused", "resume_answers", "resumes"]

#: A root's memo: it was called with no input, to go on where it stopped.
GO_ON: Final = "go on"

_DECISIONS: Final = {
    "approve": "approved",
    "accept": "approved",
    "edit": "edited",
    "reject": "rejected",
    "ignore": "rejected",
    "respond": "rejected",  # the human's words stand in for the tool, which does not run
    "response": "rejected",
}


def ask_about(tracker: Tracker, entry: Entry, interrupts: Any) -> None:
    """Record each question of a GraphInterrupt, once per run, under the step that asked."""
    step = entry.step
    if step is None or not isinstance(interrupts, (list, tuple)):
        return
    for one in interrupts:
        native_id = getattr(one, "id", None) or getattr(one, "interrupt_id", None)
        value = getattr(one, "value", None)
        if not _first_time(entry, str(native_id or f"value:{value!r:.200}")):
            continue
        actions = list(_actions(value))
        if not actions:
            tracker.recorder.ask(step, plain(value), native_id=native_id)
        for index, (tool, arguments, question) in enumerate(actions):
            tracker.recorder.ask(
                step,
                question,
                native_id=_numbered(native_id, index, len(actions)),
                approval=(tool, arguments),
            )


def paused(tracker: Tracker, entry: Entry, event: Any) -> None:
    """Record the questions of a graph that stopped. Of interrupt_before and interrupt_after nothing else tells."""
    step, status = entry.step, getattr(event, "status", None)
    checkpoint = getattr(event, "checkpoint_id", None)
    if (
        step is not None
        and status in {"interrupt_before", "interrupt_after"}
        and _first_time(entry, f"checkpoint:{checkpoint}")
    ):
        tracker.recorder.ask(step, {"breakpoint": status}, native_id=checkpoint)
    ask_about(tracker, entry, getattr(event, "interrupts", None))


def let_pass(tracker: Tracker, entry: Entry, event: Any) -> None:
    """Record that who stopped at a breakpoint was told to go on: by no input at all."""
    if entry.memo == GO_ON and entry.step is not None:
        entry.memo = None
        passed = {"id": getattr(event, "checkpoint_id", None), "value": None, "status": None, "comment": None}
        tracker.recorder.answers(entry.step, [passed])


def _first_time(entry: Entry, question: str) -> bool:
    root = entry.root
    if root.asked is None:
        root.asked = set()
    if question in root.asked:
        return False
    root.asked.add(question)
    return True


def _actions(value: Any) -> Iterator[tuple[str, Any, Any]]:
    """Give (tool, arguments, question) of each action that a human is to approve."""
    if isinstance(value, Mapping):
        requests = value.get("action_requests")  # langchain's HumanInTheLoopMiddleware
        if isinstance(requests, list):
            for one in requests:
                if isinstance(one, Mapping):
                    yield (
                        str(one.get("name", one.get("action"))),
                        plain(one.get("args")),
                        one.get("description"),
                    )
            return
    for one in value if isinstance(value, list) else [value]:
        request = (
            one.get("action_request") if isinstance(one, Mapping) else None
        )  # langgraph's HumanInterrupt
        if isinstance(request, Mapping):
            yield str(request.get("action")), plain(request.get("args")), one.get("description")


def _numbered(native_id: str | None, index: int, count: int) -> str | None:
    return native_id if native_id is None or count == 1 else f"{native_id}:{index}"


def resumes(inputs: Any, metadata: Mapping[str, Any] | None) -> bool:
    """Tell whether a root's input continues a paused run: Command(resume=...), or None in a thread."""
    if inputs is None:
        return bool(metadata) and metadata.get("thread_id") is not None  # type: ignore[union-attr]  # not None here
    return type(inputs).__name__ == "Command" and getattr(inputs, "resume", None) is not None


def resume_answers(tracker: Tracker, root: Step, resume: Any) -> None:
    """Record the answers that a resuming run brought along."""
    # As langgraph tells them: a dict whose keys are all interrupt ids answers each by its own.
    if isinstance(resume, dict) and resume and all(_is_interrupt_id(key) for key in resume):
        answers = [answer for key, value in resume.items() for answer in _answers(key, value)]
    else:
        answers = list(_answers(None, resume))
    tracker.recorder.answers(root, answers)


def _answers(native_id: str | None, value: Any) -> Iterator[dict[str, Any]]:
    decisions = value.get("decisions") if isinstance(value, Mapping) else value
    if isinstance(decisions, list) and decisions and all(_is_decision(one) for one in decisions):
        for index, one in enumerate(decisions):
            yield {
                "id": _numbered(native_id, index, len(decisions)),
                "value": plain(one.get("edited_action", one.get("args", one.get("message")))),
                "status": _DECISIONS[one["type"]],
                "comment": _comment(one),
            }
    else:
        yield {"id": native_id, "value": plain(value), "status": None, "comment": None}


def _is_decision(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("type") in _DECISIONS


def _comment(decision: Mapping[str, Any]) -> str | None:
    said = decision.get("message", decision.get("args"))
    return said if isinstance(said, str) else None


def _is_interrupt_id(key: Any) -> bool:
    return isinstance(key, str) and len(key) == 32 and all(one in "0123456789abcdef" for one in key)
