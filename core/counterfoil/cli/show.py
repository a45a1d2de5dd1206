"""`counterfoil show`: one run, step by step."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.text import Text

from counterfoil.cli import run_sections, screen
from counterfoil.cli.amounts import counted
from counterfoil.cli.escape import visible, visible_lines
from counterfoil.cli.group import COMMANDS
from counterfoil.cli.json_text import record
from counterfoil.cli.options import common
from counterfoil.cli.preview import compact, message_lines
from counterfoil.cli.reading import reading
from counterfoil.cli.run_tree import error_text, tree_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import msgspec

    from counterfoil.store.read import Store
    from counterfoil.store.records import Message, Run, Step

__all__ = ["command"]

#: What `--json` gives only with `--full`: all that was said.
PAYLOADS: Final = frozenset(
    {"input", "output", "arguments", "result", "payload", "answer", "raw_usage", "tools", "query"}
)
#: Payloads are not squeezed into less than this.
NARROW: Final = 30


@click.command("show", short_help=COMMANDS["show"])
@click.argument("run", metavar="[RUN]", default="last")
@click.option("--full", is_flag=True, help="Also messages, arguments, results and other payloads, whole.")
@common
def command(db: str | None, as_json: bool, run: str, full: bool) -> None:
    """Show what one run did, step by step.

    RUN is the run's id, any beginning of it that no other has, or `last` (the default). IN and OUT are tokens; those and
    the cost of a step are of all model calls in it.
    """
    with reading(db) as store:
        shown = store.run(run)
        if as_json:
            screen.put_json(_json(store, shown, full=full))
        else:
            screen.put(_lines(store, shown, screen.width(), full=full))


def _json(store: Store, run: Run, *, full: bool) -> dict[str, Any]:
    left_out = frozenset[str]() if full else PAYLOADS
    rows: dict[str, Sequence[msgspec.Struct]] = {
        "steps": store.steps(run),
        "llm_calls": store.llm_calls(run),
        "tool_calls": store.tool_calls(run),
        "handoffs": store.handoffs(run),
        "accesses": store.accesses(run),
        "decisions": store.decisions(run),
        "approvals": store.approvals(run),
        "scores": store.scores(run),
        "erasures": store.erasures(run),
    }
    if full:
        rows["messages"] = store.new_messages(run)
    return {
        "run": record(run, leave_out=left_out),
        **{name: [record(row, leave_out=left_out) for row in found] for name, found in rows.items()},
    }


def _lines(store: Store, run: Run, width: int | None, *, full: bool) -> Iterator[Text]:
    now = time.time_ns()
    steps = store.steps(run)
    calls = {call.step_id: call for call in store.llm_calls(run)}
    yield from run_sections.head_lines(run, store.erasures(run), width, now)
    yield Text("")
    details = None
    if full:
        said: dict[str, list[Message]] = {}
        for message in store.new_messages(run):
            said.setdefault(message.step_id, []).append(message)
        details = partial(_payloads, said=said, width=width)
    yield from tree_lines(store.tree(run), calls, width, now, details)
    yield from run_sections.handoff_lines(store.handoffs(run), calls, width)
    yield from run_sections.read_lines(store.accesses(run), width)
    yield from run_sections.decision_lines(store.decisions(run), width)
    yield from run_sections.human_lines(steps, store.approvals(run), width, now)
    yield from run_sections.score_lines(store.scores(run), steps, width)


def _payloads(
    step: Step, indent: int, *, said: Mapping[str, list[Message]], width: int | None
) -> Iterator[Text]:
    """Give a step's id, and all that went in and came out of it, the messages that are new to it alone."""
    room = None if width is None else max(NARROW, width - indent)
    yield Text(f"step {step.step_id}", style="dim")
    messages = said.get(step.step_id, [])
    for side, value in (("input", step.input), ("output", step.output)):
        new = [one for one in messages if one.direction == side]
        if new:
            yield from _messages(side, new, room, known=side == "input" or step.kind != "llm")
        listed, rest = _apart(value)
        if listed and not new:
            yield Text(f"{side}: {counted(len(listed), 'message')}, none of them new", style="dim")
        if rest is not None:
            yield from _block(side, compact(rest), room)
    if step.error_type or step.error_message:
        yield from _block("error", error_text(step.error_type, step.error_message), room)


def _apart(value: Any) -> tuple[list[Any], Any]:
    """Give a payload's chat messages, and what else it holds."""
    if isinstance(value, list) and value and all(isinstance(one, dict) and "parts" in one for one in value):
        return value, None
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        listed, _ = _apart(value["messages"])
        if listed:
            return listed, {key: one for key, one in value.items() if key != "messages"} or None
    return [], value


def _messages(side: str, messages: list[Message], room: int | None, *, known: bool) -> Iterator[Text]:
    if known and messages[0].position:
        yield Text(f"{side}: {counted(messages[0].position, 'earlier message')}, then", style="dim")
    for one in messages:
        yield from _block(f"{side} {visible(one.role or '?')}", "\n".join(message_lines(one.message)), room)


def _block(label: str, text: str, room: int | None) -> Iterator[Text]:
    lines = visible_lines(text)
    yield Text(f"{label}:", style="dim")
    for line in lines:
        if room is None:
            yield Text(f"  {line}")
        else:
            wrapped = Text(line).wrap(Console(width=room - 2), room - 2) if line else [Text("")]
            for piece in wrapped:
                piece.rstrip()
                yield Text("  ").append_text(piece)
