"""Before something goes for good: who does it, and a typed yes."""

from __future__ import annotations

import getpass
import os
import sys
from typing import TYPE_CHECKING

import click

from counterfoil.host import origin

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["is_wanted", "user"]


def is_wanted(said: Iterable[str], *, verb: str, quiet: bool) -> bool:
    """Tell what would go and ask; with `quiet` on standard error. Raises UsageError where there is nobody to ask."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"there is nobody to ask: give --yes to {verb}")
    for line in said:
        click.echo(line, err=quiet)
    if click.prompt(f"Type yes to {verb}", default="no", show_default=False, err=quiet) == "yes":
        return True
    click.echo("Nothing was changed.", err=quiet)
    return False


def user() -> str:
    """Give who runs this command, as far as the system knows."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user here, as in many a container
        name = str(os.getuid()) if hasattr(os, "getuid") else "?"
    host = origin().host
    return f"{name}@{host}" if host else name
