"""Groups of tasks on a screen: their numbers beside each other, what differs in sentences, and what cannot be told."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.text import Text

from counterfoil.analysis.groups import named
from counterfoil.cli.amounts import compact, counted
from counterfoil.cli.escape import visible
from counterfoil.cli.money import money
from counterfoil.cli.table import Column, clip, hanging, table
from counterfoil.cli.times import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from counterfoil.analysis.compare import Groups
    from counterfoil.analysis.differences import Difference, KindDifference
    from counterfoil.analysis.groups import Estimate, Group

__all__ = ["amount", "group_lines"]

#: Of a group's name, in a heading.
LONGEST: Final = 20
INDENT: Final = "  "

#: A metric's name on the left, and what is said of the group that has more of it.
_WORDS: Final = {
    "success": ("success", "succeeds more often than"),
    "cost": ("cost", "costs more than"),
    "time": ("time", "takes longer than"),
    "input_tokens": ("tokens in", "reads more tokens than"),
    "output_tokens": ("tokens out", "writes more tokens than"),
    "llm_calls": ("llm calls", "calls models more often than"),
    "tool_calls": ("tool calls", "calls tools more often than"),
    "handoffs": ("handoffs", "hands off more often than"),
    "errors": ("errors", "has more errors than"),
}


def _label(metric: str) -> str:
    return _WORDS[metric][0] if metric in _WORDS else visible(metric.removeprefix("score:"))


def _verb(metric: str) -> str:
    return _WORDS[metric][1] if metric in _WORDS else f"has a higher {_label(metric)} than"


def amount(value: float, unit: str) -> str:
    """Give a number of `unit` for people."""
    if unit == "share":
        return f"{value * 100:.1f} %"
    if unit == "nano-USD":
        return money(round(value))
    if unit == "ns":
        return duration(round(value))
    # What rounds to nothing has no sign.
    return compact(round(value)) if unit == "tokens" else f"{round(value, 2) or 0:.2f}"


def group_lines(groups: Groups, width: int | None) -> Iterator[Text]:
    """Give the lines of the whole answer."""
    if not groups.groups:
        yield from _notes(groups, width)
        yield Text("No task is over that could be compared.")
        return
    head = f"{counted(groups.tasks, 'task')} by {visible(groups.by)}, success: {visible(groups.success)}"
    yield from hanging(Text(head, style="bold"), 2, width)
    yield from _tables(groups, width)
    below = ["Medians of cost, time and tokens, means of the other numbers; below each its interval of 95 %."]
    if any(group.human_wait_ns for group in groups.groups):
        below.append("Time leaves out waits for humans.")
    yield from hanging(Text(" ".join(below), style="dim"), 0, width)
    if groups.differences:
        yield Text("")
        yield from _findings(groups, width)
    yield from _notes(groups, width)


# -- the numbers


def _tables(groups: Groups, width: int | None) -> Iterator[Text]:
    """Give the groups in as many tables as the screen needs."""
    shown_metrics = _happened(groups)
    labels = ["tasks"]
    for metric in shown_metrics:
        labels += [_label(metric), ""]
    columns = [
        (clip(visible(named(group.key)), LONGEST), _cells(group, shown_metrics)) for group in groups.groups
    ]
    compared = [one for one in groups.differences if one.verdict != "not compared"]
    if len(groups.groups) == 2 and compared:
        by_metric = {one.metric: one for one in groups.differences}
        cells = [""]
        for metric in shown_metrics:
            cells += _difference_cells(by_metric[metric])
        columns.append(("DIFFERENCE", cells))
    left = max(map(cell_len, labels))
    start = 0
    while start < len(columns):
        end, used = start, left
        while end < len(columns):
            used += 1 + max(map(cell_len, (columns[end][0], *columns[end][1])))
            if width is not None and used > width and end > start:
                break
            end += 1
        shown = columns[start:end]
        yield Text("")
        rows = [
            [
                Text(label, style="bold"),
                *(Text(cells[at], style="" if label else "dim") for _, cells in shown),
            ]
            for at, label in enumerate(labels)
            if at == 0 or label or any(cells[at] for _, cells in shown)
        ]
        yield from table([Column(""), *(Column(title, right=True) for title, _ in shown)], rows, width)
        start = end


def _happened(groups: Groups) -> list[str]:
    """Give the metrics, without those of which there is nothing in any group: no handoffs, say."""
    return [
        metric
        for at, metric in enumerate(one.metric for one in groups.groups[0].estimates)
        if metric == "success" or any(group.estimates[at].value != 0 for group in groups.groups)
    ]


def _cells(group: Group, metrics: Sequence[str]) -> list[str]:
    cells = [f"{group.tasks:,}"]
    for estimate in group.estimates:
        if estimate.metric in metrics:
            cells += [_value(estimate), _interval(estimate)]
    return cells


def _value(estimate: Estimate) -> str:
    if estimate.value is None:
        return "?"
    shown = amount(estimate.value, estimate.unit)
    return f"≥ {shown}" if estimate.least else shown


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    low, high = amount(estimate.low, estimate.unit), amount(estimate.high, estimate.unit)
    return f"{low.removesuffix(' %')}-{high}"


def _difference_cells(one: Difference) -> tuple[str, str]:
    if one.value is None or one.low is None or one.high is None:
        return "?", ""
    return _points(one.value, one.unit), _range(one.low, one.high, one.unit)


def _points(value: float, unit: str) -> str:
    return f"{value * 100:.1f} points" if unit == "share" else amount(value, unit)


def _range(low: float, high: float, unit: str) -> str:
    if unit == "share":
        return f"{low * 100:.1f} to {high * 100:.1f}"
    return f"{amount(low, unit)} to {amount(high, unit)}"


# -- what differs


def _findings(groups: Groups, width: int | None) -> Iterator[Text]:
    sentences = [*_sentences(groups.differences), *_kind_sentences(groups.differences)]
    if sentences:
        yield Text("What differs", style="bold")
        for sentence in sentences:
            yield from hanging(Text(f"{INDENT}{sentence}"), 4, width)
    happened = _happened(groups)
    compared = [one for one in groups.differences if one.verdict != "not compared" and one.metric in happened]
    if not compared:
        return
    alike = [
        _label(metric)
        for metric, mine in groupby(compared, lambda one: one.metric)
        if not any(_differs(one) for one in mine)
    ]
    pairs = {key for one in compared for key in (one.a, one.b)}
    tasks = sum(group.tasks for group in groups.groups if group.key in pairs)
    if not sentences:
        yield from hanging(
            Text(f"These {counted(tasks, 'task')} cannot tell them apart: not in {_listed(alike)}."),
            0,
            width,
        )
    elif alike:
        yield from hanging(Text(f"Not told apart in {_listed(alike)}."), 0, width)


def _differs(one: Difference) -> bool:
    return one.verdict in {"higher", "lower"} or any(
        kind.verdict in {"higher", "lower"} for kind in one.kinds
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1] if len(names) > 1 else "".join(names)


def _oriented(one: Difference, part: Difference | KindDifference) -> tuple[str, str, str]:
    """Give who has more, who less, and how much more."""
    assert part.value is not None
    assert part.low is not None
    assert part.high is not None
    more, less = named(one.a), named(one.b)
    value, low, high = part.value, part.low, part.high
    if value < 0:
        more, less, value, low, high = less, more, -value, -high, -low
    return visible(more), visible(less), f"by {_points(value, one.unit)} ({_range(low, high, one.unit)})"


def _sentences(differences: Iterable[Difference]) -> Iterator[str]:
    """Say who has more of what: one sentence for a group and a metric, whomever it has more than."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in differences:
        if one.verdict in {"higher", "lower"}:
            more, less, by = _oriented(one, one)
            found.setdefault((one.metric, more), []).append(f"{less}, {by}{_where(one)}")
    for (metric, more), than in found.items():
        yield f"{more} {_verb(metric)} {'; than '.join(than)}"


def _where(one: Difference) -> str:
    """Say in which kinds of task a difference shows, where it does not in all."""
    told = [kind for kind in one.kinds if kind.verdict == one.verdict]
    if not one.kinds or len(told) == len(one.kinds):
        return ""
    if not told:
        return ", in all kinds of task together, in none alone"
    rest = len(one.kinds) - len(told)
    return f", shown in {_kinds(told)}, not in {rest} of {len(one.kinds)} kinds of task"


def _kinds(kinds: Iterable[KindDifference]) -> str:
    return ", ".join(visible(named(kind.task)) for kind in kinds)


def _kind_sentences(differences: Iterable[Difference]) -> Iterator[str]:
    """Say what differs in a kind of task, and is the other way round, or nothing, in all together."""
    for one in differences:
        for kind in one.kinds:
            if kind.verdict in {"higher", "lower"} and kind.verdict != one.verdict:
                more, less, by = _oriented(one, kind)
                turned = ", the other way round" if one.verdict in {"higher", "lower"} else ""
                yield f"In {visible(named(kind.task))}{turned}: {more} {_verb(one.metric)} {less}, {by}"


def _notes(groups: Groups, width: int | None) -> Iterator[Text]:
    notes = [*groups.notes]
    left_out = [one for one in groups.differences if one.why is not None]
    if len(groups.groups) == 2:
        notes += [f"Not compared: {_label(one.metric)}; {one.why}." for one in left_out]
    elif left_out:
        labels = ", ".join(dict.fromkeys(_label(one.metric) for one in left_out))
        notes.append(f"Not compared between some of the groups, as not all of it is known: {labels}.")
    if notes:
        yield Text("")
    for note in notes:
        yield from hanging(Text(visible(note)), 2, width)
