"""The one event model: what a line of tape, a row of `events` and every adapter agree on.

An event is a `Head` (ids, numbers and enumerations only: it is hashed and stays for ever) followed by
named parts: `text` (a `Text`: every short string) and bodies (inputs, outputs, messages). All parts are
payloads: committed to by the head's leaf, stored apart, erasable.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

__all__ = [
    "APPROVAL_STATUSES",
    "EVENT_KINDS",
    "FORMAT",
    "HANDOFF_STATUSES",
    "STEP_KINDS",
    "STEP_STATUSES",
    "ApprovalStatus",
    "EventKind",
    "Evidence",
    "HandoffMode",
    "HandoffStatus",
    "Head",
    "Item",
    "Json",
    "Message",
    "RefusedBy",
    "StepKind",
    "StepStatus",
    "TargetType",
    "Text",
    "Usage",
    "blob_part",
    "decode_head",
    "decode_text",
    "encode",
    "message",
    "reasoning_part",
    "text_part",
    "tool_call_part",
    "tool_response_part",
]

#: Version of the tape line. A reader refuses a tape of a newer one.
FORMAT: Final = 1

Json: TypeAlias = Any

EventKind = Literal[
    "open",  # a process opened its tape: first line of every segment
    "exit",  # it ended in good order
    "attach",  # which frameworks it is attached to, and why not to others
    "start",  # a step began
    "amend",  # a fact about a step that became known after its start
    "end",  # the framework said that a step ended
    "close",  # its parent ended first; a later `end` wins
    "gone",  # its process died; a later `end` wins
    "handoff",  # a handoff, or its next status
    "access",  # data was read
    "decision",  # a policy spoke
    "approval",  # a human was asked about one action, or answered
    "answer",  # what a resuming run brought along for the human steps that wait
    "score",  # a judgement
    "resume",  # found at ingest: this run resumes that one
    "price",  # found at ingest: what a call cost, and by which price table
    "erasure",  # content of a run was erased
    "prune",  # whole old runs were dropped
    "trouble",  # an error of our own
]
EVENT_KINDS: Final[tuple[str, ...]] = EventKind.__args__  # type: ignore[attr-defined]  # typeshed hides it

StepKind = Literal[
    "agent",
    "llm",
    "tool",
    "retrieval",
    "embedding",
    "memory",
    "guardrail",
    "human",
    "workflow",
    "task",
    "other",
]
STEP_KINDS: Final[tuple[str, ...]] = StepKind.__args__  # type: ignore[attr-defined]  # typeshed hides it
StepStatus = Literal["running", "ok", "error", "denied", "waiting", "cancelled", "interrupted"]
STEP_STATUSES: Final[tuple[str, ...]] = StepStatus.__args__  # type: ignore[attr-defined]  # as above
HandoffMode = Literal["transfer", "escalation", "route"]
HandoffStatus = Literal["requested", "accepted", "returned", "refused", "failed", "abandoned"]
HANDOFF_STATUSES: Final[tuple[str, ...]] = HandoffStatus.__args__  # type: ignore[attr-defined]  # as above
ApprovalStatus = Literal["waiting", "approved", "edited", "rejected", "expired"]
APPROVAL_STATUSES: Final[tuple[str, ...]] = ApprovalStatus.__args__  # type: ignore[attr-defined]  # as above
Evidence = Literal["native", "inferred", "guessed"]
TargetType = Literal["agent", "human", "workflow"]
RefusedBy = Literal["framework", "policy", "human"]


class Head(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The hashed part of an event: ids, numbers and enumerations, never a free string.

    `t` is nanoseconds since the epoch and never goes back within a process; `q` counts that process's
    events. `parts` names the payloads that follow on the line, in order: `text`, `input`, `output`,
    `usage`, `payload`, `answer`, or `mN` for a message that is given the number N in its process.
    """

    k: str
    t: int
    q: int
    run: str | None = None
    step: str | None = None
    parent: str | None = None
    kind: str | None = None
    status: str | None = None
    evidence: str | None = None
    parts: tuple[str, ...] = ()
    # Messages of a step's input (`start`) or output (`end`): the first `keep` of those of step `base`
    # (its input, or with `base_output` its output), then `refs`: numbers given by `mN` parts.
    base: str | None = None
    base_output: bool | None = None
    keep: int | None = None
    refs: tuple[int, ...] = ()
    offers: tuple[int, ...] = ()  # refs of the tool definitions that the model could choose from
    decided: str | None = None  # the llm step that chose this tool call or handoff
    decided_evidence: str | None = None
    resuming: bool | None = None  # the root continues a waiting run
    internal: bool | None = None  # an agent that the framework made, not the user
    # usage: input includes cached, output includes reasoning; None is unknown
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    cached: bool | None = None  # answered by a cache: costs nothing
    folded_into: str | None = None  # the step inside that tells of the same model call, and counts
    ttft_ns: int | None = None
    cost_nano: int | None = None  # nano-dollars
    # handoff
    handoff: str | None = None
    mode: str | None = None
    target_type: str | None = None
    refused_by: str | None = None
    target_step: str | None = None
    # decision, approval, score, access
    item: str | None = None  # the decision's or approval's own id
    verdict: str | None = None
    enforced: bool | None = None
    value: float | None = None
    bytes: int | None = None
    score: float | None = None
    # open, exit, trouble, resume
    format: int | None = None
    pid: int | None = None
    segment: int | None = None
    count: int | None = None
    resumes: str | None = None
    first_run: str | None = None
    # erasure: how many events (`count`) lost how many texts, and by what they were chosen
    texts: int | None = None
    what: str | None = None  # run, session, match, older-than


class Text(msgspec.Struct, omit_defaults=True, gc=False):
    """Every short string of an event; a payload like any other, so it can be erased."""

    name: str | None = None
    agent: str | None = None
    framework: str | None = None
    native_id: str | None = None
    call_id: str | None = None
    # run (on its root step)
    task: str | None = None
    session: str | None = None
    labels: dict[str, str] | None = None
    version: str | None = None  # of the agent
    owner: str | None = None  # of the agent
    questions: list[str] | None = None  # native ids of those that a resuming run goes on from
    stop_reason: str | None = None
    # model call
    provider: str | None = None
    model: str | None = None
    request_model: str | None = None
    response_id: str | None = None
    finish_reason: str | None = None
    usage_source: str | None = None
    price_source: str | None = None
    # error
    error_type: str | None = None
    error_message: str | None = None
    # handoff
    source: str | None = None
    target: str | None = None
    target_asked: str | None = None
    coordinator: str | None = None
    reason: str | None = None
    # access
    query: str | None = None
    item_id: str | None = None
    # decision, approval, score
    action: str | None = None
    resource: str | None = None
    rule: str | None = None
    policy: str | None = None
    policy_version: str | None = None
    answered_by: str | None = None
    comment: str | None = None
    label: str | None = None
    # open
    writer: str | None = None
    host: str | None = None
    boot: str | None = None
    machine: str | None = None
    versions: dict[str, str] | None = None
    # attach: framework > see frameworks.states
    frameworks: dict[str, str] | None = None
    # trouble
    place: str | None = None
    # erasure, prune; why is its `reason`
    erased_by: str | None = None


class Usage(NamedTuple):
    """Tokens of one model call. Input includes cached, output includes reasoning; None is unknown.

    `raw` is the framework's own usage object, kept beside the numbers. `source` says where they come
    from: `provider`, `stream`, `estimate`.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    raw: Json = None
    source: str | None = None


class Item(NamedTuple):
    """One thing that was read: its id, its score, its size in bytes, where it came from."""

    item_id: str | None = None
    score: float | None = None
    bytes: int | None = None
    source: str | None = None


#: A chat message after OpenTelemetry's GenAI message schema: `role`, `parts`, and sometimes `name`.
#: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ (gen_ai.input.messages)
Message: TypeAlias = dict[str, Any]


def message(role: str, parts: list[dict[str, Json]], *, name: str | None = None) -> Message:
    """Give a message of `role` (`system`, `user`, `assistant`, `tool`) made of `parts`."""
    return {"role": role, "parts": parts} if name is None else {"role": role, "parts": parts, "name": name}


def text_part(content: str) -> dict[str, Json]:
    """Give the part that holds plain text."""
    return {"type": "text", "content": content}


def reasoning_part(content: str) -> dict[str, Json]:
    """Give the part that holds a model's reasoning."""
    return {"type": "reasoning", "content": content}


def tool_call_part(call_id: str | None, name: str, arguments: Json) -> dict[str, Json]:
    """Give the part in which a model asks for a tool."""
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}


def tool_response_part(call_id: str | None, response: Json) -> dict[str, Json]:
    """Give the part that brings a tool's answer back."""
    return {"type": "tool_call_response", "id": call_id, "response": response}


def blob_part(media_type: str | None, content: Json) -> dict[str, Json]:
    """Give the part for an image, a sound or another file: its media type and data or address."""
    return {"type": "blob", "mime_type": media_type, "content": content}


_encoder = msgspec.json.Encoder()
_head_decoder = msgspec.json.Decoder(Head)
_text_decoder = msgspec.json.Decoder(Text)

encode = _encoder.encode
decode_head = _head_decoder.decode
decode_text = _text_decoder.decode
