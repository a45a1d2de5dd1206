"""`counterfoil rebuild`: the built tables, made anew from the events."""

from __future__ import annotations

import click

from counterfoil.cli import screen
from counterfoil.cli.amounts import counted
from counterfoil.cli.group import COMMANDS, TROUBLE
from counterfoil.cli.options import common
from counterfoil.store.read import store_path
from counterfoil.store.rebuild import rebuild

__all__ = ["command"]


@click.command("rebuild", short_help=COMMANDS["rebuild"])
@common
@click.pass_context
def command(ctx: click.Context, db: str | None, as_json: bool) -> None:
    """Make the built tables anew from the events.

    That changes nothing, unless somebody wrote to them. Exit code 1 when it did; they are then as the events say.
    """
    path = store_path(db)
    done = rebuild(path)
    if as_json:
        screen.put_json(
            {"store": path, "events": done.events, "changed": [one._asdict() for one in done.changed]}
        )
    else:
        lines = [
            f"{one.table}: {counted(one.gone, 'row')} gone, {counted(one.new, 'row')} new."
            for one in done.changed
        ]
        said = "they were not what the events say" if done.changed else "nothing changed"
        screen.put([*lines, f"The tables are built anew from {counted(done.events, 'event')}; {said}."])
    if done.changed:
        ctx.exit(TROUBLE)
