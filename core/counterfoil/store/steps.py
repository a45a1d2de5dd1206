"""What each event says of a step: start, amend, and what ended it."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from counterfoil.store.rows import StepRow
from counterfoil.store.stamps import override

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from counterfoil.events import Head, Text
    from counterfoil.store.stamps import Stamps

__all__ = ["RANKS", "amended", "ended", "settle", "started"]

#: What may end a step. The higher wins, of two equals the earlier.
RANKS: Final = {"end": 3, "close": 2, "gone": 1}
_STATUS_OF_RANK: Final = {3: "ok", 2: "cancelled", 1: "interrupted"}

# Columns that a start sets, from its head and from its text; an amend overrides them.
_START_HEAD: Final = (
    ("parent_id", "parent"), ("kind", "kind"), ("evidence", "evidence"), ("internal", "internal"),
    ("decided_by", "decided"), ("decided_evidence", "decided_evidence"), ("resuming", "resuming"),
)  # fmt: skip
_START_TEXT: Final = (
    "name", "agent", "framework", "native_id", "call_id", "task", "session", "version", "owner", "request_model",
)  # fmt: skip
# Columns that an end sets.
_END_HEAD: Final = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "audio_tokens",
    "cached", "ttft_ns", "cost_nano", "folded_into",
)  # fmt: skip
_END_TEXT: Final = (
    "provider", "model", "response_id", "finish_reason", "usage_source", "price_source", "error_type",
    "error_message", "stop_reason",
)  # fmt: skip
#: A start may name these already; an end that does not leaves them.
_EITHER: Final = ("provider", "model")

# All of them at once: attribute by attribute was a twentieth of draining.
_START: Final = (*(column for column, _ in _START_HEAD), *_START_TEXT, "labels")
_start_of_head: Final = attrgetter(*(attribute for _, attribute in _START_HEAD))
_start_of_text: Final = attrgetter(*_START_TEXT)
_END: Final = (*_END_HEAD, *_END_TEXT)
_end_of_head: Final = attrgetter(*_END_HEAD)
_end_of_text: Final = attrgetter(*_END_TEXT)

_encode = msgspec.json.Encoder(order="sorted").encode


def _labels(text: Text) -> str | None:
    return None if text.labels is None else _encode(text.labels).decode()


def _questions(text: Text) -> str | None:
    return None if text.questions is None else _encode(text.questions).decode()


def _common(step: StepRow, head: Head, writer_id: int | None, payloads: Mapping[str, int | None]) -> None:
    step.run_id, step.started_ns, step.q, step.writer_id = head.run, head.t, head.q, writer_id
    step.input_id = payloads.get("input")
    if head.refs or head.base is not None:
        keep = head.keep or 0
        step.in_base, step.in_base_output, step.in_keep = head.base, head.base_output, keep
        step.in_count = keep + len(head.refs)


def started(
    step: StepRow | None,
    stamps: Stamps | None,
    head: Head,
    text: Text,
    payloads: Mapping[str, int | None],
    writer_id: int | None,
) -> StepRow:
    """Give the row with what its start says; it fills what earlier-read events left open."""
    assert head.step is not None
    if step is None:
        step = StepRow(
            step_id=head.step,
            parent_id=head.parent,
            kind=head.kind,
            name=text.name,
            agent=text.agent,
            framework=text.framework,
            evidence=head.evidence,
            internal=head.internal,
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
            questions=_questions(text),
            provider=text.provider,
            model=text.model,
            request_model=text.request_model,
        )
    else:
        assert stamps is not None
        for column, attribute in _START_HEAD:
            if column not in stamps:
                setattr(step, column, getattr(head, attribute))
        for column in _START_TEXT:
            if column not in stamps:
                setattr(step, column, getattr(text, column))
        if "labels" not in stamps:
            step.labels = _labels(text)
        step.questions = _questions(text)
        for column in _EITHER:
            if getattr(step, column) is None:
                setattr(step, column, getattr(text, column))
    _common(step, head, writer_id, payloads)
    return step


def _late(head: Head, text: Text) -> dict[str, Any]:
    said = (*_start_of_head(head), *_start_of_text(text), _labels(text))
    if said.count(None) == len(said):
        return {}
    # An empty string takes away what was said before.
    return {
        column: None if value == "" else value
        for column, value in zip(_START, said, strict=True)
        if value is not None
    }


def _last(head: Head, text: Text) -> Iterator[tuple[str, Any]]:
    return zip(_END, (*_end_of_head(head), *_end_of_text(text)), strict=True)


def amended(step: StepRow, stamps: Stamps, head: Head, text: Text) -> None:
    """Override whatever this amend sets, unless a later one did."""
    values = _late(head, text)
    values |= {column: value for column, value in _last(head, text) if value is not None}
    override(step, stamps, values, head)
    if head.status is not None and stamps.get("status", (0, 0)) <= (head.t, head.q):
        stamps["status"] = (head.t, head.q)
        if step.end_rank == 0:
            step.status = head.status


def ended(step: StepRow, stamps: Stamps, head: Head, text: Text, payloads: Mapping[str, int | None]) -> bool:
    """Take what this end says, if it wins over what ended the step before; tell whether it does."""
    # What an end says that belongs to the start counts like an amend, also when another end wins.
    if late := _late(head, text):
        override(step, stamps, late, head)
    rank = RANKS[head.k]
    replaces = step.end_rank > 0
    if replaces and (rank, -head.t) <= (step.end_rank, -(step.ended_ns or 0)):
        return False
    step.end_rank, step.ended_ns = rank, head.t
    step.status = _STATUS_OF_RANK[rank] if rank == RANKS["gone"] else head.status or _STATUS_OF_RANK[rank]
    for column, value in _last(head, text):
        if (value is not None or (replaces and column not in _EITHER)) and column not in stamps:
            setattr(step, column, value)
    step.output_id = payloads.get("output")
    step.usage_id = payloads.get("usage")
    step.out_base = step.out_base_output = step.out_keep = step.out_count = None
    if head.refs or head.base is not None:
        keep = head.keep or 0
        step.out_base, step.out_base_output, step.out_keep = head.base, head.base_output, keep
        step.out_count = keep + len(head.refs)
    return True


def settle(step: StepRow, stamps: Stamps) -> None:
    """Say what an open step is: a question to a human waits, all else runs, unless an amend knows better."""
    if step.end_rank == 0 and "status" not in stamps:
        step.status = "waiting" if step.kind == "human" else "running"
