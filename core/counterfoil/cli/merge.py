"""`counterfoil merge`: stores made one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from counterfoil.cli import screen
from counterfoil.cli.amounts import counted
from counterfoil.cli.complaint import complain
from counterfoil.cli.escape import visible
from counterfoil.cli.group import COMMANDS, TROUBLE
from counterfoil.store import merge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from counterfoil.store.merge import Merged

__all__ = ["command", "tell"]


@click.command("merge", short_help=COMMANDS["merge"])
@click.argument("into", metavar="INTO")
@click.argument("stores", metavar="STORE...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Give JSON, as docs/cli.md describes it.")
@click.pass_context
def command(ctx: click.Context, into: str, stores: tuple[str, ...], as_json: bool) -> None:
    """Copy every event of stores into one.

    INTO is made if it is not there; each STORE stays as it is, but that it is drained first. An event comes
    once, however often and in whatever order stores are merged. Exit code 1 when something could not be brought over.
    """
    tell(ctx, into, merge.merge(into, stores), as_json=as_json)


def tell(ctx: click.Context, into: str, merged: Sequence[Merged], *, as_json: bool) -> None:
    """Say what came from where, and end with the exit code that fits."""
    for one in merged:
        for notice in one.notices:
            complain(f"{one.path}: {notice}")
    if as_json:
        screen.put_json(
            {
                "store": os.path.realpath(into),
                "from": [
                    {"path": one.path, **one.copied._asdict(), "notices": one.notices} for one in merged
                ],
            }
        )
    else:
        screen.put(
            f"{visible(one.path)}: {counted(one.copied.events, 'event')} copied, {one.copied.known:,} known already."
            for one in merged
        )
    if any(one.notices for one in merged):
        ctx.exit(TROUBLE)
