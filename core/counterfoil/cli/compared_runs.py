"""Two runs on a screen: where they part, what each took, and their steps beside each other."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from counterfoil.cli import screen
from counterfoil.cli.amounts import compact
from counterfoil.cli.escape import visible
from counterfoil.cli.json_text import record
from counterfoil.cli.money import money
from counterfoil.cli.preview import arguments, gist, short
from counterfoil.cli.run_ids import short_ids
from counterfoil.cli.table import READABLE, Column, hanging, table
from counterfoil.cli.times import duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from counterfoil.analysis.alignment import Entry, Row
    from counterfoil.analysis.pair import AgentShare, Pair, Side
    from counterfoil.store.read import Store

__all__ = ["pair_json", "pair_lines"]

#: Payloads, and how steps were put beside each other.
_LEFT_OUT: Final = frozenset({"given", "result", "like", "told"})
#: No word says more of a step than its mark.
_MARKS: Final = {"same": "=", "changed": "~", "only a": "A", "only b": "B"}
_STYLES: Final = {"same": "dim", "changed": "yellow", "only a": "red", "only b": "green"}
#: Of more steps in a row in which the two did the same, so many are shown at either end.
_ENDS: Final = 2


def pair_json(pair: Pair) -> dict[str, Any]:
    """Give the pair for programs, without payloads."""
    return {
        "a": _side_json(pair.a),
        "b": _side_json(pair.b),
        "parting": pair.parting,
        "agents": pair.agents,
        "steps": [
            {
                "relation": row.relation,
                "changed": row.changed,
                "a": None if row.a is None else record(row.a, leave_out=_LEFT_OUT),
                "b": None if row.b is None else record(row.b, leave_out=_LEFT_OUT),
            }
            for row in pair.rows
        ],
    }


def _side_json(side: Side) -> dict[str, Any]:
    return {"run_id": side.run_id, "name": side.name, **record(side.task)}


def pair_lines(store: Store, pair: Pair, width: int | None, *, full: bool) -> Iterator[Text]:
    """Give the lines of the whole answer; with `full` every step."""
    ids = short_ids(store, [pair.a.run_id, pair.b.run_id])
    for mark, side in (("A", pair.a), ("B", pair.b)):
        yield from _head(mark, ids[side.run_id], side, width)
    yield Text("")
    for sentence in pair.parting:
        yield from hanging(Text(visible(sentence)), 2, width)
    yield Text("")
    yield from _sums(pair, width)
    if pair.agents:
        yield Text("")
        yield from _agents(pair, width)
    if pair.rows:
        yield Text("")
        yield Text("Steps: = the same, ~ with something else, A or B only there", style="dim")
        yield from _steps(pair.rows, width, full=full)


def _head(mark: str, run_id: str, side: Side, width: int | None) -> Iterator[Text]:
    task = side.task
    line = Text(f"{mark}  ", style="bold").append(run_id, style="default")
    line.append(f"  {visible(side.name or '?')}").append(
        f"  {visible(' + '.join(task.frameworks))}", style="dim"
    )
    line.append(f"  {task.status}", style=screen.STATUS_STYLES.get(task.status, "green"))
    if len(task.runs) > 1:
        line.append(f"  {len(task.runs)} runs, one resuming the other")
    yield from hanging(line, 3, width)
    if side.output is not None:
        yield Text(
            f"   {short(gist(side.output), None if width is None else max(READABLE, width - 3))}", style="dim"
        )


# -- what each took


def _sums(pair: Pair, width: int | None) -> Iterator[Text]:
    a, b = pair.a.task, pair.b.task
    rows = [
        ("cost", _cost(a.cost_nano, a.unpriced_calls), _cost(b.cost_nano, b.unpriced_calls)),
        ("time", duration(a.working_ns), duration(b.working_ns)),
        ("waited for humans", _wait(a.human_wait_ns), _wait(b.human_wait_ns)),
        (
            "tokens in",
            _tokens(a.input_tokens, a.unknown_usage_calls),
            _tokens(b.input_tokens, b.unknown_usage_calls),
        ),
        (
            "tokens out",
            _tokens(a.output_tokens, a.unknown_usage_calls),
            _tokens(b.output_tokens, b.unknown_usage_calls),
        ),
        ("models", ", ".join(a.models), ", ".join(b.models)),
        ("llm calls", str(a.llm_calls), str(b.llm_calls)),
        ("tool calls", str(a.tool_calls), str(b.tool_calls)),
        ("handoffs", str(a.handoffs), str(b.handoffs)),
        ("errors", str(a.errors), str(b.errors)),
    ]
    columns = (Column(""), Column("A", right=True, cut=True), Column("B", right=True, cut=True))
    cells = [
        [Text(label, style="bold"), Text(visible(one)), Text(visible(other))]
        for label, one, other in rows
        if one or other
    ]
    yield from table(columns, cells, width)


def _cost(nano: int | None, unpriced: int) -> str:
    return money(nano, unpriced=unpriced, nothing="?" if unpriced else "$0")


def _tokens(number: int | None, unknown: int) -> str:
    if number is None:
        return "?" if unknown else "0"
    return f"≥{compact(number)}" if unknown else compact(number)


def _wait(ns: int) -> str:
    return duration(ns) if ns else ""


def _agents(pair: Pair, width: int | None) -> Iterator[Text]:
    columns = (
        Column("AGENT", cut=True),
        Column("LLM A", right=True),
        Column("B", right=True),
        Column("TOOLS A", right=True),
        Column("B", right=True),
        Column("COST A", right=True),
        Column("B", right=True),
        Column("OWN TIME A", right=True),
        Column("B", right=True),
    )
    rows = []
    for both in pair.agents:
        sides = [_share(both.a), _share(both.b)]
        name = (both.a or both.b).agent  # type: ignore[union-attr]  # one of the two is there
        rows.append(
            [Text(visible(name), style="bold"), *(Text(side[at]) for at in range(4) for side in sides)]
        )
    yield from table(columns, rows, width)


def _share(share: AgentShare | None) -> list[str]:
    if share is None:
        return [""] * 4
    return [
        str(share.llm_calls),
        str(share.tool_calls),
        _cost(share.cost_nano, share.unpriced_calls),
        duration(share.own_ns),
    ]


# -- steps


def _steps(rows: Sequence[Row], width: int | None, *, full: bool) -> Iterator[Text]:
    for same, together in groupby(rows, lambda row: row.relation == "same"):
        run = list(together)
        hidden = len(run) - 2 * _ENDS if same and not full else 0
        if hidden > 1:
            for row in run[:_ENDS]:
                yield from _step(row, width)
            yield Text(f"  = … {hidden} more the same", style="dim")
            run = run[-_ENDS:]
        for row in run:
            yield from _step(row, width)


def _step(row: Row, width: int | None) -> Iterator[Text]:
    entry = row.a or row.b
    assert entry is not None
    indent = "  " * (1 + entry.depth)
    head = Text(f"  {_MARKS[row.relation]}{indent[1:]}", style=_STYLES[row.relation])
    head.append(f"{entry.kind} ", style="dim").append(visible(_name(row)))
    room = None if width is None else max(READABLE, width - len(head.plain) - 1)
    if row.relation != "changed" and (said := _given(entry)):
        head.append(f" {short(said, room)}", style="dim")
    yield head
    if row.relation == "changed":
        for mark, one in (("A", row.a), ("B", row.b)):
            assert one is not None
            before = f"    {indent}{mark} "
            told = _told(one, row.changed)
            yield Text(before, style="dim").append(
                short(told, None if width is None else max(READABLE, width - len(before)))
            )


def _name(row: Row) -> str:
    names = [one.name or "?" for one in (row.a, row.b) if one is not None]
    return names[0] if len(names) == 1 or names[0] == names[1] else f"{names[0]} / {names[1]}"


def _given(entry: Entry) -> str:
    if entry.kind == "tool":
        return arguments(entry.given)
    return "" if entry.given is None else gist(entry.given)


def _told(entry: Entry, changed: Sequence[str]) -> str:
    said = []
    if "agent" in changed:
        said.append(f"by {entry.agent or 'nobody'}")
    if "given" in changed or changed == ("status",):
        said.append(_given(entry))
    if "status" in changed:
        said.append(entry.error_type or entry.status or "?")
    if "result" in changed or entry.result is not None:
        said.append(f"→ {gist(entry.result)}")
    return " ".join(one for one in said if one)
