"""From events to rows: the one definition of the built tables, used by ingest and by rebuild.

A batch loads the rows that its events touch, merges in Python, and writes them back by the hundred. The result
does not depend on the order in which the tapes were drained. A run's sums change by what its steps contribute
now less what they contributed before, so they are exact after every batch.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from counterfoil.events import Head, Text
from counterfoil.store import bulk
from counterfoil.store.contribution import NOTHING, Contribution, contribution
from counterfoil.store.rows import ApprovalRow, HandoffRow, ProcessRow, RunRow, StepRow

__all__ = ["Event", "apply"]


class Event(NamedTuple):
    """A sealed event with where its parts are stored. `bodies` holds those parts that the fold reads."""

    seq: int
    writer_id: int | None
    head: Head
    text: Text
    payloads: Mapping[str, int | None]
    bodies: Mapping[str, bytes]


_NO_TEXT: Final = Text()
_RANKS: Final = {"end": 3, "close": 2, "gone": 1}
_RANK_STATUS: Final = {3: "ok", 2: "cancelled", 1: "interrupted"}

# (column, attribute of the head) and (column, attribute of the text): what a start says of a step...
_START_HEAD: Final = (
    ("parent_id", "parent"), ("kind", "kind"), ("evidence", "evidence"), ("internal", "internal"),
    ("decided_by", "decided"), ("decided_evidence", "decided_evidence"), ("resuming", "resuming"),
)  # fmt: skip
_START_TEXT: Final = (
    "name", "agent", "framework", "native_id", "call_id", "task", "session", "version", "owner", "request_model",
)  # fmt: skip
# ... and what its end says.
_END_HEAD: Final = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "audio_tokens",
    "cached", "ttft_ns", "cost_nano",
)  # fmt: skip
_END_TEXT: Final = (
    "provider", "model", "response_id", "finish_reason", "usage_source", "price_source", "error_type",
    "error_message", "stop_reason",
)  # fmt: skip
#: An end that does not name these leaves what the start said.
_ALSO_AT_START: Final = frozenset({"provider", "model"})

_Stamps: TypeAlias = dict[str, tuple[int, int]]
_Stamped: TypeAlias = StepRow | HandoffRow | ApprovalRow

_json = msgspec.json.Encoder(order="sorted")
_stamps = msgspec.json.Decoder(_Stamps)
_counts = msgspec.json.Decoder(dict[str, int])


class _Item(msgspec.Struct):
    """One thing that was read, as an access's part `items` lists it."""

    item_id: str | None = None
    score: float | None = None
    bytes: int | None = None
    source: str | None = None


_items = msgspec.json.Decoder(list[_Item])

_STEP_COLUMNS: Final = StepRow.__struct_fields__
_RUN_COLUMNS: Final = RunRow.__struct_fields__
_HANDOFF_COLUMNS: Final = HandoffRow.__struct_fields__
_APPROVAL_COLUMNS: Final = ApprovalRow.__struct_fields__
_PROCESS_COLUMNS: Final = ProcessRow.__struct_fields__
_ACCESS_COLUMNS: Final = (
    "seq", "n", "run_id", "step_id", "agent", "source", "query", "query_id", "item_id", "score", "bytes", "at_ns",
)  # fmt: skip
_DECISION_COLUMNS: Final = (
    "decision_id", "run_id", "step_id", "call_id", "agent", "action", "resource", "verdict", "rule", "reason",
    "policy", "policy_version", "enforced", "at_ns",
)  # fmt: skip
_SCORE_COLUMNS: Final = ("seq", "run_id", "step_id", "name", "value", "label", "source", "comment", "at_ns")
_TROUBLE_COLUMNS: Final = ("writer_id", "place", "count", "error_type", "error_message", "at_ns")
_NEWER_TROUBLE: Final = bulk.upsert_suffix(("writer_id", "place"), _TROUBLE_COLUMNS) + (
    " WHERE excluded.count > count OR (excluded.count = count AND excluded.at_ns > at_ns)"
)
_LATER_DECISION: Final = bulk.upsert_suffix(("decision_id",), _DECISION_COLUMNS) + " WHERE excluded.at_ns > at_ns"

_STEP_KINDS: Final = frozenset({"start", "amend", "end", "close", "gone", "price"})


def apply(db: sqlite3.Connection, events: Sequence[Event], refs: Mapping[tuple[int, int], int]) -> None:
    """Fold `events` into the built tables. `refs` gives the payload of each (writer, number) that they refer to."""
    fold = _Fold(db, refs)
    fold.load(events)
    for event in events:
        fold.merge(event)
    fold.flush()


def _override(row: _Stamped, stamps: _Stamps, values: Mapping[str, Any], head: Head) -> None:
    """Set each value that was not set by a later event already."""
    stamp = (head.t, head.q)
    for column, value in values.items():
        before = stamps.get(column)
        if before is None or stamp >= before:
            setattr(row, column, value)
            stamps[column] = stamp


def _labels(text: Text) -> str | None:
    return None if text.labels is None else _json.encode(text.labels).decode()


class _Fold:
    """One batch's rows, as they are becoming."""

    def __init__(self, db: sqlite3.Connection, refs: Mapping[tuple[int, int], int]) -> None:
        self._db = db
        self._refs = refs
        self._steps: dict[str, StepRow] = {}
        self._before: dict[str, Contribution] = {}
        self._runs: dict[str, RunRow] = {}
        self._handoffs: dict[str, HandoffRow] = {}
        self._handoffs_before: dict[str, tuple[str | None, bool]] = {}
        self._approvals: dict[str, ApprovalRow] = {}
        self._processes: dict[int, ProcessRow] = {}
        self._stamps: dict[tuple[type, str], tuple[_Stamped, _Stamps]] = {}
        self._messages: dict[tuple[str, int], list[tuple[str, int, int, int | None]]] = {}
        self._unlisted: list[tuple[str, int]] = []
        self._accesses: list[tuple[Any, ...]] = []
        self._decisions: dict[str, tuple[Any, ...]] = {}
        self._scores: list[tuple[Any, ...]] = []
        self._troubles: dict[tuple[int, str], tuple[Any, ...]] = {}
        self._answers: list[tuple[Any, ...]] = []
        self._applied: list[tuple[Any, ...]] = []
        self._links: dict[str, tuple[str, str | None]] = {}

    # -- load

    def load(self, events: Iterable[Event]) -> None:
        steps: set[str] = set()
        handoffs: set[str] = set()
        approvals: set[str] = set()
        writers: set[int] = set()
        for event in events:
            head = event.head
            if event.writer_id is not None:
                writers.add(event.writer_id)
            if head.k in _STEP_KINDS:
                if head.step is not None:
                    steps.add(head.step)
            elif head.k == "handoff":
                if head.handoff is not None:
                    handoffs.add(head.handoff)
            elif head.k == "approval" and head.item is not None:
                approvals.add(head.item)
        self._load_steps("step_id", steps)
        for row in self._select("t_handoffs", _HANDOFF_COLUMNS, "handoff_id", handoffs):
            handoff = HandoffRow(*row)
            self._handoffs[handoff.handoff_id] = handoff
            self._handoffs_before[handoff.handoff_id] = (handoff.run_id, handoff.mode == "escalation")
        for row in self._select("t_approvals", _APPROVAL_COLUMNS, "approval_id", approvals):
            self._approvals[row[0]] = ApprovalRow(*row)
        for row in self._select("t_processes", _PROCESS_COLUMNS, "writer_id", writers):
            self._processes[row[0]] = ProcessRow(*row)

    def _select(
        self, table: str, columns: Sequence[str], key: str, keys: Iterable[Any]
    ) -> Iterable[tuple[Any, ...]]:
        return bulk.select_in(self._db, f"SELECT {','.join(columns)} FROM {table} WHERE {key}", keys)

    def _load_steps(self, key: str, keys: Iterable[str]) -> None:
        for row in self._select("t_steps", _STEP_COLUMNS, key, keys):
            if row[0] not in self._steps:
                step = StepRow(*row)
                self._steps[step.step_id] = step
                self._before[step.step_id] = contribution(step)

    def _stamps_of(self, key: str, row: _Stamped) -> _Stamps:
        found = self._stamps.get((type(row), key))
        if found is None:
            found = self._stamps[type(row), key] = (row, _stamps.decode(row.stamps) if row.stamps else {})
        return found[1]

    # -- merge

    def merge(self, event: Event) -> None:
        head = event.head
        kind = head.k
        if event.writer_id is not None:
            self._process(event)
        if kind == "start":
            self._start(event)
        elif kind in _RANKS:
            if head.step is None:
                self._gone_process(event)
            else:
                self._end(event, _RANKS[kind])
        elif kind == "amend":
            self._amend(event)
        elif kind == "handoff":
            self._handoff(event)
        elif kind == "access":
            self._access(event)
        elif kind == "approval":
            self._approval(event)
        elif kind == "decision":
            self._decision(event)
        elif kind == "score":
            text = event.text
            self._scores.append(
                (event.seq, head.run, head.step, text.name, head.value, text.label, text.source, text.comment, head.t)
            )
        elif kind == "price":
            if head.step in self._steps:
                step = self._steps[head.step]
                step.cost_nano, step.price_source = head.cost_nano, event.text.price_source
        elif kind == "resume":
            if head.run is not None and head.resumes is not None:
                self._links[head.run] = (head.resumes, head.first_run)
        elif kind == "answer":
            if event.writer_id is None:
                self._applied.append((head.run, head.t, head.q))
            else:
                self._answers.append((head.run, head.t, head.q, event.payloads.get("answer"), 0))
        elif kind == "trouble":
            self._trouble(event)

    def _start(self, event: Event) -> None:
        head, text, payloads = event.head, event.text, event.payloads
        assert head.step is not None
        step = self._steps.get(head.step)
        if step is None:
            self._steps[head.step] = step = StepRow(
                step_id=head.step,
                run_id=head.run,
                parent_id=head.parent,
                kind=head.kind,
                name=text.name,
                agent=text.agent,
                framework=text.framework,
                evidence=head.evidence,
                internal=head.internal,
                started_ns=head.t,
                q=head.q,
                writer_id=event.writer_id,
                native_id=text.native_id,
                call_id=text.call_id,
                decided_by=head.decided,
                decided_evidence=head.decided_evidence,
                task=text.task,
                session=text.session,
                labels=_labels(text),
                version=text.version,
                owner=text.owner,
                resuming=head.resuming,
                provider=text.provider,
                model=text.model,
                request_model=text.request_model,
            )
        else:
            if step.started_ns is not None:
                if (step.started_ns, step.q or 0) <= (head.t, head.q):
                    return
                self._unlist(step, 0)
            step.run_id, step.started_ns, step.q, step.writer_id = head.run, head.t, head.q, event.writer_id
            stamps = self._stamps_of(step.step_id, step)
            for column, attribute in _START_HEAD:
                if column not in stamps:
                    setattr(step, column, getattr(head, attribute))
            for column in _START_TEXT:
                if column not in stamps:
                    setattr(step, column, getattr(text, column))
            if "labels" not in stamps:
                step.labels = _labels(text)
            for column in _ALSO_AT_START:
                if getattr(step, column) is None:
                    setattr(step, column, getattr(text, column))
        step.input_id = payloads.get("input")
        if head.refs or head.base is not None:
            keep = head.keep or 0
            step.in_base, step.in_base_output, step.in_keep = head.base, head.base_output, keep
            step.in_count = keep + len(head.refs)
            self._list(event, 0, keep)
        if head.offers:
            step.offers = _json.encode([self._payload(event, n) for n in head.offers]).decode()

    def _payload(self, event: Event, n: int) -> int | None:
        return None if event.writer_id is None else self._refs.get((event.writer_id, n))

    def _list(self, event: Event, direction: int, keep: int) -> None:
        step_id = event.head.step
        assert step_id is not None
        self._messages[step_id, direction] = [
            (step_id, direction, keep + i, self._payload(event, n)) for i, n in enumerate(event.head.refs)
        ]

    def _unlist(self, step: StepRow, direction: int) -> None:
        """Take away the messages of a start or end that another one wins over."""
        self._messages.pop((step.step_id, direction), None)
        self._unlisted.append((step.step_id, direction))
        if direction:
            step.out_base = step.out_base_output = step.out_keep = step.out_count = None
        else:
            step.in_base = step.in_base_output = step.in_keep = step.in_count = step.offers = None

    def _step(self, head: Head) -> StepRow:
        assert head.step is not None
        step = self._steps.get(head.step)
        if step is None:
            step = self._steps[head.step] = StepRow(step_id=head.step, run_id=head.run)
        return step

    def _end(self, event: Event, rank: int) -> None:
        head, text, payloads = event.head, event.text, event.payloads
        step = self._step(head)
        self._late_facts(step, event)
        if step.end_rank:
            assert step.ended_ns is not None
            if rank < step.end_rank or (rank == step.end_rank and head.t >= step.ended_ns):
                return
            self._unlist(step, 1)
        stamps = self._stamps_of(step.step_id, step)
        replaced = step.end_rank > 0
        step.end_rank = rank
        step.ended_ns = head.t
        step.status = head.status or _RANK_STATUS[rank]
        if rank == 1:
            step.status = "interrupted"
        for column in _END_HEAD:
            value = getattr(head, column)
            if (value is not None or replaced) and column not in stamps:
                setattr(step, column, value)
        for column in _END_TEXT:
            value = getattr(text, column)
            if (value is not None or (replaced and column not in _ALSO_AT_START)) and column not in stamps:
                setattr(step, column, value)
        step.output_id = payloads.get("output")
        step.usage_id = payloads.get("usage")
        if head.refs or head.base is not None:
            keep = head.keep or 0
            step.out_base, step.out_base_output, step.out_keep = head.base, head.base_output, keep
            step.out_count = keep + len(head.refs)
            self._list(event, 1, keep)

    def _late_facts(self, step: StepRow, event: Event) -> None:
        """What an end says that belongs to the start counts like an amend."""
        head, text = event.head, event.text
        values = {column: getattr(head, name) for column, name in _START_HEAD if getattr(head, name) is not None}
        if text is not _NO_TEXT:
            for column in _START_TEXT:
                value = getattr(text, column)
                if value is not None:
                    values[column] = value
            if text.labels is not None:
                values["labels"] = _labels(text)
        if values:
            _override(step, self._stamps_of(step.step_id, step), values, head)

    def _amend(self, event: Event) -> None:
        head, text = event.head, event.text
        step = self._step(head)
        self._late_facts(step, event)
        values = {column: getattr(head, column) for column in _END_HEAD if getattr(head, column) is not None}
        values |= {column: getattr(text, column) for column in _END_TEXT if getattr(text, column) is not None}
        stamps = self._stamps_of(step.step_id, step)
        if values:
            _override(step, stamps, values, head)
        if head.status is not None and step.end_rank == 0:
            _override(step, stamps, {"status": head.status}, head)

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
        given = {column: value for column, value in values.items() if value is not None}
        _override(handoff, self._stamps_of(head.handoff, handoff), given, head)
        handoff.asked_ns = _least(handoff.asked_ns, head.t)
        if head.status in {"requested", "accepted", "returned"}:
            column = f"{head.status}_ns"
            setattr(handoff, column, _least(getattr(handoff, column), head.t))

    def _approval(self, event: Event) -> None:
        head, text = event.head, event.text
        assert head.item is not None
        approval = self._approvals.get(head.item)
        if approval is None:
            approval = self._approvals[head.item] = ApprovalRow(approval_id=head.item)
        values: dict[str, Any] = {
            "run_id": head.run,
            "step_id": head.step,
            "agent": text.agent,
            "tool": text.name,
            "arguments_id": event.payloads.get("payload"),
            "status": head.status,
            "answered_by": text.answered_by,
            "comment": text.comment,
        }
        if head.status == "waiting":
            approval.asked_ns = _least(approval.asked_ns, head.t)
        elif head.status is not None:
            values["answered_ns"] = head.t
        given = {column: value for column, value in values.items() if value is not None}
        _override(approval, self._stamps_of(head.item, approval), given, head)

    def _access(self, event: Event) -> None:
        head, text = event.head, event.text
        where = (head.run, head.step, text.agent)
        query = (text.query, event.payloads.get("query"))
        body = event.bodies.get("items")
        try:
            items = _items.decode(body) if body is not None else []
        except msgspec.DecodeError:
            items = []
        if not items:
            items = [_Item(text.item_id, head.score, head.bytes)]
        for n, item in enumerate(items):
            self._accesses.append(
                (event.seq, n, *where, item.source or text.source, *query, item.item_id, item.score, item.bytes, head.t)
            )

    def _decision(self, event: Event) -> None:
        head, text = event.head, event.text
        assert head.item is not None
        before = self._decisions.get(head.item)
        if before is None or before[-1] < head.t:
            self._decisions[head.item] = (
                head.item, head.run, head.step, text.call_id, text.agent, text.action, text.resource, head.verdict,
                text.rule, text.reason, text.policy, text.policy_version, head.enforced, head.t,
            )  # fmt: skip

    def _trouble(self, event: Event) -> None:
        head, text = event.head, event.text
        if event.writer_id is None:
            return
        key = (event.writer_id, text.place or "")
        before = self._troubles.get(key)
        if before is None or (before[2], before[5]) < (head.count or 1, head.t):
            self._troubles[key] = (*key, head.count or 1, text.error_type, text.error_message, head.t)

    def _process(self, event: Event) -> None:
        head, text = event.head, event.text
        assert event.writer_id is not None
        process = self._processes.get(event.writer_id)
        if process is None:
            process = self._processes[event.writer_id] = ProcessRow(writer_id=event.writer_id)
        if process.last_ns is None or head.t > process.last_ns:
            process.last_ns = head.t
        if head.k == "open":
            if process.started_ns is None or head.t < process.started_ns:
                process.started_ns = head.t
            process.pid = process.pid or head.pid
            process.host = process.host or text.host
            process.boot = process.boot or text.boot
            process.machine = process.machine or text.machine
            if text.versions is not None and process.versions is None:
                process.versions = _json.encode(text.versions).decode()
        elif head.k == "exit":
            process.exit_ns = max(process.exit_ns or 0, head.t)

    def _gone_process(self, event: Event) -> None:
        writer = event.text.writer
        found = self._db.execute("SELECT writer_id FROM writers WHERE writer = ?", (writer,)).fetchone()
        if found is not None:
            writer_id = int(found[0])
            if writer_id not in self._processes:
                self._processes[writer_id] = ProcessRow(writer_id=writer_id)
                for row in self._select("t_processes", _PROCESS_COLUMNS, "writer_id", (writer_id,)):
                    self._processes[writer_id] = ProcessRow(*row)
            self._processes[writer_id].gone_ns = event.head.t

    # -- flush

    def flush(self) -> None:
        self._fold_reports()
        for row, stamps in self._stamps.values():
            if stamps:
                row.stamps = _json.encode(stamps).decode()
        for step in self._steps.values():
            if step.end_rank == 0 and step.status == "running" and step.kind == "human":
                step.status = "waiting"
        self._sum()
        db = self._db
        write = bulk.insert
        if self._unlisted:
            bulk.delete_in(db, "t_messages", ("step_id", "direction"), self._unlisted)
        _upsert(db, "t_steps", _STEP_COLUMNS, self._steps.values())
        _upsert(db, "t_runs", _RUN_COLUMNS, self._runs.values())
        _upsert(db, "t_handoffs", _HANDOFF_COLUMNS, self._handoffs.values())
        _upsert(db, "t_approvals", _APPROVAL_COLUMNS, self._approvals.values())
        _upsert(db, "t_processes", _PROCESS_COLUMNS, self._processes.values())
        messages = [row for rows in self._messages.values() for row in rows]
        write(db, "t_messages", ("step_id", "direction", "position", "payload_id"), messages, verb="INSERT OR REPLACE")
        write(db, "t_accesses", _ACCESS_COLUMNS, self._accesses)
        write(db, "t_scores", _SCORE_COLUMNS, self._scores)
        write(db, "t_decisions", _DECISION_COLUMNS, list(self._decisions.values()), suffix=_LATER_DECISION)
        write(db, "t_troubles", _TROUBLE_COLUMNS, list(self._troubles.values()), suffix=_NEWER_TROUBLE)
        write(
            db, "t_answers", ("run_id", "at_ns", "q", "payload_id", "applied"), self._answers, verb="INSERT OR REPLACE"
        )
        for run_id, at_ns, q in self._applied:
            db.execute("UPDATE t_answers SET applied = 1 WHERE run_id = ? AND at_ns = ? AND q = ?", (run_id, at_ns, q))

    def _fold_reports(self) -> None:
        """Where two reports of one model call lie one in the other, let the deeper count alone (mapping §6)."""
        calls = {step.response_id for step in self._steps.values() if _is_report(step)}
        if not calls:
            return
        self._load_steps("response_id", (call for call in calls if call is not None))
        groups: dict[tuple[str | None, str | None], list[StepRow]] = defaultdict(list)
        for step in self._steps.values():
            if _is_report(step) and step.response_id in calls:
                groups[step.run_id, step.response_id].append(step)
        for reports in groups.values():
            for step in reports:
                deeper = [other for other in reports if _is_inside(other, step)]
                step.folded_into = max(deeper, key=_depth).step_id if deeper else None

    def _sum(self) -> None:
        changed: list[tuple[Contribution, int]] = []
        wanted: set[str] = set(self._links)
        for step_id, step in self._steps.items():
            now, before = contribution(step), self._before.get(step_id, NOTHING)
            if now != before:
                changed += ((before, -1), (now, 1))
                wanted.update(run for run in (now.run_id, before.run_id) if run is not None)
        handoffs: list[tuple[str | None, bool, int]] = []
        for handoff_id, handoff in self._handoffs.items():
            after = (handoff.run_id, handoff.mode == "escalation")
            if after != (was := self._handoffs_before.get(handoff_id)):
                handoffs.append((*after, 1))
                if was is not None:
                    handoffs.append((*was, -1))
        wanted.update(run for run, _, _ in handoffs if run is not None)
        roots = [step for step in self._steps.values() if step.parent_id is None and step.started_ns is not None]
        wanted.update(step.run_id for step in self._steps.values() if step.run_id is not None)
        for row in self._select("t_runs", _RUN_COLUMNS, "run_id", wanted):
            self._runs[row[0]] = RunRow(*row)
        for run_id in wanted:
            if run_id not in self._runs:
                self._runs[run_id] = RunRow(run_id=run_id, first_run_id=run_id)
        agents: dict[str, dict[str, int]] = {}
        frameworks: dict[str, dict[str, int]] = {}
        for part, sign in changed:
            if part.run_id is None:
                continue
            run = self._runs[part.run_id]
            for column, amount in zip(Contribution.SUMS, part.sums, strict=True):
                if amount:
                    setattr(run, column, getattr(run, column) + sign * amount)
            _count(agents, run.run_id, run.agents, part.agent, sign)
            _count(frameworks, run.run_id, run.frameworks, part.framework, sign)
        for run_id, counts in agents.items():
            self._runs[run_id].agents = _counted(counts)
        for run_id, counts in frameworks.items():
            self._runs[run_id].frameworks = _counted(counts)
        for run_id_, escalation, sign in handoffs:
            if run_id_ is not None:
                run = self._runs[run_id_]
                run.handoffs += sign
                run.escalations += sign * escalation
        for step in self._steps.values():
            if step.started_ns is not None and step.run_id is not None:
                run = self._runs[step.run_id]
                run.started_ns = _least(run.started_ns, step.started_ns)
        for step in roots:
            assert step.started_ns is not None
            if step.run_id is not None:
                run = self._runs[step.run_id]
                if run.root_ns is None or (step.started_ns, step.step_id) < (run.root_ns, run.root_id or ""):
                    run.root_id, run.root_ns = step.step_id, step.started_ns
        for run_id, (resumes, first_run) in self._links.items():
            self._runs[run_id].resumes = resumes
            self._runs[run_id].first_run_id = first_run or resumes


def _upsert(db: sqlite3.Connection, table: str, columns: Sequence[str], rows: Iterable[msgspec.Struct]) -> None:
    tuples = [msgspec.structs.astuple(row) for row in rows]
    bulk.insert(db, table, columns, tuples, suffix=bulk.upsert_suffix(columns[:1], columns))


def _least(one: int | None, other: int) -> int:
    return other if one is None or other < one else one


def _is_report(step: StepRow) -> bool:
    return (
        step.response_id is not None
        and step.kind == "llm"
        and not step.cached
        and step.started_ns is not None
        and step.ended_ns is not None
    )


def _depth(step: StepRow) -> tuple[int, int, str]:
    return (step.started_ns or 0, -(step.ended_ns or 0), step.step_id)


def _is_inside(inner: StepRow, outer: StepRow) -> bool:
    return inner is not outer and _depth(inner) > _depth(outer) and (inner.started_ns or 0) < (outer.ended_ns or 0)


def _count(into: dict[str, dict[str, int]], run_id: str, stored: str | None, name: str | None, sign: int) -> None:
    if name is not None:
        counts = into.get(run_id)
        if counts is None:
            counts = into[run_id] = _counts.decode(stored) if stored else {}
        counts[name] = counts.get(name, 0) + sign


def _counted(counts: dict[str, int]) -> str | None:
    left = {name: count for name, count in counts.items() if count}
    return _json.encode(left).decode() if left else None
