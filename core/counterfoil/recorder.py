"""What adapters call: start, end, handoff, access, decision, score. One recorder per store and process.

Everything runs in the host's own thread and ends in one write(2). No SQLite, no lock that another process can
hold, no live object kept. Nothing here raises: what fails is counted and shown by `counterfoil doctor`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from counterfoil import context, handoffs, ids
from counterfoil.events import Item, Message, Text, Usage
from counterfoil.guard import guarded, listen, report
from counterfoil.handoffs import Handoff
from counterfoil.pen import UNSET, Pen, on_new_tape
from counterfoil.redact import Redactor
from counterfoil.snapshot import text_of
from counterfoil.steps import Step
from counterfoil.turns import Turn

__all__ = [
    "UNSET",
    "Handoff",
    "Item",
    "Recorder",
    "Step",
    "Usage",
    "all_recorders",
    "on_first_event",
    "recorder_at",
    "store_path",
]


class Recorder:
    """Records to the store at `path`. Get one from `recorder_at`.

    `capture` is `full`, or `metadata`: no content at all, only names, ids, times, tokens and statuses.
    """

    def __init__(self, path: str, *, capture: str = "full", redactors: Iterable[Redactor] = ()) -> None:
        self.path: Final = path
        self._pen: Final = Pen(path, capture, redactors)
        self._put: Final = self._pen.put

    # -- steps

    @guarded
    def _start(self, step: Step, head: dict[str, Any], text: Text, content: dict[str, Any]) -> None:
        self._put(head, text, step=step, output=False, **content)

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
        messages: Sequence[Message] | None = None,
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
        aliases: tuple[str, ...] = (),
        t: int | None = None,
    ) -> Step:
        """Record that a step of `kind` begins; give the handle that `end` takes.

        Without `parent` it is the root of a new run, unless `under` names (run_id, step_id) of a step in another
        process. `agent` is the name of the agent whose turn it is: by default that of the nearest agent step above. `messages` are the
        chat messages of the input, `input` is all else of it. `offers` are the tool definitions a model could choose from.
        """
        now = ids.now_ns() if t is None else t
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
            if parent.children is None:
                parent.children = set()
            parent.children.add(step)
            step.turn, step.turn_step, step.agent = parent.turn, parent.turn_step, parent.agent
        if agent is not None:
            step.agent = agent
        if kind == "agent":
            step.agent, step.turn, step.turn_step = agent or name, Turn(), step
        decided_evidence = None
        if kind == "tool":
            if self._pen.capture == "full":
                step.arguments = _arguments(input)
            choice = step.turn.chose(call_id=call_id, tool=name) if step.turn is not None else None
            if choice is not None:
                step.decided, decided_evidence, step.said = choice
        head = {
            "k": "start",
            "t": now,
            "run": run_id,
            "step": step.step_id,
            "parent": above,
            "kind": kind,
            "status": "waiting" if kind == "human" else None,
            "evidence": evidence,
            "decided": step.decided,
            "decided_evidence": decided_evidence,
            "resuming": resuming or None,
            "internal": internal or None,
        }
        text = Text(
            name=name,
            agent=step.agent,
            framework=framework,
            native_id=native_id,
            call_id=call_id,
            task=task,
            session=session,
            labels=dict(labels) if labels else None,
            version=version,
            owner=owner,
            provider=provider,
            request_model=request_model,
        )
        self._start(step, head, text, {"body": input, "part": "input", "messages": messages, "offers": offers})
        if kind == "agent":
            self._guarded_rule(handoffs.agent_started, step)
        return step

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
            step.name = name
        became_agent = kind == "agent" and step.kind != "agent"
        if kind is not None:
            step.kind = kind
        if became_agent:
            agent = agent or step.name
            step.turn, step.turn_step = Turn(), step
        if agent is not None:
            step.agent = agent
        text = Text(name=name, agent=agent, session=session, labels=dict(labels) if labels else None, stop_reason=stop_reason)
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
        messages: Sequence[Message] | None = None,
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

        Pass `error` only where the exception was raised deepest: its ancestors have the status alone.
        A late end of a step that was closed with its parent counts.
        """
        if error is not None:
            error_type = error_type or type(error).__name__
            error_message = text_of(error) if error_message is None else error_message
        now = ids.now_ns() if t is None else t
        self._close_children(step, now)
        was_open = step.open
        step.open = False
        parent = step.parent
        if parent is not None and parent.children:
            parent.children.discard(step)
        head: dict[str, Any] = {
            "k": "end",
            "t": now,
            "run": step.run_id,
            "step": step.step_id,
            "status": status,
            "cached": cached or None,
            "ttft_ns": ttft_ns,
            "cost_nano": cost_nano,
        }
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
        raw: Any = UNSET
        if usage is not None:
            head["input_tokens"] = usage.input_tokens
            head["output_tokens"] = usage.output_tokens
            head["cache_read_tokens"] = usage.cache_read_tokens
            head["cache_write_tokens"] = usage.cache_write_tokens
            head["reasoning_tokens"] = usage.reasoning_tokens
            head["audio_tokens"] = usage.audio_tokens
            text.usage_source = usage.source
            if usage.raw is not None:
                raw = usage.raw
        if step.kind == "llm" and messages and step.turn is not None:
            step.turn.add(step.step_id, list(messages))
        self._put(head, text, step=step, output=True, body=output, part="output", messages=messages, usage=raw)
        if was_open:
            self._settle(step, status)

    def _settle(self, step: Step, status: str) -> None:
        if step.asked and step.kind in {"tool", "agent"}:
            self._guarded_rule(handoffs.tool_ended, step, status)
        if step.returns:
            self._guarded_rule(handoffs.agent_ended, step, status)
        if step.pending:
            self._guarded_rule(handoffs.workflow_ended, step)

    def _close_children(self, step: Step, now: int) -> None:
        children = step.children
        if not children:
            return
        step.children = None
        for child in sorted(children, key=lambda one: one.started_ns, reverse=True):
            if not child.open or child.kind == "human":  # a question outlives the code that asked it
                continue
            self._close_children(child, now)
            child.open = False
            self._put(
                {"k": "close", "t": now, "run": child.run_id, "step": child.step_id, "status": "cancelled"}, None
            )
            self._settle(child, "cancelled")

    def _guarded_rule(self, rule: Callable[..., None], *args: Any) -> None:
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
        if source is None and step is not None:
            source = step.agent
        if decided is None and step is not None:
            decided = step.decided
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
        self._write_handoff(head, text, payload)
        if step is not None and status == "requested" and target_step is None:
            self._await(made, step, holder)
        if status != "requested":
            self.advance(made, status, target_step=target_step, refused_by=refused_by)
        return made

    def _await(self, made: Handoff, step: Step, holder: Step | None) -> None:
        if made.mode == "escalation":
            asker = step if step.kind in {"tool", "agent"} else step.turn_step
            if asker is not None:
                asker.asked = [*(asker.asked or ()), made]
            return
        around = holder or step.holder
        around.pending = [*(around.pending or ()), made]
        if step.turn_step is not None:
            step.turn_step.handed_on = True

    @guarded
    def _write_handoff(self, head: dict[str, Any], text: Text, payload: Any) -> None:
        self._put(head, text, body=payload, part="payload")

    @guarded
    def advance(
        self,
        handoff: Handoff,
        status: str,
        *,
        mode: str | None = None,
        target: str | None = None,
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
            handoff.target = target
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
                "evidence": evidence,
                "refused_by": refused_by,
                "target_step": target_step.step_id if target_step is not None else None,
            },
            Text(target=target, error_message=error_message) if target or error_message else None,
            body=answer,
            part="answer",
        )

    # -- humans

    def ask(
        self,
        parent: Step,
        question: Any,
        *,
        name: str = "human",
        native_id: str | None = None,
        approval: tuple[str, Any] | None = None,
    ) -> Step:
        """Record that a human is asked; give the `human` step, which waits until `answered` or a resuming run.

        With `approval` (tool, arguments) the question is whether one action may happen: an approvals row. Else it is an
        escalation to a human: a handoff.
        """
        step = self.start(
            "human",
            name,
            framework=parent.framework,
            parent=parent,
            input=question,
            native_id=native_id,
        )
        if approval is not None:
            self._approval(step, approval)
        else:
            made = self.handoff(
                "escalation",
                target=name,
                step=parent,
                target_type="human",
                payload=question,
                target_step=step,
            )
            step.returns = [made]
        return step

    @guarded
    def _approval(self, step: Step, approval: tuple[str, Any]) -> None:
        tool, arguments = approval
        self._put(
            {
                "k": "approval",
                "t": step.started_ns,
                "run": step.run_id,
                "step": step.step_id,
                "item": step.step_id,
                "status": "waiting",
            },
            Text(name=tool, agent=step.agent, native_id=step.native_id),
            body=arguments,
            part="payload",
        )

    @guarded
    def answered(
        self,
        step: Step,
        answer: Any = UNSET,
        *,
        approval: str | None = None,
        by: str | None = None,
        comment: str | None = None,
    ) -> None:
        """Record a human's answer; `approval` is `approved`, `edited`, `rejected` or `expired`."""
        if approval is not None:
            self._put(
                {
                    "k": "approval",
                    "t": ids.now_ns(),
                    "run": step.run_id,
                    "step": step.step_id,
                    "item": step.step_id,
                    "status": approval,
                },
                Text(answered_by=by, comment=comment),
            )
        self.end(step, output=answer)

    @guarded
    def answers(self, root: Step, answers: Sequence[Mapping[str, Any]]) -> None:
        """Record what a resuming run brought for the human steps of the run that it resumes.

        Each has `id` (native id of the question, or None: in order), `value`, and for an approval
        `status` and `comment`. Which run is resumed is found when the tape is read.
        """
        body = [
            {
                "id": one.get("id"),
                "value": one.get("value"),
                "status": one.get("status"),
                "comment": one.get("comment"),
            }
            for one in answers
        ]
        self._put(
            {"k": "answer", "t": ids.now_ns(), "run": root.run_id, "step": root.step_id},
            None,
            body=body,
            part="answer",
        )

    # -- what else there is to say about a step

    @guarded
    def access(
        self,
        step: Step,
        source: str,
        *,
        query: str | None = None,
        items: Sequence[Item] = (),
        size: int | None = None,
    ) -> None:
        """Record that data was read: `source`, each item's id and score, or `size` in bytes where there are none."""
        body: Any = UNSET
        if items:
            # Ids say what was read, not what it says: they stand in metadata too.
            body = [dict(zip(Item._fields, item, strict=True)) for item in items]
        self._put(
            {"k": "access", "t": ids.now_ns(), "run": step.run_id, "step": step.step_id, "bytes": size},
            Text(source=source, agent=step.agent, query=query),
            body=body,
            part="items",
        )

    @guarded
    def decision(
        self,
        step: Step,
        *,
        action: str,
        resource: str,
        verdict: str,
        rule: str | None = None,
        reason: str | None = None,
        policy: str | None = None,
        policy_version: str | None = None,
        call_id: str | None = None,
        enforced: bool = True,
    ) -> None:
        """Record what a policy said about an action before it happened: `allow`, `deny` or `ask`."""
        self._put(
            {
                "k": "decision",
                "t": ids.now_ns(),
                "run": step.run_id,
                "step": step.step_id,
                "item": ids.item_id(),
                "verdict": verdict,
                "enforced": enforced,
            },
            Text(
                agent=step.agent,
                call_id=call_id,
                action=action,
                resource=resource,
                rule=rule,
                reason=reason,
                policy=policy,
                policy_version=policy_version,
            ),
        )

    @guarded
    def score(
        self,
        step: Step,
        name: str,
        value: float | None = None,
        *,
        label: str | None = None,
        source: str = "user",
        comment: str | None = None,
    ) -> None:
        """Record a judgement of `step`, or of its run if it is the root."""
        self._put(
            {"k": "score", "t": ids.now_ns(), "run": step.run_id, "step": step.step_id, "value": value},
            Text(name=name, label=label, source=source, comment=comment),
        )

    def here(self) -> Step | None:
        """Give the innermost open step of this context that is recorded to this store."""
        place = context.current(self.path)
        return place if isinstance(place, Step) else None

    def trouble(self, place: str, error: BaseException, count: int) -> None:
        """Record an error of our own, for `counterfoil doctor`."""
        self._put(
            {"k": "trouble", "t": ids.now_ns(), "count": count},
            Text(place=place, error_type=type(error).__name__, error_message=text_of(error)),
        )

    # -- the pen

    def restrict(self) -> None:
        """Record no content from now on: names, ids, times, tokens and statuses alone."""
        self._pen.capture = "metadata"

    def add_redactors(self, redactors: Iterable[Redactor]) -> None:
        """Take out more, for the whole process from now on."""
        self._pen.add_redactors(redactors)

    @property
    def capture(self) -> str:
        """`full` or `metadata`."""
        return self._pen.capture

    @property
    def events(self) -> int:
        """How many events this process has recorded here."""
        return self._pen.events

    @property
    def dropped(self) -> int:
        """How many of them could not be put on the tape (a full disk, a folder that is gone)."""
        return self._pen.tape.dropped

    def close(self) -> None:
        """End this process's tape in good order. A later event begins another."""
        self._pen.tape.close()


def _arguments(value: Any) -> Any:
    """A tool's arguments as plain values of their own, for the reason of a handoff that may follow."""
    if isinstance(value, dict):
        return {
            str(key): item if isinstance(item, (str, int, float, bool)) else text_of(item)
            for key, item in list(value.items())[:50]
        }
    return value if isinstance(value, str) else UNSET


_recorders: dict[str, Recorder] = {}
_lock = threading.Lock()


def _in_child() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def store_path(db: str | os.PathLike[str] | None = None) -> str:
    """Give the absolute path of the store: `db`, else `$COUNTERFOIL_DB`, else `counterfoil.db` here."""
    chosen = os.fspath(db) if db is not None else os.environ.get("COUNTERFOIL_DB") or "counterfoil.db"
    return os.path.realpath(os.path.expanduser(chosen))


def recorder_at(
    db: str | os.PathLike[str] | None = None,
    *,
    capture: str | None = None,
    redactors: Iterable[Redactor] = (),
) -> Recorder:
    """Give this process's recorder for the store `db`; the same one whenever the same store is named.

    `capture="metadata"` asked for once holds; redactors add up.
    """
    if capture not in {None, "full", "metadata"}:
        raise ValueError(f"capture is 'full' or 'metadata', not {capture!r}")
    path = store_path(db)
    with _lock:
        recorder = _recorders.get(path)
        if recorder is None:
            recorder = _recorders[path] = Recorder(path)
    if capture == "metadata":
        recorder.restrict()
    if redactors:
        recorder.add_redactors(redactors)
    return recorder


def all_recorders() -> tuple[Recorder, ...]:
    """Give every recorder of this process."""
    return tuple(_recorders.values())


def on_first_event(attend: Callable[[Recorder], None]) -> None:
    """Have `attend(recorder)` called when a recorder begins a tape: at its first event in each process."""

    def began(path: str) -> None:
        attend(_recorders[path])

    on_new_tape(began)


def _note_trouble(place: str, error: BaseException, count: int) -> None:
    for recorder in all_recorders():
        recorder.trouble(place, error, count)


listen(_note_trouble)
