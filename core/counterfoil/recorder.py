"""What adapters call: start, end, handoff, access, decision, score. One recorder per store and process.

Everything runs in the host's own thread and ends in one write(2). No SQLite, no lock that another process can
hold, no live object kept. Nothing here raises: what fails is counted and shown by `counterfoil doctor`.
"""

from __future__ import annotations

import itertools
import os
import threading
from typing import TYPE_CHECKING, Any, Final

from counterfoil import context, ids
from counterfoil.events import Item, Text, Usage
from counterfoil.guard import guarded, listen, report
from counterfoil.handoffs import Handoff
from counterfoil.lifecycle import Lifecycle
from counterfoil.pen import UNSET, on_new_tape
from counterfoil.snapshot import count_of, number_of, text_of
from counterfoil.steps import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from counterfoil.redact import Redactor

__all__ = [
    "UNSET",
    "Handoff",
    "Item",
    "Recorder",
    "Step",
    "Usage",
    "all_recorders",
    "choose_store",
    "on_first_event",
    "recorder_at",
    "store_path",
]

#: The store of whoever names none; see `choose_store`.
_chosen: str | None = None
DURABILITIES: Final = ("process", "power")
#: Of one access; more are left out.
LIMIT_ITEMS = 5_000


class Recorder(Lifecycle):
    """Records to the store at `path`. Get one from `recorder_at`.

    `capture` is `full`, or `metadata`: no content at all, only names, ids, times, tokens and statuses.
    """

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
            step.returns.append(made)
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
        body = [_item(one) for one in itertools.islice(items, LIMIT_ITEMS)] or UNSET
        self._put(
            {
                "k": "access",
                "t": ids.now_ns(),
                "run": step.run_id,
                "step": step.step_id,
                "bytes": count_of(size),
            },
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
            {
                "k": "score",
                "t": ids.now_ns(),
                "run": step.run_id,
                "step": step.step_id,
                "value": number_of(value),
            },
            Text(name=name, label=label, source=source, comment=comment),
        )

    def here(self) -> Step | None:
        """Give the innermost step of this context that is recorded to this store.

        Where that has ended: the nearest above it that is open, else the root of its run.
        """
        place = context.current(self.path)
        return place.standing() if isinstance(place, Step) else None

    def trouble(self, place: str, error: BaseException, count: int) -> None:
        """Record an error of our own, for `counterfoil doctor`."""
        self._put(
            {"k": "trouble", "t": ids.now_ns(), "count": count},
            Text(place=place, error_type=type(error).__name__, error_message=text_of(error)),
        )

    def attached(self, frameworks: Mapping[str, str]) -> None:
        """Record what this process is attached to, for `counterfoil doctor`."""
        self._put({"k": "attach", "t": ids.now_ns()}, Text(frameworks=dict(frameworks)))

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

    def outlive_power(self) -> None:
        """Return from each call, from now on, only when what it recorded outlives a loss of power."""
        self._pen.tape.outlive_power()

    @property
    def durability(self) -> str:
        """What an event outlives once the call that recorded it has returned: the end of its `process`, or `power`."""
        return self._pen.tape.durability

    @property
    def events(self) -> int:
        """How many events this process has recorded here."""
        return self._pen.events

    @property
    def in_use(self) -> bool:
        """Whether this process has recorded here, or is about to: its tape is open."""
        return self._pen.events > 0 or self._pen.tape.writer != ""

    @property
    def dropped(self) -> int:
        """How many of them could not be put on the tape (a full disk, a folder that is gone)."""
        return self._pen.dropped

    def close(self) -> None:
        """End this process's tape in good order. A later event begins another."""
        self._pen.tape.close()


def _item(item: Item) -> dict[str, Any]:
    return {
        "item_id": None if item.item_id is None else text_of(item.item_id, 1_000),
        "score": number_of(item.score),
        "bytes": count_of(item.bytes),
        "source": None if item.source is None else text_of(item.source, 1_000),
    }


_recorders: dict[str, Recorder] = {}
_lock = threading.Lock()


def _in_child() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def choose_store(path: str | None) -> None:
    """Name the store of whoever names none in this process; None takes that back."""
    global _chosen
    _chosen = path


def store_path(db: str | os.PathLike[str] | None = None) -> str:
    """Give the absolute path of the store: `db`, else the chosen one, else `$COUNTERFOIL_DB`, else `counterfoil.db` here."""
    chosen = os.fsdecode(db or _chosen or os.environ.get("COUNTERFOIL_DB") or "counterfoil.db")
    return os.path.realpath(os.path.expanduser(chosen))


def recorder_at(
    db: str | os.PathLike[str] | None = None,
    *,
    capture: str | None = None,
    redactors: Iterable[Redactor] = (),
    durability: str | None = None,
) -> Recorder:
    """Give this process's recorder for the store `db`; the same one whenever the same store is named.

    With `durability="power"` an event outlives a loss of power once the call that recorded it has returned; by default,
    `process`, it outlives the end of the process, whatever that is. Without it `$COUNTERFOIL_DURABILITY` says which.

    `capture="metadata"` and `durability="power"` asked for once hold; redactors add up. Raises ValueError or TypeError
    where one of them is none: to record more than was meant is worse than to stop.
    """
    if capture not in {None, "full", "metadata"}:
        raise ValueError(f"capture is 'full' or 'metadata', not {capture!r}")
    if durability not in {None, *DURABILITIES}:
        raise ValueError(f"durability is 'process' or 'power', not {durability!r}")
    path = store_path(db)
    with _lock:
        recorder = _recorders.get(path)
        fresh = recorder is None
        if recorder is None:
            recorder = _recorders[path] = Recorder(path)
    if (durability or (fresh and _durability_here())) == "power":
        recorder.outlive_power()
    if capture == "metadata":
        recorder.restrict()
    if redactors:
        recorder.add_redactors(redactors)
    return recorder


def _durability_here() -> str:
    asked = os.environ.get("COUNTERFOIL_DURABILITY") or "process"
    if asked not in DURABILITIES:
        # Who sets it wants more than the default; and a host must not fall over its environment.
        report(
            "COUNTERFOIL_DURABILITY",
            ValueError(f"it is 'process' or 'power', not {asked!r}; taken for 'power'"),
        )
        return "power"
    return asked


def all_recorders() -> tuple[Recorder, ...]:
    """Give every recorder of this process."""
    return tuple(_recorders.values())


def on_first_event(attend: Callable[[Recorder], None]) -> None:
    """Have `attend(recorder)` called when a recorder begins a tape: at its first event in each process."""

    def began(path: str) -> None:
        recorder = _recorders.get(path)
        if recorder is not None:
            attend(recorder)

    on_new_tape(began)


def _note_trouble(place: str, error: BaseException, count: int) -> None:
    for recorder in all_recorders():
        if recorder.in_use:  # a store that nothing is recorded to is none
            recorder.trouble(place, error, count)


listen(_note_trouble)
