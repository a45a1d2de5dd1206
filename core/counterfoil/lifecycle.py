"""How a step goes, from its start to its end, and a handoff, from asked to answered, as they are recorded.

What else there is to say about a step stands in `recorder.py`, on top of this.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from counterfoil import handoffs, ids, wrapped
from counterfoil.events import STEP_KINDS, STEP_STATUSES, Message, Text, Usage
from counterfoil.guard import guarded, report
from counterfoil.handoffs import Handoff
from counterfoil.pen import UNSET, Pen, each
from counterfoil.snapshot import Taken, count_of, text_of
from counterfoil.steps import PYTHON, Step, raised_here, status_of
from counterfoil.turns import Turn
from counterfoil.wrapped import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from counterfoil.redact import Redactor

__all__ = ["Lifecycle"]

#: Names are kept in memory too, and looked up: no longer than this.
NAME_CHARS: Final = 1_000

_USAGE: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "audio_tokens",
)
_KINDS: Final = frozenset(STEP_KINDS)
_STATUSES: Final = frozenset(STEP_STATUSES) - {"running"}


class Lifecycle:
    """Records steps and handoffs to the store at `path`."""

    def __init__(self, path: str, *, capture: str = "full", redactors: Iterable[Redactor] = ()) -> None:
        self.path: Final = path
        self._pen: Final = Pen(path, capture, redactors)
        self._put: Final = self._pen.put

    # -- steps

    def start(
        self,
        kind: str,
        name: str,
        *,
        framework: str,
        parent: Step | None = None,
        under: tuple[str, str] | None = None,
        agent: str | None = None,
        input: Any = UNSET,  # noqa: A002  # the column's name
        messages: Sequence[Message | Taken] | None = None,
        offers: Sequence[Any] | None = None,
        native_id: str | None = None,
        call_id: str | None = None,
        provider: str | None = None,
        request_model: str | None = None,
        evidence: str = "native",
        task: str | None = None,
        session: str | None = None,
        labels: Mapping[str, str] | None = None,
        version: str | None = None,
        owner: str | None = None,
        internal: bool = False,
        resuming: bool = False,
        questions: Iterable[str] = (),
        aliases: tuple[str, ...] = (),
        t: int | None = None,
    ) -> Step:
        """Record that a step of `kind` begins; give the handle that `end` takes.

        Without `parent` it is the root of a new run, unless `under` names (run_id, step_id) of a step in another
        process. A parent that has ended stands for the nearest above it that is open, else for its root; an agent
        or a workflow whose root has ended is the root of a new run. `agent` is the name of the agent whose turn it
        is: by default that of the nearest agent step above. `resuming` tells that it goes on with a run that waits for
        a human, `questions` by which native ids it knows what that one asked. `messages` are the chat messages of the input, `input`
        is all else of it. `offers` are the tool definitions a model could choose from.
        """
        if parent is None:
            self._pen.warm()  # before the clock is read: our own start is no part of the run
        now = ids.now_ns() if t is None else t
        kind, name = _kind(kind), _name(name)
        call_id, native_id = _id(call_id), _id(native_id)
        if parent is not None and not parent.open:
            standing = parent.standing()
            parent = standing if standing.open or kind not in {"agent", "workflow"} else None
        if parent is not None:
            run_id, above = parent.run_id, parent.step_id
        elif under is not None:
            run_id, above = under
        else:
            run_id, above = ids.run_id(), None
        step = Step(self.path, run_id, ids.step_id(), parent, kind, name, framework, now)
        step.aliases = aliases
        step.call_id = call_id
        step.native_id = native_id
        if parent is not None:
            parent.children.add(step)
            step.turn, step.turn_step, step.agent = parent.turn, parent.turn_step, parent.agent
        if agent is not None:
            step.agent = _name(agent)
        if kind == "agent":
            step.agent, step.turn, step.turn_step = step.agent if agent is not None else name, Turn(), step
        if kind == "tool" and step.turn is not None:
            choice = step.turn.chose(call_id=call_id, tool=name)
            if choice is not None:
                step.decided, step.decided_evidence, step.said = choice
        head: dict[str, Any] = {
            "k": "start",
            "t": now,
            "run": run_id,
            "step": step.step_id,
            "kind": kind,
            "evidence": evidence,
        }
        if above is not None:
            head["parent"] = above
        if kind == "human":
            head["status"] = "waiting"
        if step.decided is not None:
            head["decided"] = step.decided
            head["decided_evidence"] = step.decided_evidence
        if resuming:
            head["resuming"] = True
        if internal:
            head["internal"] = True
        text = Text(
            name=name,
            agent=step.agent,
            framework=framework,
            native_id=native_id,
            call_id=call_id,
            task=task,
            session=session,
            labels=_labels(labels) if labels is not None else None,
            version=version,
            owner=owner,
            questions=[str(_id(one)) for one in questions] if questions else None,
            provider=provider,
            request_model=request_model,
        )
        said = each(messages) if messages else ()
        taken = self._put(head, text, step=step, body=input, part="input", messages=said, offers=offers)
        if kind == "tool":
            step.arguments_json = taken
        elif kind == "agent":
            self._settle(handoffs.agent_started, step)
        if resuming and parent is not None:
            self._resume_around(parent, now)
        return step

    def _resume_around(self, step: Step, now: int) -> None:
        """Say of the run that it resumes another one, where all that stands above is `counterfoil.run` and its steps."""
        above = [step, *step.above()]
        if all(one.framework == PYTHON for one in above):
            root = above[-1]
            self._put(
                {"k": "amend", "t": now, "run": root.run_id, "step": root.step_id, "resuming": True}, None
            )

    @guarded
    def amend(
        self,
        step: Step,
        *,
        kind: str | None = None,
        name: str | None = None,
        agent: str | None = None,
        evidence: str | None = None,
        session: str | None = None,
        labels: Mapping[str, str] | None = None,
        stop_reason: str | None = None,
        aliases: tuple[str, ...] | None = None,
        internal: bool | None = None,
    ) -> None:
        """Record a fact about `step` that became known after its start. A step may turn out to be an agent's turn."""
        if aliases is not None:
            step.aliases = aliases
        if name is not None:
            step.name = name = _name(name)
        became_agent = kind == "agent" and step.kind != "agent"
        if kind is not None:
            step.kind = kind = _kind(kind)
        if became_agent:
            agent = agent or step.name
            step.turn, step.turn_step = Turn(), step
        if agent is not None:
            step.agent = agent = _name(agent)
        text = Text(
            name=name,
            agent=agent,
            session=session,
            labels=_labels(labels) if labels is not None else None,
            stop_reason=stop_reason,
        )
        self._put(
            {
                "k": "amend",
                "t": ids.now_ns(),
                "run": step.run_id,
                "step": step.step_id,
                "kind": kind,
                "evidence": evidence,
                "internal": internal,
            },
            text,
        )
        if became_agent:
            handoffs.agent_started(self, step)

    @guarded
    def end(
        self,
        step: Step,
        status: str = "ok",
        *,
        output: Any = UNSET,
        messages: Sequence[Message | Taken] | None = None,
        usage: Usage | None = None,
        model: str | None = None,
        provider: str | None = None,
        response_id: str | None = None,
        finish_reason: str | None = None,
        cached: bool = False,
        ttft_ns: int | None = None,
        error: BaseException | None = None,
        error_type: str | None = None,
        error_message: str | None = None,
        stop_reason: str | None = None,
        cost_nano: int | None = None,
        price_source: str | None = None,
        t: int | None = None,
    ) -> None:
        """Record that `step` ended with `status`. Its children that are open are closed as `cancelled` first.

        An `error` is told at the deepest step that it is passed for; the steps above have the status alone.
        A late end of a step that was closed with its parent counts. What a forked child says of the end of a step
        that its parent began counts only where the parent is gone.
        """
        now = ids.now_ns() if t is None else t
        if step.children:
            self._close_children(step, now)
        if step.inherited and os.getppid() == step.pid:
            return
        if error is not None and raised_here(step, error):
            error_type = error_type or type(error).__name__
            error_message = text_of(error) if error_message is None else error_message
        was_open = step.open
        step.open = False
        if step.parent is not None:
            step.parent.children.discard(step)
        head: dict[str, Any] = {
            "k": "close" if step.inherited else "end",
            "t": now,
            "run": step.run_id,
            "step": step.step_id,
            "status": _status(status),
        }
        if cached:
            head["cached"] = True
        if ttft_ns is not None:
            head["ttft_ns"] = count_of(ttft_ns)
        if cost_nano is not None:
            head["cost_nano"] = count_of(cost_nano)
        text = Text(
            model=model,
            provider=provider,
            response_id=response_id,
            finish_reason=finish_reason,
            error_type=error_type,
            error_message=error_message,
            stop_reason=stop_reason,
            price_source=price_source,
        )
        raw = None if usage is None else _add_usage(head, text, usage)
        said = each(messages) if messages else ()
        if step.kind == "llm":
            told = _told(head, response_id, said)
            folded = wrapped.counted(step, told)
            if folded is not None:
                head["folded_into"] = step.counts = folded
                told = told._replace(step_id=folded)
            wrapped.note(step, told)
            if said and step.turn is not None:
                step.turn.add(told.step_id, said)
        self._put(
            head,
            text,
            step=step,
            output=True,
            body=output,
            part="output",
            messages=said,
            usage=UNSET if raw is None else raw,
        )
        if was_open and (step.asked or step.returns or step.pending):
            self._settle_all(step, status, Taken(said[-1]) if said else output)

    def fail(self, step: Step, error: BaseException, **said: Any) -> None:
        """Record that `step` ended by `error`: an error, cancelled, or an exit; `said` as for `end`."""
        status = said.pop("status", None) or status_of(error)
        self.end(step, status, error=error if status == "error" else None, **said)

    def _close_children(self, step: Step, now: int) -> None:
        children = step.children
        for child in sorted(children, key=_started, reverse=True):
            children.discard(child)
            # A question outlives the code that asked it, and what was begun before a fork is not ours to end.
            if not child.open or child.kind == "human" or child.inherited:
                continue
            self._close_children(child, now)
            child.open = False
            if child.kind == "llm":
                wrapped.note(child, Told(child.step_id, "cancelled"))
            self._put(
                {"k": "close", "t": now, "run": child.run_id, "step": child.step_id, "status": "cancelled"},
                None,
            )
            self._settle_all(child, "cancelled")

    def _settle_all(self, step: Step, status: str, answer: Any = UNSET) -> None:
        if step.asked and step.kind in {"tool", "agent"}:
            self._settle(handoffs.tool_ended, step, status, answer)
        if step.returns:
            self._settle(handoffs.agent_ended, step, status, answer)
        if step.pending:
            self._settle(handoffs.workflow_ended, step, status)

    def _settle(self, rule: Callable[..., None], *args: Any) -> None:
        try:
            rule(self, *args)
        except Exception as error:
            report(f"{rule.__module__}.{rule.__qualname__}", error)

    # -- handoffs

    def handoff(
        self,
        mode: str,
        *,
        target: str,
        source: str | None = None,
        step: Step | None = None,
        status: str = "requested",
        target_asked: str | None = None,
        target_type: str = "agent",
        coordinator: str | None = None,
        reason: str | None = None,
        payload: Any = UNSET,
        refused_by: str | None = None,
        error_message: str | None = None,
        evidence: str = "native",
        decided: str | None = None,
        decided_evidence: str | None = None,
        target_step: Step | None = None,
        holder: Step | None = None,
        t: int | None = None,
    ) -> Handoff:
        """Record that `source` asks or passes control to `target`; `step` is the step that asked.

        `source` and `decided` default to those of `step`. A `transfer` waits in the workflow around it for the
        target's turn to start; an `escalation` of a tool call for the tool's sub-agent.
        """
        target = _name(target)
        if source is None and step is not None:
            source = step.agent
        if decided is None and step is not None:
            decided, decided_evidence = step.decided, step.decided_evidence
        made = Handoff(ids.item_id(), step, mode, source, target, evidence)
        place = step or holder or target_step
        text = Text(
            source=source,
            target=target,
            target_asked=target_asked or target,
            coordinator=coordinator,
            reason=reason,
            error_message=error_message,
            framework=place.framework if place is not None else None,
        )
        head = {
            "k": "handoff",
            "t": ids.now_ns() if t is None else t,
            "run": place.run_id if place is not None else None,
            "step": step.step_id if step is not None else None,
            "handoff": made.handoff_id,
            "mode": mode,
            "status": "requested",
            "target_type": target_type,
            "evidence": evidence,
            "decided": decided,
            "decided_evidence": decided_evidence,
            "target_step": target_step.step_id if target_step is not None else None,
        }
        made.status = "requested"
        made.target_step = target_step
        self._put(head, text, body=UNSET if payload is None else payload, part="payload")
        if step is not None and status == "requested" and target_step is None:
            _await(made, step, holder)
        if status != "requested":
            self.advance(made, status, target_step=target_step, refused_by=refused_by)
        return made

    @guarded
    def advance(
        self,
        handoff: Handoff,
        status: str,
        *,
        mode: str | None = None,
        target: str | None = None,
        target_type: str | None = None,
        target_step: Step | None = None,
        evidence: str | None = None,
        refused_by: str | None = None,
        answer: Any = UNSET,
        error_message: str | None = None,
        t: int | None = None,
    ) -> None:
        """Record the next status of `handoff`, and what has become known with it."""
        handoff.status = status
        if mode is not None:
            handoff.mode = mode
        if target is not None:
            handoff.target = target = _name(target)
        if target_step is not None:
            handoff.target_step = target_step
        place = handoff.step or handoff.target_step
        self._put(
            {
                "k": "handoff",
                "t": ids.now_ns() if t is None else t,
                "run": place.run_id if place is not None else None,
                "step": handoff.step.step_id if handoff.step is not None else None,
                "handoff": handoff.handoff_id,
                "mode": mode,
                "status": status,
                "target_type": target_type,
                "evidence": evidence,
                "refused_by": refused_by,
                "target_step": target_step.step_id if target_step is not None else None,
            },
            Text(target=target, error_message=error_message) if target or error_message else None,
            body=answer,
            part="answer",
        )


def _await(made: Handoff, step: Step, holder: Step | None) -> None:
    """Put a handoff where the start of its target will look for it."""
    if made.mode == "escalation":
        asker = step if step.kind in {"tool", "agent"} else step.turn_step
        if asker is not None:
            asker.asked.append(made)
        return
    (holder or step.holder).pending.append(made)
    if step.turn_step is not None:
        step.turn_step.handed_on = True


def _told(head: Mapping[str, Any], response_id: str | None, said: Sequence[bytes]) -> Told:
    return Told(
        head["step"],
        head["status"],
        response_id,
        head.get("input_tokens"),
        head.get("output_tokens"),
        said,
        head.get("cached", False),
    )


def _started(step: Step) -> int:
    return step.started_ns


def _name(name: Any) -> str:
    return name if type(name) is str and len(name) <= NAME_CHARS else text_of(name, NAME_CHARS)


def _id(value: Any) -> str | None:
    return value if value is None or type(value) is str else text_of(value, NAME_CHARS)


def _kind(kind: Any) -> str:
    # The head of an event is hashed and stays for ever: no free string may enter it.
    if type(kind) is str and kind in _KINDS:
        return kind
    report("the kind of a step", ValueError(f"{text_of(kind, 100)!r} is none of {', '.join(STEP_KINDS)}"))
    return "other"


def _status(status: Any) -> str:
    if type(status) is str and status in _STATUSES:
        return status
    report(
        "the status of a step",
        ValueError(f"{text_of(status, 100)!r} is none of {', '.join(sorted(_STATUSES))}"),
    )
    return "ok"


@guarded
def _labels(labels: Mapping[str, str]) -> dict[str, str] | None:
    return dict(labels) or None


@guarded
def _add_usage(head: dict[str, Any], text: Text, usage: Usage) -> Any:
    """Put the numbers of `usage` into `head`; give the framework's own usage object."""
    for name in _USAGE:
        count = getattr(usage, name)
        if count is not None:
            head[name] = count_of(count)
    text.usage_source = usage.source
    return usage.raw
