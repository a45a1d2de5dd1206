"""`counterfoil agents`: every agent there ever was, and whom it hands work to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click
from rich.text import Text

from counterfoil.analysis.roster import roster
from counterfoil.cli import screen
from counterfoil.cli.agent_graph import FORMS, graph_lines
from counterfoil.cli.escape import visible
from counterfoil.cli.group import COMMANDS
from counterfoil.cli.money import money
from counterfoil.cli.options import common
from counterfoil.cli.preview import short
from counterfoil.cli.reading import reading
from counterfoil.cli.table import Column, table
from counterfoil.cli.times import age

if TYPE_CHECKING:
    from counterfoil.analysis.roster import KnownAgent

__all__ = ["command"]

#: A screen this wide has room for the names of all tools and models.
WIDE: Final = 130
#: However much room there is, a list gets no more.
LONGEST: Final = 60

_COLUMNS: Final = (
    Column("AGENT", cut=True),
    Column("FRAMEWORK", "FW", cut=True),
    Column("VERSION", "VER", cut=True, drop=4),
    Column("OWNER", cut=True, drop=5),
    Column("MODELS", "MODEL", cut=True, drop=3),
    Column("TOOLS", "TL", cut=True),
    Column("RUNS", right=True),
    Column("STEPS", right=True, drop=6),
    Column("COST", right=True),
    Column("ERRORS", "ERR", right=True),
    Column("SEEN", right=True),
    Column("HANDS TO", cut=True, drop=1),
)


@click.command("agents", short_help=COMMANDS["agents"])
@click.option(
    "--graph",
    metavar="FORM",
    type=click.Choice(FORMS),
    help="Who hands work to whom, as mermaid, dot (Graphviz) or text.",
)
@common
def command(db: str | None, as_json: bool, graph: str | None) -> None:
    """List every agent there ever was, and whom it hands work to.

    The last seen is first. A cost with ≥ before it is at least that. Agents that a framework made are in parentheses. On
    a narrow screen TL is how many tools it called, and MODEL the newest.
    """
    if graph is not None and as_json:
        raise click.UsageError("Give --graph or --json, not both.")
    with reading(db) as store:
        found = roster(store)
    if as_json:
        screen.put_json(found)
    elif graph is not None:
        screen.put(graph_lines(found, graph))
    elif found:
        width, now = screen.width(), time.time_ns()
        screen.put(
            table(_COLUMNS, [_row(one, now, roomy=width is None or width >= WIDE) for one in found], width)
        )
    else:
        screen.put(["No agents have been recorded."])


def _row(one: KnownAgent, now: int, *, roomy: bool) -> list[Text]:
    name = visible(one.agent)
    targets = dict.fromkeys(edge.target or "?" for edge in one.hands_to)
    return [
        Text(f"({name})" if one.internal else name, style="bold"),
        Text(visible(one.framework or "?")),
        Text(visible(one.version or "")),
        Text(visible(one.owner or "")),
        Text(short(", ".join(one.models) if roomy else next(iter(one.models), ""), LONGEST)),
        Text(short(", ".join(one.tools), LONGEST) if roomy else str(len(one.tools) or "")),
        Text(f"{one.runs:,}"),
        Text(f"{one.steps:,}"),
        Text(money(one.cost_nano, unpriced=one.unpriced_calls, nothing="?" if one.models else "")),
        Text(f"{one.errors:,}" if one.errors else "", style="red"),
        Text(age(one.last_seen_ns, now), style="dim"),
        Text(short(", ".join(targets), LONGEST)),
    ]
