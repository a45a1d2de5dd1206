"""`counterfoil import`: an exported file, or any other store, into this one."""  # noqa: N999  # a command is found by its name

from __future__ import annotations

import click

from counterfoil.cli.group import COMMANDS
from counterfoil.cli.merge import tell
from counterfoil.cli.options import common
from counterfoil.store import merge
from counterfoil.store.read import store_path

__all__ = ["command"]


@click.command("import", short_help=COMMANDS["import"])
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@common
@click.pass_context
def command(ctx: click.Context, db: str | None, as_json: bool, files: tuple[str, ...]) -> None:
    """Copy what was exported into the store.

    FILE is what `counterfoil export` wrote, or any other store. The store is made if it is not there; what is
    there already stays as it is. Exit code 1 when something could not be brought over.
    """
    path = store_path(db)
    tell(ctx, path, merge.merge(path, files), as_json=as_json)
