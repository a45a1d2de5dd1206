"""`counterfoil handoffs`: who hands work to whom, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
from rich.text import Text

from counterfoil.analysis.handed import edges
from counterfoil.cli import screen
from counterfoil.cli.escape import visible
from counterfoil.cli.group import COMMANDS
from counterfoil.cli.options import common
from counterfoil.cli.reading import reading
from counterfoil.cli.table import Column, table

if TYPE_CHECKING:
    from counterfoil.analysis.handed import Edge

__all__ = ["command"]

_COLUMNS: Final = (
    Column("SOURCE", cut=True),
    Column("TARGET", cut=True),
    Column("MODE"),
    Column("COUNT", right=True),
    Column("RETURNED", "RET", right=True),
    Column("REFUSED", "REF", right=True),
    Column("FAILED", "FAIL", right=True),
    Column("ABANDONED", "ABAND", right=True),
)


@click.command("handoffs", short_help=COMMANDS["handoffs"])
@common
def command(db: str | None, as_json: bool) -> None:
    """Count handoffs: who hands work to whom, and what comes of it.

    Shares are of the count. Only an escalation returns. A target that is no agent has its type beside it.
    """
    with reading(db) as store:
        found = edges(store)
    if as_json:
        screen.put_json(found)
    elif found:
        screen.put(table(_COLUMNS, [_row(edge) for edge in found], screen.width()))
    else:
        screen.put(["No handoffs have been recorded."])


def _row(edge: Edge) -> list[Text]:
    kind = f" ({edge.target_type})" if edge.target_type not in {None, "agent"} else ""
    return [
        Text(visible(edge.source or "(nobody)"), style="bold"),
        Text(visible((edge.target or "?") + kind)),
        Text(edge.mode or "?"),
        Text(f"{edge.count:,}"),
        Text(_share(edge.returned, edge.count) if edge.mode == "escalation" else ""),
        *(
            Text(_share(part, edge.count) if part else "", style="red")
            for part in (edge.refused, edge.failed)
        ),
        Text(_share(edge.abandoned, edge.count) if edge.abandoned else "", style="magenta"),
    ]


def _share(part: int, whole: int) -> str:
    share = part / whole
    # What is not all or nothing is never shown as such.
    return f"{min(99, max(1, round(share * 100)))}%" if 0 < part < whole else f"{share:.0%}"
