"""`counterfoil cost`: what model calls cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
from rich.text import Text

from counterfoil.cli import screen
from counterfoil.cli.amounts import compact
from counterfoil.cli.escape import visible
from counterfoil.cli.group import COMMANDS
from counterfoil.cli.json_text import record
from counterfoil.cli.money import money
from counterfoil.cli.options import common
from counterfoil.cli.reading import reading
from counterfoil.cli.table import Column, table

if TYPE_CHECKING:
    from counterfoil.store.records import Cost

__all__ = ["command"]

#: What `--by` knows.
KEYS: Final = ("agent", "model", "provider", "framework", "run", "task", "session", "day")


@click.command("cost", short_help=COMMANDS["cost"])
@click.option(
    "--by",
    metavar="KEY",
    type=click.Choice(KEYS),
    help=f"One line for each {', '.join(KEYS[:-1])} or {KEYS[-1]} (UTC), the dearest first.",
)
@click.option("--run", metavar="RUN", help="Of this run alone: the beginning of its id, or `last`.")
@common
def command(db: str | None, as_json: bool, by: str | None, run: str | None) -> None:
    """Say what model calls cost, in total and by agent or model.

    A cost with ≥ before it is at least that: some calls have no known price. What is not known is ?.
    """
    with reading(db) as store:
        total = store.cost(run=run)[0]
        parts = store.cost(by, run=run) if by is not None else []
    if as_json:
        screen.put_json({"by": by, "total": record(total, leave_out={"key"}), "parts": parts})
        return
    columns = (
        Column((by or "").upper(), cut=True),
        Column("CALLS", right=True),
        Column("IN", right=True),
        Column("OUT", right=True),
        Column("COST", right=True),
        Column("UNPRICED", "NO$", right=True, drop=1),
    )
    rows = [_row(part, part.key if part.key is not None else "(none)") for part in parts]
    screen.put(table(columns, [*rows, _row(total, "total")], screen.width()))


def _row(cost: Cost, name: str) -> list[Text]:
    none = "" if not cost.calls else "?"
    return [
        Text(visible(name), style="bold"),
        Text(f"{cost.calls:,}"),
        Text(_tokens(cost.input_tokens, cost.unknown_usage_calls, none)),
        Text(_tokens(cost.output_tokens, cost.unknown_usage_calls, none)),
        Text(money(cost.cost_nano, unpriced=cost.unpriced_calls, nothing=none)),
        Text(str(cost.unpriced_calls or "")),
    ]


def _tokens(number: int | None, unknown: int, none: str) -> str:
    if number is None:
        return none
    return f"≥{compact(number)}" if unknown else compact(number)
