"""The chain of cause on the screen: the choice itself whole, those before it in a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len
from rich.text import Text

from counterfoil.analysis.alignment import same_name
from counterfoil.analysis.cause import Choice, Input, Passed
from counterfoil.cli.amounts import counted
from counterfoil.cli.escape import visible
from counterfoil.cli.preview import arguments, gist, short
from counterfoil.cli.preview import compact as in_full
from counterfoil.cli.table import READABLE, hanging

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from counterfoil.analysis.cause import Link, Result
    from counterfoil.analysis.why import Why

__all__ = ["cause_lines", "said_line", "with_row"]

LABEL: Final = 9
INDENT: Final = "  "
HANGING: Final = 2
#: So many choices before are told, the nearest and the first; those between are counted.
NEAREST: Final = 3
#: Of tools that one choice called.
RESULTS: Final = 4
_INFERRED: Final = {
    "inferred": "inferred: it named the tool before it was called",
    "guessed": "guessed: it is the turn's latest call before",
}


def said_line(label: str, text: str, width: int | None, *, lines: int = 1, style: str = "") -> Iterator[Text]:
    """Give `text` after its label, in at most so many lines."""
    room = None if width is None else max(READABLE, width - LABEL)
    shown = short(text, None if room is None else room * lines - (lines > 1) * READABLE)
    head = Text(label.ljust(LABEL) if label else "", style="dim")
    yield from hanging(head.append(shown, style=style or "default"), LABEL if label else 0, width)


def with_row(told: str, row: str, width: int | None) -> Iterator[Text]:
    """Give `told`, and the row that says so beside it, or, where there is no room, below."""
    if width is None or cell_len(told) + 2 + cell_len(row) <= width:
        yield Text(told).append(f"  {row}", style="dim")
        return
    yield from hanging(Text(told), HANGING, width)
    yield from hanging(Text(" " * HANGING + row, style="dim"), HANGING, width)


def cause_lines(answer: Why, width: int | None) -> Iterator[Text]:
    """Give why it was done: the choice, what came before it, and so on, back to what the run was asked."""
    yield Text("")
    yield Text("Because", style="bold")
    links = list(answer.chain)
    choices = [link for link in links if isinstance(link, Choice)]
    shown = {id(one) for one in (*choices[: NEAREST + 1], *choices[-1:])}
    left_out = 0
    for number, link in enumerate(links):
        if isinstance(link, Choice) and id(link) not in shown:
            left_out += 1
            continue
        if left_out:
            yield from _indented([Text(f"… {counted(left_out, 'model call')} between", style="dim")])
            left_out = 0
        if isinstance(link, Choice):
            first = number == 0
            yield from _choice(answer, link, width, first=first, last=links[number + 1 : number + 2])
            left_out += link.left_out
        elif isinstance(link, Passed):
            yield from _passed(link, width)
        else:
            yield from _input(link, width)


def _indented(lines: Iterable[Text]) -> Iterator[Text]:
    for line in lines:
        yield Text(INDENT).append_text(line)


def _choice(
    answer: Why, link: Choice, width: int | None, *, first: bool, last: Sequence[Link]
) -> Iterator[Text]:
    room = None if width is None else width - len(INDENT)
    own = answer.act.step_id == link.step_id
    who = visible(link.agent or "nobody")
    model = visible(link.model or "model ?")
    chosen = ", ".join(dict.fromkeys(one.tool for one in link.chosen))
    if own:
        told = f"{who}: {model}" + (f" called {visible(chosen)}" if chosen else " answered")
    elif first and link.evidence is not None:
        told = f"{who}: {model} chose it"
    elif first:
        told = f"not known to be a model's choice; the last call of {who} before, {model}"
    elif chosen:
        told = (
            f"before that it chose {visible(chosen)}"
            if link.evidence
            else f"before that {who} chose {visible(chosen)}"
        )
    else:
        told = f"before that {who} answered"
    yield from _indented(with_row(told, f"step {link.step_id}", room))
    deep = None if room is None else room - len(INDENT)
    lines: list[Text] = []
    if first and not own and link.evidence in _INFERRED:
        lines += said_line("known", _INFERRED[link.evidence], deep)
    if link.text:
        lines += said_line("said", link.text, deep, lines=2 if first else 1)
    if link.thought and first:
        lines += said_line("thought", link.thought, deep, lines=2)
    if first:
        for sentence in answer.instructions[:2]:
            lines += said_line("told", sentence, deep, lines=2)
    lines += _given(link, deep, first=first, asked=last)
    if first and link.offers is not None:
        lines += said_line("instead", _offers(link), deep, lines=3)
    elif first:
        lines += said_line("instead", "which tools it could have chosen was not recorded", deep)
    for sentence in link.unknown:
        lines += said_line("missing", sentence, deep, lines=2, style="yellow")
    for line in lines:
        yield from _indented(_indented([line]))


def _given(link: Choice, width: int | None, *, first: bool, asked: Sequence[Link]) -> Iterator[Text]:
    """Give what was new to a call: results of tools, and messages but for instructions and what the run was asked."""
    some = link.results if first else ()
    for number, result in enumerate(some):
        if number == RESULTS:
            yield from said_line("", f"… {counted(len(some) - number, 'more result')}", width, style="dim")
            break
        row = f"step {result.step_id}"
        called = f"{result.tool or '?'}({arguments(result.arguments)})"
        room = None if width is None else width - LABEL - len(row) - 2
        head = Text("after".ljust(LABEL), style="dim").append(short(called, room), style="default")
        yield head.append(f"  {row}", style="dim")
        yield from said_line(" ", f"→ {_came(result)}", width)
    repeats = asked and isinstance(asked[0], Input)
    for message in link.new:
        if message.role == "system" or message.text is None or (repeats and message.role == "user"):
            continue
        yield from said_line("new", f"{message.role or '?'}: {message.text}", width, lines=2 if first else 1)


def _came(result: Result) -> str:
    if result.error or result.status != "ok":
        return f"{result.status}: {result.error or '?'}"
    if result.result is None:
        return "(not recorded, or erased)"
    unseen = "" if result.position is not None else "(not found in what it was given) "
    return f"{unseen}{_told(result.result)}"


def _told(value: Any) -> str:
    return (
        value
        if isinstance(value, str)
        else gist(value)
        if isinstance(value, (dict, list))
        else in_full(value)
    )


def _offers(link: Choice) -> str:
    if not link.offers:
        return "no other tool was on offer; it could have answered itself"
    names = []
    for one in link.offers:
        agents = ["agent" if same_name(name) == same_name(one.tool) else name for name in one.agents]
        names.append(f"{one.tool} ({', '.join(agents)})" if agents else one.tool)
    return f"{', '.join(names)}; or an answer of its own"


def _passed(link: Passed, width: int | None) -> Iterator[Text]:
    row = f"handoff {link.handoff_id}" if link.handoff_id else f"step {link.step_id}"
    verb = {"escalation": "was asked by", "route": "came after", "transfer": "got the work from"}.get(
        link.mode or "", "was called by"
    )
    told = f"{visible(link.target or '?')} {verb} {visible(link.source or link.coordinator or 'nobody')}"
    if link.evidence not in {None, "native"}:
        told += f" ({link.evidence})"
    room = None if width is None else width - len(INDENT)
    yield from _indented(with_row(told, row, room))
    if link.reason:
        deep = None if room is None else room - len(INDENT)
        yield from _indented(_indented(said_line("reason", link.reason, deep, lines=2)))


def _input(link: Input, width: int | None) -> Iterator[Text]:
    room = None if width is None else width - len(INDENT)
    told = f"run {visible(link.name or '?')} was asked"
    if link.resumes:
        told = f"run {visible(link.name or '?')} went on with run {link.resumes}"
    yield from _indented(with_row(told, f"step {link.step_id or '?'}", room))
    deep = None if room is None else room - len(INDENT)
    asked = "(not recorded, or erased)" if link.input is None else gist(link.input)
    yield from _indented(_indented(said_line("input", asked, deep, lines=3)))
