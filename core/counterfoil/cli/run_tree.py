"""A run's steps as a tree: one line each, with what is below it added up, and a line or two of what was said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.text import Text

from counterfoil.cli import screen
from counterfoil.cli.amounts import compact, counted
from counterfoil.cli.escape import visible
from counterfoil.cli.money import money
from counterfoil.cli.preview import arguments, gist, short
from counterfoil.cli.preview import compact as in_full
from counterfoil.cli.table import Column, table
from counterfoil.cli.times import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from counterfoil.store.records import LlmCall, Node, Step

__all__ = ["tree_lines"]

_COLUMNS: Final = (
    Column("STEP", cut=True),
    Column("IN", right=True, drop=2),
    Column("OUT", right=True, drop=2),
    Column("COST", right=True, drop=1),
    Column("TOOK", right=True),
    Column("STATUS"),
)
_STYLES: Final = {"agent": "bold", "workflow": "bold", "human": "yellow"}
#: Kinds whose line says what they were given and what came of it.
_TOLD: Final = frozenset({"tool", "retrieval", "memory", "guardrail", "human", "other"})
_MODELS: Final = frozenset({"llm", "embedding"})


class _Line(msgspec.Struct):
    """A step where it stands in the tree: `first` goes before its own line, `rest` before those below it."""

    node: Node
    first: str
    rest: str
    agent: str | None  # of the nearest agent step at or above


class _Sum(msgspec.Struct):
    """Usage of a step and all below it."""

    calls: int = 0
    given: int | None = None
    made: int | None = None
    unknown_given: int = 0
    unknown_made: int = 0
    nano: int | None = None
    unpriced: int = 0

    def add(self, other: _Sum) -> None:
        """Take another's usage in."""
        self.calls += other.calls
        self.given = _plus(self.given, other.given)
        self.made = _plus(self.made, other.made)
        self.unknown_given += other.unknown_given
        self.unknown_made += other.unknown_made
        self.nano = _plus(self.nano, other.nano)
        self.unpriced += other.unpriced


def _plus(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return one + other


def tree_lines(
    roots: Sequence[Node],
    calls: Mapping[str, LlmCall],
    width: int | None,
    now: int,
    details: Callable[[Step, int], Iterable[Text]] | None = None,
) -> Iterator[Text]:
    """Give the lines of the tree; `calls` are the run's model calls by step.

    Tokens and cost of a step are those of all model calls in it. `details(step, indent)` gives what stands below
    a step's own line, in place of a preview.
    """
    lines = _flat(roots)
    sums = _sums(lines, calls)
    rows = [
        _row(line, calls.get(line.node.step.step_id), sums[line.node.step.step_id], now) for line in lines
    ]
    heading, *drawn = table(_COLUMNS, rows, width)
    yield heading
    for line, row in zip(lines, drawn, strict=True):
        yield row
        before = line.rest + ("│ " if line.node.children else "  ")
        step = line.node.step
        told = details(step, len(before)) if details is not None else _told(step, len(before), width)
        for text in told:
            yield Text(before, style="dim").append_text(text)


def _flat(roots: Sequence[Node]) -> list[_Line]:
    """Give every node with what stands before it; no recursion, as a run may be deeper than Python's stack."""
    lines: list[_Line] = []
    waiting = [_Line(root, "", "", None) for root in reversed(roots)]
    while waiting:
        line = waiting.pop()
        lines.append(line)
        step = line.node.step
        agent = step.agent if step.kind == "agent" else line.agent
        for child in reversed(line.node.children):
            last = child is line.node.children[-1]
            waiting.append(
                _Line(
                    child,
                    line.rest + ("└─ " if last else "├─ "),
                    line.rest + ("   " if last else "│  "),
                    agent,
                )
            )
    return lines


def _sums(lines: Sequence[_Line], calls: Mapping[str, LlmCall]) -> dict[str, _Sum]:
    sums = {line.node.step.step_id: _own(line.node.step, calls) for line in lines}
    for line in reversed(lines):
        for child in line.node.children:
            sums[line.node.step.step_id].add(sums[child.step.step_id])
    return sums


def _own(step: Step, calls: Mapping[str, LlmCall]) -> _Sum:
    if step.kind not in _MODELS or step.folded_into is not None:
        return _Sum()
    if step.ended_ns is None and step.input_tokens is None and step.output_tokens is None:
        return _Sum(calls=1)  # under way: nothing is unknown yet
    told = step.status == "ok" or step.input_tokens is not None
    call = calls.get(step.step_id)
    return _Sum(
        calls=1,
        given=step.input_tokens,
        made=step.output_tokens,
        unknown_given=int(told and step.input_tokens is None),
        unknown_made=int(told and step.output_tokens is None and step.kind == "llm"),
        nano=step.cost_nano,
        unpriced=int(told and step.cost_nano is None and not (call is not None and call.cached)),
    )


def _row(line: _Line, call: LlmCall | None, total: _Sum, now: int) -> list[Text]:
    step = line.node.step
    took = step.duration_ns
    if took is None and step.status in {"running", "waiting"} and step.started_ns is not None:
        took = max(0, now - step.started_ns)
    return [
        _label(line, call),
        Text(_tokens(total.given, total.unknown_given)),
        Text(_tokens(total.made, total.unknown_made)),
        Text(money(total.nano, unpriced=total.unpriced, nothing="")),
        Text(duration(took) if step.started_ns is not None else "?"),
        Text(step.status, style=screen.STATUS_STYLES.get(step.status, "dim")),
    ]


def _label(line: _Line, call: LlmCall | None) -> Text:
    step = line.node.step
    name = step.name
    if call is not None:
        name = call.model or call.request_model or step.name
    label = Text(line.first, style="dim")
    label.append(f"{step.kind or 'step'} ", style="dim")
    label.append(visible(name or "?"), style=_STYLES.get(step.kind or "", ""))
    notes = []
    if step.kind != "agent" and step.agent is not None and step.agent != line.agent:
        notes.append(step.agent)  # it stands elsewhere, yet it was this agent's
    if call is not None and call.cached:
        notes.append("cached")
    if step.folded_into is not None:
        notes.append("counted below")
    if step.stop_reason:
        notes.append(step.stop_reason)
    if notes:
        label.append(f" ({visible(', '.join(notes))})", style="dim")
    return label


def _tokens(number: int | None, unknown: int) -> str:
    if number is None:
        return "?" if unknown else ""
    return f"≥{compact(number)}" if unknown else compact(number)


def _told(step: Step, indent: int, width: int | None) -> list[Text]:
    room = None if width is None else max(8, width - indent)
    lines = []
    if step.kind in _TOLD:
        said = _given_and_made(step, room)
        if said:
            lines.append(Text(said, style="dim"))
    if step.error_type or step.error_message:
        lines.append(Text(short("! " + error_text(step.error_type, step.error_message), room), style="red"))
    return lines


def error_text(kind: str | None, message: str | None) -> str:
    """Give an error as `ValueError: no such customer`."""
    return ": ".join(part for part in (kind, message) if part)


def _given_and_made(step: Step, room: int | None) -> str:
    given = (
        arguments(step.input) if step.kind == "tool" else gist(step.input) if step.input is not None else ""
    )
    made = "" if step.output is None else _result(step.output)
    if not made:
        return short(given, room)
    if not given:
        return short(f"→ {made}", room)
    # Each gets half the line; what one does not need, the other has.
    whole = 160 if room is None else room
    half = (whole - 3) // 2
    made = short(made, max(half, whole - 3 - len(visible(given))))
    return short(f"{short(given, max(half, whole - 3 - len(made)))} → {made}", room)


def _result(output: Any) -> str:
    ids = (
        [one.get("id") or one.get("item_id") for one in output if isinstance(one, dict)]
        if isinstance(output, list)
        else []
    )
    if ids and all(ids) and len(ids) == len(output):  # documents: what they say is in --full
        return f"{counted(len(ids), 'item')} ({', '.join(map(str, ids))})"
    return gist(output) if isinstance(output, (dict, list)) and _holds_messages(output) else in_full(output)


def _holds_messages(value: Any) -> bool:
    if isinstance(value, dict):
        return isinstance(value.get("messages"), list)
    return bool(value) and isinstance(value[-1], dict) and "parts" in value[-1]
