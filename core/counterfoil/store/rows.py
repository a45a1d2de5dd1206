"""The rows of the built tables, column for column."""

from __future__ import annotations

import msgspec

__all__ = ["ApprovalRow", "HandoffRow", "ProcessRow", "RunRow", "StepRow"]


class StepRow(msgspec.Struct, gc=False):
    """`t_steps`. `end_rank` tells what ended it: 3 `end`, 2 `close`, 1 `gone`, 0 nothing yet.

    `stamps` is JSON, column > [t, q]: the columns that an `amend` has set, and when.
    `in_*` and `out_*` say of which messages input and output are made (see `t_messages`).
    """

    step_id: str
    run_id: str | None = None
    parent_id: str | None = None
    kind: str | None = None
    name: str | None = None
    agent: str | None = None
    framework: str | None = None
    status: str = "running"
    evidence: str | None = None
    internal: bool | None = None
    started_ns: int | None = None
    q: int | None = None
    writer_id: int | None = None
    ended_ns: int | None = None
    end_rank: int = 0
    native_id: str | None = None
    call_id: str | None = None
    decided_by: str | None = None
    decided_evidence: str | None = None
    task: str | None = None
    session: str | None = None
    labels: str | None = None
    version: str | None = None
    owner: str | None = None
    resuming: bool | None = None
    questions: str | None = None  # JSON list: native ids of those that it goes on from
    stop_reason: str | None = None
    input_id: int | None = None
    output_id: int | None = None
    usage_id: int | None = None
    in_base: str | None = None
    in_base_output: bool | None = None
    in_keep: int | None = None
    in_count: int | None = None
    out_base: str | None = None
    out_base_output: bool | None = None
    out_keep: int | None = None
    out_count: int | None = None
    offers: str | None = None
    provider: str | None = None
    model: str | None = None
    request_model: str | None = None
    response_id: str | None = None
    finish_reason: str | None = None
    usage_source: str | None = None
    cached: bool | None = None
    ttft_ns: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    cost_nano: int | None = None
    price_source: str | None = None
    folded_into: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    stamps: str | None = None


class RunRow(msgspec.Struct, gc=False):
    """`t_runs`. Its root step holds name, status and times; here stand sums, exact after every batch.

    `agents` and `frameworks` are JSON, name > how many steps.
    """

    run_id: str
    root_id: str | None = None
    root_ns: int | None = None
    started_ns: int | None = None
    resumes: str | None = None
    first_run_id: str | None = None
    steps: int = 0
    open_steps: int = 0
    waiting: int = 0
    llm_calls: int = 0
    tool_calls: int = 0
    errors: int = 0
    input_tokens: int = 0
    input_known: int = 0
    output_tokens: int = 0
    output_known: int = 0
    cost_nano: int = 0
    priced_calls: int = 0
    unpriced_calls: int = 0
    unknown_usage_calls: int = 0
    human_wait_ns: int = 0
    handoffs: int = 0
    escalations: int = 0
    agents: str | None = None
    frameworks: str | None = None
    unlinked: bool | None = None  # it resumes a run that has not been found yet


class HandoffRow(msgspec.Struct, gc=False):
    """`t_handoffs`. `stamps` is JSON, column > [t, q]: when each was last set."""

    handoff_id: str
    run_id: str | None = None
    step_id: str | None = None
    mode: str | None = None
    source: str | None = None
    target: str | None = None
    target_asked: str | None = None
    target_type: str | None = None
    coordinator: str | None = None
    reason: str | None = None
    payload_id: int | None = None
    answer_id: int | None = None
    status: str | None = None
    refused_by: str | None = None
    error_message: str | None = None
    evidence: str | None = None
    decided_by: str | None = None
    decided_evidence: str | None = None
    target_step_id: str | None = None
    framework: str | None = None
    asked_ns: int | None = None  # of its first event, whatever its status
    requested_ns: int | None = None
    accepted_ns: int | None = None
    returned_ns: int | None = None
    stamps: str | None = None


class ApprovalRow(msgspec.Struct, gc=False):
    """`t_approvals`. `stamps` as in `HandoffRow`."""

    approval_id: str
    run_id: str | None = None
    step_id: str | None = None
    agent: str | None = None
    tool: str | None = None
    arguments_id: int | None = None
    status: str | None = None
    asked_ns: int | None = None
    answered_ns: int | None = None
    answered_by: str | None = None
    comment: str | None = None
    stamps: str | None = None


class ProcessRow(msgspec.Struct, gc=False):
    """`t_processes`: one writer of tapes. It has ended when its `exit` is its last event, or when found gone."""

    writer_id: int
    pid: int | None = None
    host: str | None = None
    boot: str | None = None
    machine: str | None = None
    versions: str | None = None
    frameworks: str | None = None  # JSON, framework > as an `attach` event says
    started_ns: int | None = None
    last_ns: int | None = None
    exit_ns: int | None = None
    gone_ns: int | None = None
