"""`counterfoil drain`: from the tapes into the store."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import click

from counterfoil.cli import screen
from counterfoil.cli.amounts import size
from counterfoil.cli.complaint import complain, until_ctrl_c
from counterfoil.cli.group import COMMANDS, TROUBLE
from counterfoil.cli.options import common
from counterfoil.store import retention
from counterfoil.store.errors import StoreError
from counterfoil.store.ingest import Drainer
from counterfoil.store.read import store_path

if TYPE_CHECKING:
    from counterfoil.store.ingest import Drained

__all__ = ["command"]

#: How often --watch does what the store's settings say.
KEEP_SECONDS: Final = 3_600.0


@click.command("drain", short_help=COMMANDS["drain"])
@click.option("--watch", is_flag=True, help="Go on until Ctrl-C, which is exit code 0.")
@click.option(
    "--every",
    metavar="SECONDS",
    type=click.FloatRange(min=0.05),
    default=1.0,
    show_default=True,
    help="How often --watch looks.",
)
@click.option(
    "--wait",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="How long to wait for another drainer.",
)
@common
@click.pass_context
def command(
    ctx: click.Context, db: str | None, as_json: bool, watch: bool, every: float, wait: float
) -> None:
    """Move recorded events from the tapes into the store.

    Every command that reads does this first. Exit code 1 when something could not be moved. With --watch, what
    `counterfoil settings` says of old runs is done once an hour.
    """
    path = store_path(db)
    with until_ctrl_c() if watch else nullcontext(), Drainer(path) as drainer:
        done = drainer.drain(wait=wait, price=True)
        _tell(path, done, as_json=as_json, watch=watch)
        if not watch:
            if done.busy or done.notices:
                ctx.exit(TROUBLE)
            return
        told = set(done.notices)
        kept_at = -math.inf
        while True:
            if time.monotonic() - kept_at >= KEEP_SECONDS:
                kept_at = time.monotonic()
                drainer.close()
                _keep(path, as_json=as_json)
            time.sleep(every)
            done = drainer.drain(wait=wait, price=True)
            new = done._replace(notices=tuple(one for one in done.notices if one not in told))
            told.update(done.notices)
            if new.events or new.notices:
                _tell(path, new, as_json=as_json, watch=True)


def _keep(path: str, *, as_json: bool) -> None:
    """Do what the store's settings say of old runs."""
    try:
        for said in retention.apply(path):
            if as_json:
                screen.put_json({"store": path, "retention": said}, indent=None)
            else:
                screen.put_now([said])
    except StoreError as error:
        complain(str(error))


def _tell(path: str, done: Drained, *, as_json: bool, watch: bool) -> None:
    for one in done.notices:
        complain(one)
    if as_json:
        told: dict[str, Any] = {"store": path, **done._asdict()}
        screen.put_json(told, indent=None if watch else 2)
        return
    left = f"{size(done.left_bytes)} left on the tapes" if done.left_bytes else "nothing left on the tapes"
    busy = "; another process is draining" if done.busy else ""
    noun = "event" if done.events == 1 else "events"
    screen.put_now([f"{done.events:,} {noun} moved into the store; {left}{busy}."])
