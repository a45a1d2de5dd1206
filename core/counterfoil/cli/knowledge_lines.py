"""What a handoff gave on, and what it left out, on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from counterfoil.cli.amounts import counted
from counterfoil.cli.cause_lines import said_line, with_row
from counterfoil.cli.escape import visible
from counterfoil.cli.preview import short
from counterfoil.cli.table import hanging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from counterfoil.analysis.knowledge import Fact, Knowledge
    from counterfoil.analysis.why import Act

__all__ = ["knowledge_lines"]

INDENT: Final = "  "
#: Of what was left out.
MOST: Final = 6
FIGURES: Final = 8


def knowledge_lines(knowledge: Knowledge, act: Act, width: int | None) -> Iterator[Text]:
    """Give what the target was given of what the source knew, and what it asked for again."""
    yield Text("")
    source, target = visible(act.agent or "the source"), visible(act.name or "the target")
    yield from hanging(Text(f"What {source} knew, and {target} was given", style="bold"), len(INDENT), width)
    room = None if width is None else width - len(INDENT)
    lines: list[Text] = []
    known = knowledge.facts
    whole = [one for one in known if one.given == "whole"]
    if known:
        many = {0: "None", len(known): "All"}.get(len(whole), str(len(whole)))
        told = f"{many} of {counted(len(known), 'message')} as it was said"
        lines += with_row(told, f"steps {knowledge.source_step_id}, {knowledge.target_step_id}", room)
    rest = [one for one in known if one.given != "whole"]
    for number, one in enumerate(rest):
        if number == MOST:
            lines.append(
                Text(f"… {counted(len(rest) - number, 'message')} more; --json has them", style="dim")
            )
            break
        lines += _line(one, room)
    for again in knowledge.asked_again:
        told = f"{again.agent or '?'} called {again.tool or '?'} again as it was called before"
        lines += said_line("", f"{told}: steps {again.step_id}, {again.again_step_id}", room, lines=4)
    if knowledge.target_step_id is not None and not knowledge.asked_again:
        lines.append(Text("No tool was called again with the same arguments."))
    for sentence in knowledge.unknown:
        lines += said_line("", sentence, room, lines=2, style="yellow")
    for line in lines:
        yield Text(INDENT).append_text(line)


def _whose(one: Fact) -> str:
    if one.tool is not None:
        return f"result of {one.tool}"
    return {"user": "user's message", "assistant": "its own answer"}.get(
        one.role or "", f"message of {one.role or '?'}"
    )


def _line(one: Fact, width: int | None) -> Iterator[Text]:
    whose = visible(_whose(one))
    if one.given == "facts":
        told = f"in other words, with its {_listed(one.kept)}"
    elif one.given == "part":
        told = f"without {_listed(one.missing)}"
    elif one.given == "none":
        told = f"left out: {_listed(one.missing)}"
    else:
        told = f"not as it was said, and it has no figures or ids: {short(one.text, 40)}"
    if one.step_id is None:
        yield from said_line("", f"{whose} {told}", width, lines=2)
    else:
        room = None if width is None else 2 * width
        yield from with_row(short(f"{whose} {told}", room), f"step {one.step_id}", width)


def _listed(figures: tuple[str, ...]) -> str:
    more = f", … ({len(figures)})" if len(figures) > FIGURES else ""
    return ", ".join(figures[:FIGURES]) + more
