"""What a run shows beside its tree: its head, handoffs, reads, decisions, waits for humans, scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from counterfoil.cli import screen
from counterfoil.cli.amounts import compact, counted, size
from counterfoil.cli.escape import visible
from counterfoil.cli.money import money
from counterfoil.cli.preview import arguments, gist, short
from counterfoil.cli.table import READABLE, hanging
from counterfoil.cli.times import age, duration, local

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from counterfoil.store.records import (
        Access,
        Approval,
        Decision,
        Erasure,
        Handoff,
        LlmCall,
        Run,
        Score,
        Step,
    )

__all__ = ["decision_lines", "handoff_lines", "head_lines", "human_lines", "read_lines", "score_lines"]

INDENT = "  "
LABEL = 9


def head_lines(run: Run, erasures: Sequence[Erasure], width: int | None, now: int) -> Iterator[Text]:
    """Give what is to be said of the run as a whole."""
    title = Text(visible(run.name or "?"), style="bold")
    title.append("  ").append(run.status, style=screen.STATUS_STYLES.get(run.status, "green"))
    if run.stop_reason:
        title.append(f" ({visible(run.stop_reason)})")
    yield title
    began = run.started_ns
    took = run.duration_ns if run.duration_ns is not None else None if began is None else now - began
    times = f"{local(began)} ({age(began, now)} ago), took {duration(took)}" if began is not None else "?"
    if run.duration_ns is None and began is not None:
        times += " so far"
    if run.human_wait_ns:
        times += f", {duration(run.human_wait_ns)} of it waiting for a human"
    counts = [
        counted(run.agents, "agent"),
        counted(run.llm_calls, "llm call"),
        counted(run.tool_calls, "tool call"),
        counted(run.handoffs, "handoff"),
        counted(run.errors, "error"),
    ]
    rows = [
        ("run", run.run_id),
        ("resumes", run.resumes),
        ("task", run.task),
        ("session", run.session_id),
        ("labels", " ".join(f"{key}={value}" for key, value in (run.labels or {}).items())),
        ("started", times),
        ("counts", ", ".join(counts)),
        ("tokens", _tokens(run)),
        ("cost", _cost(run)),
        ("input", "" if run.input is None else gist(run.input)),
        ("output", "" if run.output is None else gist(run.output)),
        ("erased", _erased(erasures)),
    ]
    room = None if width is None else max(READABLE, width - LABEL)
    for label, value in rows:
        if value:
            shown = short(value, room) if label in {"input", "output"} else visible(value)
            yield from hanging(
                Text(label.ljust(LABEL), style="dim").append(shown, style="default"), LABEL, width
            )


def _erased(erasures: Sequence[Erasure]) -> str:
    """Tell of the newest erasure; a large one is recorded in several events."""
    if not erasures:
        return ""
    last = erasures[-1]
    said = f"{local(last.at_ns)} by {last.erased_by or '?'}"
    return f"{said}: {last.reason}" if last.reason else said


def _tokens(run: Run) -> str:
    unknown = run.unknown_usage_calls
    if run.input_tokens is None and run.output_tokens is None:
        return f"? ({counted(unknown, 'call')} did not tell)" if unknown else ""
    least = "≥" if unknown else ""
    given, made = (
        "?" if number is None else least + compact(number) for number in (run.input_tokens, run.output_tokens)
    )
    return f"{given} in, {made} out" + (f" ({counted(unknown, 'call')} did not tell)" if unknown else "")


def _cost(run: Run) -> str:
    if run.cost_nano is None and not run.unpriced_calls:
        return "?" if run.llm_calls else ""
    unpriced = run.unpriced_calls
    note = f" ({counted(unpriced, 'call')} without a known price)" if unpriced else ""
    return money(run.cost_nano, unpriced=unpriced) + note


def _section(title: str, lines: list[Text]) -> Iterator[Text]:
    if lines:
        yield Text("")
        yield Text(title, style="bold")
        yield from (Text(INDENT).append_text(line) for line in lines)


def _under(text: str, width: int | None) -> Text:
    return Text(INDENT + short(text, None if width is None else width - 2 * len(INDENT)), style="dim")


def handoff_lines(
    handoffs: Sequence[Handoff], calls: Mapping[str, LlmCall], width: int | None
) -> Iterator[Text]:
    """Give who handed the work to whom: how, why, what came of it, and who decided it."""
    lines: list[Text] = []
    for one in handoffs:
        line = Text(f"{visible(one.source or '?')} → {visible(one.target or one.target_asked or '?')}")
        line.append(f"  {one.mode or '?'}", style="dim")
        status = one.status or "?"
        line.append("  ").append(status, style=screen.STATUS_STYLES.get(status, ""))
        ended = one.returned_ns or one.accepted_ns
        if one.requested_ns is not None and ended is not None:
            line.append(f" after {duration(ended - one.requested_ns)}", style="dim")
        if one.evidence not in {None, "native"}:
            line.append(f"  ({one.evidence})", style="dim")
        lines.append(line)
        if one.target_asked and one.target and one.target_asked != one.target:
            lines.append(_under(f"asked for {one.target_asked}", width))
        if one.target_type not in {None, "agent"}:
            lines.append(_under(f"to a {one.target_type}", width))
        if one.reason:
            lines.append(_under(f"because: {one.reason}", width))
        if one.decided_by or one.coordinator:
            lines.append(_under(_decider(one, calls), width))
        if one.refused_by:
            lines.append(_under(f"refused by {one.refused_by}", width))
        if one.error_message:
            lines.append(_under(f"! {one.error_message}", width))
    yield from _section("Handoffs", lines)


def _decider(handoff: Handoff, calls: Mapping[str, LlmCall]) -> str:
    said = []
    if handoff.decided_by:
        call = calls.get(handoff.decided_by)
        model = (call.model or call.request_model or call.name) if call is not None else None
        evidence = f", {handoff.decided_evidence}" if handoff.decided_evidence not in {None, "native"} else ""
        said.append(f"llm {model or 'step'} (step {handoff.decided_by}{evidence})")
    if handoff.coordinator:
        said.append(f"coordinator {handoff.coordinator}")
    return f"decided by {', '.join(said)}"


def read_lines(accesses: Sequence[Access], width: int | None) -> Iterator[Text]:
    """Give what data was read: one line per agent, source and query."""
    grouped: dict[tuple[Any, ...], list[Access]] = {}
    for one in accesses:
        grouped.setdefault((one.agent, one.source, one.query), []).append(one)
    lines: list[Text] = []
    for (agent, source, query), group in grouped.items():
        items = [one.item_id for one in group if one.item_id is not None]
        known = [one.bytes for one in group if one.bytes is not None]
        said = []
        if items:
            named = ", ".join(items[:4]) + (", …" if len(items) > 4 else "")
            said.append(f"{counted(len(items), 'item')} ({named})")
        elif len(group) > 1:
            said.append(counted(len(group), "time"))
        if known:
            said.append(size(sum(known)))
        line = f"{agent or '?'} read {source or '?'}" + (f"  {', '.join(said)}" if said else "")
        lines.append(Text(short(line, None if width is None else width - len(INDENT))))
        if query:
            lines.append(_under(f"for: {query}", width))
    yield from _section("Data read", lines)


def human_lines(
    steps: Sequence[Step], approvals: Sequence[Approval], width: int | None, now: int
) -> Iterator[Text]:
    """Give what humans were asked, how long that took, and what they said."""
    lines: list[Text] = []
    room = None if width is None else width - len(INDENT)
    for one in steps:
        if one.kind != "human":
            continue
        asked = f"{one.name or '?'}: asked {local(one.started_ns)}"
        if one.ended_ns is not None and one.duration_ns is not None:
            asked += f", {'answered' if one.status == 'ok' else one.status} after {duration(one.duration_ns)}"
        elif one.started_ns is not None:
            asked += f", waiting for {duration(now - one.started_ns)}"
        lines.append(Text(short(asked, room), style="yellow" if one.ended_ns is None else ""))
        lines += [_under(gist(side), width) for side in (one.input, one.output) if side is not None]
    for approval in approvals:
        said = f"approve {approval.tool or '?'}({arguments(approval.arguments)})"
        outcome = approval.status or "?"
        if approval.answered_by:
            outcome += f" by {approval.answered_by}"
        if approval.comment:
            outcome += f": {approval.comment}"
        lines += [Text(short(said, room)), _under(outcome, width)]
    yield from _section("Humans", lines)


def decision_lines(decisions: Sequence[Decision], width: int | None) -> Iterator[Text]:
    """Give what policies said."""
    lines = []
    for one in decisions:
        said = f"{one.verdict or '?'} {one.action or '?'} {one.resource or ''}".rstrip()
        rule = f"rule {one.rule}" if one.rule else ""
        policy = f"{one.policy or ''} {one.policy_version or ''}".strip()
        detail = ", ".join(
            part
            for part in (rule, policy, one.reason, "" if one.enforced is not False else "not enforced")
            if part
        )
        lines.append(Text(short(said, None if width is None else width - len(INDENT))))
        if detail:
            lines.append(_under(detail, width))
    yield from _section("Decisions", lines)


def score_lines(scores: Sequence[Score], steps: Sequence[Step], width: int | None) -> Iterator[Text]:
    """Give how run and steps were judged."""
    names = {step.step_id: f"{step.kind} {step.name or '?'}" for step in steps}
    lines = []
    for one in scores:
        worth = " ".join(
            part for part in ("" if one.value is None else f"{one.value:g}", one.label or "") if part
        )
        said = f"{one.name or '?'} {worth or '?'}  {names.get(one.step_id or '', 'run')}"
        by = " ".join(part for part in (f"by {one.source}" if one.source else "", one.comment or "") if part)
        lines.append(Text(short(f"{said}  {by}".rstrip(), None if width is None else width - len(INDENT))))
    yield from _section("Scores", lines)
