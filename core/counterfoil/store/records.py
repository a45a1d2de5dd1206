"""What reading gives: one frozen struct per view, field for column. JSON columns are parsed."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

__all__ = [
    "Access", "Agent", "Approval", "Cost", "Decision", "Erasure", "Finding", "Handoff", "LlmCall", "Message", "Messages",
    "Node", "Process", "Quarantined", "Run", "Score", "Step", "ToolCall", "Trouble", "record",
]  # fmt: skip

_T = TypeVar("_T")


class Run(msgspec.Struct, frozen=True):
    """A row of `runs`. Times are ISO 8601 UTC and nanoseconds; `cost_usd` is None where no price is known."""

    run_id: str
    name: str | None
    task: str | None
    session_id: str | None
    status: str
    stop_reason: str | None
    resumes: str | None
    first_run_id: str
    frameworks: list[str]
    started_at: str | None
    started_ns: int | None
    ended_at: str | None
    ended_ns: int | None
    duration_ms: float | None
    duration_ns: int | None
    human_wait_ms: float
    human_wait_ns: int
    steps: int
    agents: int
    llm_calls: int
    tool_calls: int
    handoffs: int
    escalations: int
    errors: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    cost_nano: int | None
    unpriced_calls: int
    unknown_usage_calls: int
    labels: dict[str, str] | None
    input: Any
    output: Any
    waiting: int
    open_steps: int
    framework: str | None
    agent: str | None
    root_kind: str | None
    root_step_id: str | None
    agent_names: list[str]


class Step(msgspec.Struct, frozen=True):
    """A row of `steps`."""

    step_id: str
    run_id: str | None
    parent_id: str | None
    kind: str | None
    name: str | None
    agent: str | None
    framework: str | None
    status: str
    evidence: str | None
    started_at: str | None
    started_ns: int | None
    ended_at: str | None
    ended_ns: int | None
    duration_ms: float | None
    duration_ns: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    cost_nano: int | None
    input: Any
    output: Any
    error_type: str | None
    error_message: str | None
    native_id: str | None
    process_id: str | None
    process_seq: int | None
    call_id: str | None
    stop_reason: str | None
    decided_by: str | None
    decided_evidence: str | None
    internal: bool
    version: str | None
    owner: str | None
    folded_into: str | None


class LlmCall(msgspec.Struct, frozen=True):
    """A row of `llm_calls`. Unknown usage is None, never 0."""

    step_id: str
    run_id: str | None
    agent: str | None
    framework: str | None
    provider: str | None
    model: str | None
    request_model: str | None
    response_id: str | None
    started_at: str | None
    started_ns: int | None
    duration_ms: float | None
    duration_ns: int | None
    ttft_ms: float | None
    ttft_ns: int | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    audio_tokens: int | None
    usage_source: str | None
    cached: bool
    cost_usd: float | None
    cost_nano: int | None
    price_source: str | None
    finish_reason: str | None
    status: str
    error_type: str | None
    error_message: str | None
    name: str | None
    evidence: str | None
    raw_usage: Any
    tools: list[Any] | None


class ToolCall(msgspec.Struct, frozen=True):
    """A row of `tool_calls`."""

    step_id: str
    run_id: str | None
    agent: str | None
    framework: str | None
    tool: str | None
    call_id: str | None
    started_at: str | None
    started_ns: int | None
    duration_ms: float | None
    duration_ns: int | None
    arguments: Any
    result: Any
    status: str
    error_type: str | None
    error_message: str | None
    cost_usd: float | None
    cost_nano: int | None
    decided_by: str | None
    decided_evidence: str | None
    evidence: str | None


class Message(msgspec.Struct, frozen=True):
    """A row of `messages`: a message that was new to its call; `position` is its place in the whole input."""

    run_id: str | None
    step_id: str
    direction: str
    position: int
    role: str | None
    content: str | None
    tool_calls: list[Any] | None
    call_id: str | None
    message: Any


class Messages(msgspec.Struct, frozen=True):
    """All messages that went into a step, those of earlier calls included, and those that came out."""

    input: list[Any]
    output: list[Any]


class Handoff(msgspec.Struct, frozen=True):
    """A row of `handoffs`."""

    handoff_id: str
    run_id: str | None
    step_id: str | None
    mode: str | None
    source: str | None
    target: str | None
    target_asked: str | None
    target_type: str | None
    coordinator: str | None
    reason: str | None
    payload: Any
    answer: Any
    status: str | None
    refused_by: str | None
    error_message: str | None
    evidence: str | None
    decided_by: str | None
    decided_evidence: str | None
    target_step_id: str | None
    framework: str | None
    requested_at: str | None
    requested_ns: int | None
    accepted_at: str | None
    accepted_ns: int | None
    returned_at: str | None
    returned_ns: int | None


class Access(msgspec.Struct, frozen=True):
    """A row of `accesses`. `bytes` is the size of what was read, where it is known."""

    run_id: str | None
    step_id: str | None
    agent: str | None
    source: str | None
    query: str | None
    item_id: str | None
    score: float | None
    bytes: int | None
    at: str | None
    at_ns: int | None


class Decision(msgspec.Struct, frozen=True):
    """A row of `decisions`."""

    decision_id: str
    run_id: str | None
    step_id: str | None
    call_id: str | None
    agent: str | None
    action: str | None
    resource: str | None
    verdict: str | None
    rule: str | None
    reason: str | None
    policy: str | None
    policy_version: str | None
    enforced: bool | None
    at: str | None
    at_ns: int | None


class Approval(msgspec.Struct, frozen=True):
    """A row of `approvals`."""

    approval_id: str
    run_id: str | None
    step_id: str | None
    agent: str | None
    tool: str | None
    arguments: Any
    status: str | None
    asked_at: str | None
    asked_ns: int | None
    answered_at: str | None
    answered_ns: int | None
    answered_by: str | None
    comment: str | None


class Score(msgspec.Struct, frozen=True):
    """A row of `scores`."""

    run_id: str | None
    step_id: str | None
    name: str | None
    value: float | None
    label: str | None
    source: str | None
    comment: str | None
    at: str | None
    at_ns: int | None


class Erasure(msgspec.Struct, frozen=True):
    """A row of `erasures`."""

    run_id: str | None
    kind: str
    erased_by: str | None
    reason: str | None
    what: str | None
    events: int | None
    texts: int | None
    at: str
    at_ns: int


class Finding(msgspec.Struct, frozen=True):
    """A row of `findings`."""

    finding_id: str
    run_id: str | None
    step_id: str | None
    detector: str | None
    severity: str | None
    summary: str | None
    cost_usd: float | None
    cost_nano: int | None
    at: str | None
    at_ns: int | None


class Agent(msgspec.Struct, frozen=True):
    """A row of `agents`: an agent's name within a framework, over all runs."""

    agent: str
    framework: str | None
    version: str | None
    owner: str | None
    internal: bool
    model: str | None
    tools: list[str]
    runs: int
    steps: int
    cost_usd: float | None
    cost_nano: int | None
    errors: int
    first_seen: str | None
    first_seen_ns: int | None
    last_seen: str | None
    last_seen_ns: int | None


class Process(msgspec.Struct, frozen=True):
    """A row of `processes`. `alive` is False once it is known to have ended or died (`gone`)."""

    process_id: str
    host: str | None
    pid: int | None
    started_at: str | None
    started_ns: int | None
    ended_at: str | None
    ended_ns: int | None
    alive: bool
    versions: dict[str, str] | None
    gone: bool
    last_seen: str | None
    last_seen_ns: int | None


class Node(msgspec.Struct, frozen=True):
    """A step with those below it, in the order in which they began."""

    step: Step
    children: tuple[Node, ...]


class Cost(msgspec.Struct, frozen=True):
    """What model calls cost, of one agent, model, ... (`key`). With `unpriced_calls`, it is at least this."""

    key: str | None
    calls: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    cost_nano: int | None
    unpriced_calls: int
    unknown_usage_calls: int


class Trouble(msgspec.Struct, frozen=True):
    """An error of our own, in a recording process: where, and how many times by then."""

    process_id: str
    place: str
    count: int
    error_type: str | None
    error_message: str | None
    at: str | None
    at_ns: int | None


class Quarantined(msgspec.Struct, frozen=True):
    """A line of tape that is no event, kept as it was."""

    tape: str
    offset: int
    reason: str | None
    raw: bytes
    at: str | None
    at_ns: int | None


_PARSED = frozenset(
    {
        "agent_names", "answer", "arguments", "frameworks", "input", "labels", "message", "output", "payload", "raw_usage",
        "result", "tool_calls", "tools", "versions",
    }
)  # fmt: skip
_TRUTH = frozenset({"alive", "cached", "enforced", "gone", "internal"})


def record(kind: type[_T], row: tuple[Any, ...]) -> _T:
    """Give the struct of `kind` for a view's row."""
    values = list(row)
    for at, name in enumerate(kind.__struct_fields__):  # type: ignore[attr-defined]  # every kind is a Struct
        value = values[at]
        if value is None:
            continue
        if name in _TRUTH:
            values[at] = bool(value)
        elif name in _PARSED and isinstance(value, str):
            values[at] = _parsed(value)
    return kind(*values)


def _parsed(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return text
