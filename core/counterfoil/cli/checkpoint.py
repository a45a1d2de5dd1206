"""`counterfoil checkpoint`: what the store holds, signed."""

from __future__ import annotations

import click

from counterfoil.cli import screen
from counterfoil.cli.escape import visible
from counterfoil.cli.group import COMMANDS
from counterfoil.cli.options import common
from counterfoil.store import signing
from counterfoil.store.read import store_path

__all__ = ["command"]


@click.command("checkpoint", short_help=COMMANDS["checkpoint"])
@click.option(
    "--anchor",
    metavar="FILE",
    help="Append the checkpoints that FILE does not hold yet. [always: those that $COUNTERFOIL_ANCHOR names]",
)
@common
def command(db: str | None, as_json: bool, anchor: str | None) -> None:
    """Sign what the store holds, now and whenever it is drained.

    The first time makes the key: outside of the store, in $COUNTERFOIL_KEY, else in your configuration, for you alone.
    """
    path = store_path(db)
    done = signing.begin(path, anchor=anchor)
    if as_json:
        screen.put_json({"store": path, **done._asdict()})
        return
    lines = (
        [f"The key was made in {visible(done.key_file)}: keep it, and keep it out of the store's reach."]
        if done.is_new
        else []
    )
    lines += [f"Signed: {done.events:,} events, by {done.public_key}"]
    if anchor is not None:
        lines.append(f"{visible(anchor)}: {done.appended:,} checkpoints appended.")
    screen.put(lines)
