"""From events to rows: the one definition of the built tables, used by ingest and by rebuild.

A batch loads the rows that its events touch, merges in Python, and writes them back by the hundred. The result
does not depend on the order in which the tapes were drained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from counterfoil.store import bulk, reports, steps
from counterfoil.store.rows import ApprovalRow, HandoffRow, ProcessRow, StepRow
from counterfoil.store.stamps import StampsOfRows, override
from counterfoil.store.totals import Totals

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from counterfoil.events import Head, Text

__all__ = ["READ", "Event", "apply"]

#: The parts whose bodies the fold reads; all others are stored unread.
READ: Final = frozenset({"items"})


class Event(msgspec.Struct, frozen=True, gc=False):
    """A sealed event with where its parts are stored. `bodies` holds those that are in `READ`."""

    seq: int
    writer_id: int | None
    head: Head
    text: Text
    payloads: Mapping[str, int | None]
    bodies: Mapping[str, bytes]


class _Item(msgspec.Struct):
    """One thing that was read, as an access's part `items` lists it."""

    item_id: str | None = None
    score: float | None = None
    bytes: int | None = None
    source: str | None = None


_items = msgspec.json.Decoder(list[_Item]).decode
_encode: Final = msgspec.json.Encoder(order="sorted").encode

_STEP: Final = StepRow.__struct_fields__
_HANDOFF: Final = HandoffRow.__struct_fields__
_APPROVAL: Final = ApprovalRow.__struct_fields__
_PROCESS: Final = ProcessRow.__struct_fields__
_MESSAGE: Final = ("step_id", "direction", "position", "payload_id")
_ANSWER: Final = ("run_id", "at_ns", "q", "payload_id", "applied")
_SCORE: Final = ("seq", "run_id", "step_id", "name", "value", "label", "source", "comment", "at_ns")
_TROUBLE: Final = ("writer_id", "place", "count", "error_type", "error_message", "at_ns")
_ACCESS: Final = (
    "seq", "n", "run_id", "step_id", "agent", "source", "query", "query_id", "item_id", "score", "bytes", "at_ns",
)  # fmt: skip
_DECISION: Final = (
    "decision_id", "run_id", "step_id", "call_id", "agent", "action", "resource", "verdict", "rule", "reason",
    "policy", "policy_version", "enforced", "at_ns",
)  # fmt: skip
_ERASURE: Final = ("seq", "kind", "run_id", "at_ns", "erased_by", "reason", "what", "events", "texts")
_IF_NEWER_TROUBLE: Final = (
    " WHERE excluded.count > count OR (excluded.count = count AND excluded.at_ns > at_ns)"
)
_IF_LATER_DECISION: Final = " WHERE excluded.at_ns > at_ns"

_OF_STEPS: Final = frozenset({"start", "amend", "end", "close", "gone", "price"})
_INPUT, _OUTPUT = 0, 1


def apply(db: sqlite3.Connection, events: Sequence[Event], refs: Mapping[tuple[int, int], int]) -> None:
    """Fold `events` into the built tables. `refs` gives the payload of each (writer, number) that they refer to."""
    fold = _Fold(db, refs)
    fold.load(events)
    for event in events:
        fold.merge(event)
    fold.flush()


class _Fold:
    """One batch's rows, as they are becoming."""

    def __init__(self, db: sqlite3.Connection, refs: Mapping[tuple[int, int], int]) -> None:
        self._db = db
        self._refs = refs
        self._totals = Totals(db)
        self._stamps = StampsOfRows()
        self._steps: dict[str, StepRow] = {}
        self._handoffs: dict[str, HandoffRow] = {}
        self._approvals: dict[str, ApprovalRow] = {}
        self._processes: dict[int, ProcessRow] = {}
        self._messages: dict[tuple[str, int], list[tuple[str, int, int, int | None]]] = {}
        self._unlisted: list[tuple[str, int]] = []
        self._accesses: list[tuple[Any, ...]] = []
        self._decisions: dict[str, tuple[Any, ...]] = {}
        self._scores: list[tuple[Any, ...]] = []
        self._troubles: dict[tuple[int, str], tuple[Any, ...]] = {}
        self._answers: list[tuple[Any, ...]] = []
        self._applied: list[tuple[Any, ...]] = []
        self._links: dict[str, tuple[str, str]] = {}
        self._erasures: list[tuple[Any, ...]] = []

    # -- load

    def load(self, events: Iterable[Event]) -> None:
        """Fetch the rows that `events` touch."""
        step_ids: set[str] = set()
        handoffs: set[str] = set()
        approvals: set[str] = set()
        writers: set[int] = set()
        for event in events:
            head = event.head
            if event.writer_id is not None:
                writers.add(event.writer_id)
            if head.k in _OF_STEPS:
                if head.step is not None:
                    step_ids.add(head.step)
            elif head.k == "handoff" and head.handoff is not None:
                handoffs.add(head.handoff)
            elif head.k == "approval" and head.item is not None:
                approvals.add(head.item)
        self._load_steps("step_id", step_ids)
        for row in self._select("t_handoffs", _HANDOFF, "handoff_id", handoffs):
            handoff = self._handoffs[row[0]] = HandoffRow(*row)
            self._totals.remember_handoff(handoff)
        for row in self._select("t_approvals", _APPROVAL, "approval_id", approvals):
            self._approvals[row[0]] = ApprovalRow(*row)
        self._load_processes(writers)

    def _select(
        self, table: str, columns: Sequence[str], key: str, keys: Iterable[Any]
    ) -> Iterable[list[Any]]:
        return bulk.select_in(self._db, table, columns, key, keys)

    def _load_steps(self, key: str, keys: Iterable[str]) -> None:
        for row in self._select("t_steps", _STEP, key, keys):
            if row[0] not in self._steps:
                step = self._steps[row[0]] = StepRow(*row)
                self._totals.remember(step)

    def _load_processes(self, writers: Iterable[int]) -> None:
        for row in self._select("t_processes", _PROCESS, "writer_id", writers):
            self._processes[row[0]] = ProcessRow(*row)

    # -- merge

    def merge(self, event: Event) -> None:
        """Take one event into the rows."""
        head, text = event.head, event.text
        if event.writer_id is not None:
            self._process(event, event.writer_id)
        match head.k:
            case "start":
                self._start(event)
            case "end" | "close" | "gone" if head.step is not None:
                self._end(event, head.step)
            case "gone":
                self._gone(event)
            case "amend":
                step = self._step(head)
                steps.amended(step, self._stamps.of(step.step_id, step), head, text)
            case "handoff":
                self._handoff(event)
            case "access":
                self._access(event)
            case "approval":
                self._approval(event)
            case "decision":
                self._decision(event)
            case "score":
                judged = (text.name, head.value, text.label, text.source, text.comment)
                self._scores.append((event.seq, head.run, head.step, *judged, head.t))
            case "price" if head.step in self._steps:
                _price(self._steps[head.step], head.cost_nano or 0, text.price_source or "")
            case "resume" if head.run is not None and head.resumes is not None:
                self._link(head.run, head.resumes, head.first_run or head.resumes)
            case "answer" if event.writer_id is None:
                self._applied.append((head.run, head.t, head.q))
            case "answer":
                self._answers.append((head.run, head.t, head.q, event.payloads.get("answer"), 0))
            case "trouble" if event.writer_id is not None:
                self._trouble(event, event.writer_id)
            case "erasure" | "prune":
                told = (text.erased_by, text.reason, head.what, head.count, head.texts)
                self._erasures.append((event.seq, head.k, head.run, head.t, *told))

    def _step(self, head: Head) -> StepRow:
        assert head.step is not None
        step = self._steps.get(head.step)
        if step is None:
            step = self._steps[head.step] = StepRow(step_id=head.step, run_id=head.run)
        return step

    def _start(self, event: Event) -> None:
        head = event.head
        assert head.step is not None
        step = self._steps.get(head.step)
        stamps = None
        if step is not None:
            if step.started_ns is not None:
                if (step.started_ns, step.q or 0) <= (head.t, head.q):
                    return
                self._unlist(step, _INPUT)
            stamps = self._stamps.of(step.step_id, step)
        step = steps.started(step, stamps, head, event.text, event.payloads, event.writer_id)
        self._steps[step.step_id] = step
        if step.in_count is not None:
            self._list(event, step, _INPUT)
        if head.offers:
            step.offers = _encode([self._payload(event, n) for n in head.offers]).decode()

    def _end(self, event: Event, step_id: str) -> None:
        step = self._step(event.head)
        had_output = step.out_count is not None
        if steps.ended(step, self._stamps.of(step_id, step), event.head, event.text, event.payloads):
            if had_output:
                self._unlist(step, _OUTPUT)
            if step.out_count is not None:
                self._list(event, step, _OUTPUT)

    def _payload(self, event: Event, n: int) -> int | None:
        return None if event.writer_id is None else self._refs.get((event.writer_id, n))

    def _list(self, event: Event, step: StepRow, direction: int) -> None:
        """Note the messages that are new to this input or output, each at its place in the whole."""
        keep = event.head.keep or 0
        self._messages[step.step_id, direction] = [
            (step.step_id, direction, at, self._payload(event, n))
            for at, n in enumerate(event.head.refs, keep)
        ]

    def _unlist(self, step: StepRow, direction: int) -> None:
        """Take away the messages of a start or end that another one wins over."""
        self._messages.pop((step.step_id, direction), None)
        self._unlisted.append((step.step_id, direction))
        if direction == _INPUT:
            step.in_base = step.in_base_output = step.in_keep = step.in_count = step.offers = None

    def _handoff(self, event: Event) -> None:
        head, text = event.head, event.text
        assert head.handoff is not None
        handoff = self._handoffs.get(head.handoff)
        if handoff is None:
            handoff = self._handoffs[head.handoff] = HandoffRow(handoff_id=head.handoff)
        values: dict[str, Any] = {
            "run_id": head.run,
            "step_id": head.step,
            "mode": head.mode,
            "source": text.source,
            "target": text.target,
            "target_asked": text.target_asked,
            "target_type": head.target_type,
            "coordinator": text.coordinator,
            "reason": text.reason,
            "payload_id": event.payloads.get("payload"),
            "answer_id": event.payloads.get("answer"),
            "status": head.status,
            "refused_by": head.refused_by,
            "error_message": text.error_message,
            "evidence": head.evidence,
            "decided_by": head.decided,
            "decided_evidence": head.decided_evidence,
            "target_step_id": head.target_step,
            "framework": text.framework,
        }
        override(handoff, self._stamps.of(head.handoff, handoff), _given(values), head)
        handoff.asked_ns = _least(handoff.asked_ns, head.t)
        if head.status == "requested":
            handoff.requested_ns = _least(handoff.requested_ns, head.t)
        elif head.status == "accepted":
            handoff.accepted_ns = _least(handoff.accepted_ns, head.t)
        elif head.status == "returned":
            handoff.returned_ns = _least(handoff.returned_ns, head.t)

    def _approval(self, event: Event) -> None:
        head, text = event.head, event.text
        assert head.item is not None
        approval = self._approvals.get(head.item)
        if approval is None:
            approval = self._approvals[head.item] = ApprovalRow(approval_id=head.item)
        waits = head.status == "waiting"
        if waits:
            approval.asked_ns = _least(approval.asked_ns, head.t)
        values: dict[str, Any] = {
            "run_id": head.run,
            "step_id": head.step,
            "agent": text.agent,
            "tool": text.name,
            "arguments_id": event.payloads.get("payload"),
            "status": head.status,
            "answered_ns": None if waits or head.status is None else head.t,
            "answered_by": text.answered_by,
            "comment": text.comment,
        }
        override(approval, self._stamps.of(head.item, approval), _given(values), head)

    def _access(self, event: Event) -> None:
        head, text = event.head, event.text
        body = event.bodies.get("items")
        try:
            items = _items(body) if body is not None else []
        except msgspec.DecodeError:
            items = []
        if not items:
            items = [_Item(text.item_id, head.score, head.bytes)]
        elif len(items) == 1 and items[0].bytes is None:
            items[0].bytes = head.bytes
        reader = (head.run, head.step, text.agent)
        query = (text.query, event.payloads.get("query"))
        for n, item in enumerate(items):
            what = (item.source or text.source, *query, item.item_id, item.score, item.bytes)
            self._accesses.append((event.seq, n, *reader, *what, head.t))

    def _decision(self, event: Event) -> None:
        head, text = event.head, event.text
        assert head.item is not None
        before = self._decisions.get(head.item)
        if before is None or before[-1] < head.t:
            about = (head.run, head.step, text.call_id, text.agent, text.action, text.resource)
            said = (head.verdict, text.rule, text.reason, text.policy, text.policy_version, head.enforced)
            self._decisions[head.item] = (head.item, *about, *said, head.t)

    def _trouble(self, event: Event, writer_id: int) -> None:
        head, text = event.head, event.text
        key = (writer_id, text.place or "")
        count = head.count or 1
        before = self._troubles.get(key)
        if before is None or (before[2], before[5]) < (count, head.t):
            self._troubles[key] = (*key, count, text.error_type, text.error_message, head.t)

    def _process(self, event: Event, writer_id: int) -> None:
        head, text = event.head, event.text
        process = self._processes.get(writer_id)
        if process is None:
            process = self._processes[writer_id] = ProcessRow(writer_id=writer_id)
        if process.last_ns is None or head.t > process.last_ns:
            process.last_ns = head.t
        if head.k == "attach" and text.frameworks is not None:
            process.frameworks = _encode(text.frameworks).decode()
        elif head.k == "exit":
            process.exit_ns = max(process.exit_ns or 0, head.t)
        elif head.k == "open":
            process.started_ns = _least(process.started_ns, head.t)
            process.pid = process.pid or head.pid
            process.host = process.host or text.host
            process.boot = process.boot or text.boot
            process.machine = process.machine or text.machine
            if process.versions is None and text.versions is not None:
                process.versions = _encode(text.versions).decode()

    def _gone(self, event: Event) -> None:
        """A whole process was found dead."""
        found = self._db.execute(
            "SELECT writer_id FROM writers WHERE writer = ?", (event.text.writer,)
        ).fetchone()
        if found is not None:
            writer_id = int(found[0])
            if writer_id not in self._processes:
                self._load_processes((writer_id,))
            process = self._processes.setdefault(writer_id, ProcessRow(writer_id=writer_id))
            process.gone_ns = max(process.gone_ns or 0, event.head.t)

    def _link(self, run_id: str, resumes: str, first_run: str) -> None:
        """Tie a run to the one that it resumes. Two stores may have found two: the newer, whose id is greater."""
        if run_id not in self._links:
            self._known_link(run_id)
        if run_id in self._links and self._links[run_id][0] > resumes:
            return
        # Another store may know of what came before that one.
        if resumes not in self._links:
            self._known_link(resumes)
        self._links[run_id] = (resumes, self._links.get(resumes, (None, first_run))[1])

    def _known_link(self, run_id: str) -> None:
        found = self._db.execute(
            "SELECT resumes, first_run_id FROM t_runs WHERE run_id = ? AND resumes IS NOT NULL", (run_id,)
        ).fetchone()
        if found is not None:
            self._links[run_id] = (found[0], found[1])

    # -- flush

    def flush(self) -> None:
        """Write all of it."""
        called = {step.response_id for step in self._steps.values() if reports.is_report(step)}
        if called:
            self._load_steps("response_id", (one for one in called if one is not None))
            found = [
                one for one in self._steps.values() if one.response_id in called and reports.is_report(one)
            ]
            # What an amend has said of a report stands: the other's response id may be erased.
            told = {one.step_id for one in found if "folded_into" in self._stamps.of(one.step_id, one)}
            reports.fold(found, told)
        for step in self._steps.values():
            if step.end_rank == 0:
                steps.settle(step, self._stamps.of(step.step_id, step))
        self._stamps.put_back()
        db = self._db
        self._write_steps()
        self._totals.settle(self._steps, self._handoffs, self._links)
        self._upsert("t_handoffs", _HANDOFF, self._handoffs.values())
        self._upsert("t_approvals", _APPROVAL, self._approvals.values())
        self._upsert("t_processes", _PROCESS, self._processes.values())
        if self._unlisted:
            bulk.delete_in(db, "t_messages", ("step_id", "direction"), self._unlisted)
        messages = [row for rows in self._messages.values() for row in rows]
        bulk.insert(db, "t_messages", _MESSAGE, messages, verb="INSERT OR REPLACE")
        bulk.insert(db, "t_accesses", _ACCESS, self._accesses)
        bulk.insert(db, "t_scores", _SCORE, self._scores)
        later = bulk.upsert_suffix(_DECISION[:1], _DECISION) + _IF_LATER_DECISION
        bulk.insert(db, "t_decisions", _DECISION, list(self._decisions.values()), suffix=later)
        newer = bulk.upsert_suffix(_TROUBLE[:2], _TROUBLE) + _IF_NEWER_TROUBLE
        bulk.insert(db, "t_troubles", _TROUBLE, list(self._troubles.values()), suffix=newer)
        bulk.insert(db, "t_answers", _ANSWER, self._answers, verb="INSERT OR REPLACE")
        bulk.insert(db, "t_erasures", _ERASURE, self._erasures)
        for key in self._applied:
            db.execute("UPDATE t_answers SET applied = 1 WHERE run_id = ? AND at_ns = ? AND q = ?", key)

    def _write_steps(self) -> None:
        stored: list[StepRow] = []
        calls: list[tuple[Any, ...]] = []
        others: list[tuple[Any, ...]] = []
        for step_id, step in self._steps.items():
            if self._totals.remembers(step_id):
                stored.append(step)
            else:
                (calls if step.kind == "llm" else others).append(msgspec.structs.astuple(step))
        self._upsert("t_steps", _STEP, stored)
        # Apart, as a third of the columns is a model call's alone.
        bulk.insert_sparse(self._db, "t_steps", _STEP, calls, like="llm")
        bulk.insert_sparse(self._db, "t_steps", _STEP, others, like="other")

    def _upsert(self, table: str, columns: Sequence[str], rows: Iterable[msgspec.Struct]) -> None:
        tuples = [msgspec.structs.astuple(row) for row in rows]
        bulk.insert(self._db, table, columns, tuples, suffix=bulk.upsert_suffix(columns[:1], columns))


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {column: value for column, value in values.items() if value is not None}


def _price(step: StepRow, cost_nano: int, source: str) -> None:
    """Take a price, unless the call itself told its cost. Of several stores' prices that of the older table stands."""
    stands = step.cost_nano is not None and (
        step.price_source is None or (step.price_source, step.cost_nano) <= (source, cost_nano)
    )
    if not stands:
        step.cost_nano, step.price_source = cost_nano, source


def _least(one: int | None, other: int) -> int:
    return other if one is None or other < one else one
