"""`counterfoil settings`: what the store is told once."""

from __future__ import annotations

import os

import click

from counterfoil.cli import screen
from counterfoil.cli.group import COMMANDS
from counterfoil.cli.options import common
from counterfoil.store import settings
from counterfoil.store.errors import StoreError
from counterfoil.store.read import store_path

__all__ = ["command"]


@click.command("settings", short_help=COMMANDS["settings"])
@click.argument("name", required=False, type=click.Choice([*settings.NAMES]))
@click.argument("value", required=False)
@common
def command(db: str | None, as_json: bool, name: str | None, value: str | None) -> None:
    """Show or set what the store does by itself with what is old.

    NAME is `erase-after` (content of runs that ended so long ago is erased) or `prune-after` (such runs are dropped), VALUE a
    length of time as 12h, 90d or 52w, or `off`. `counterfoil drain --watch` does it, once an hour.
    """
    path = store_path(db)
    if value is not None and name is not None:
        try:
            if value != "off":
                settings.nanoseconds(value)
        except StoreError as error:
            raise click.UsageError(str(error)) from None
        if not os.path.exists(path) and not os.path.isdir(f"{path}.tape"):
            raise StoreError(f"{path}: nothing has been recorded here; name another file with --db.")
        settings.put(path, name, value)
    made = settings.made(path)
    shown = {one: made.get(one) for one in settings.NAMES if name in {None, one}}
    if as_json:
        screen.put_json({"store": path, "settings": shown})
    else:
        screen.put(f"{one} {value or 'off'}: {settings.NAMES[one]}" for one, value in shown.items())
