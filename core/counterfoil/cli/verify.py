"""`counterfoil verify`: whether the store is what was recorded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import click
from rich.text import Text

from counterfoil.cli import screen
from counterfoil.cli.complaint import complain
from counterfoil.cli.escape import visible
from counterfoil.cli.group import COMMANDS
from counterfoil.cli.options import Moment, common
from counterfoil.store import audit, keys
from counterfoil.store.errors import StoreError
from counterfoil.store.ingest import Drainer
from counterfoil.store.read import may_write, store_path
from counterfoil.store.read import open as open_store

if TYPE_CHECKING:
    from counterfoil.store.audit import Verified

__all__ = ["command"]

#: Something is not as it was sealed; and: the store agrees with itself, which whoever can write it could bring about.
BROKEN: Final = 1
NOT_ANCHORED: Final = 2

_STYLES: Final = {"ok": "green", "broken": "red", "open": "yellow"}


@click.command("verify", short_help=COMMANDS["verify"])
@click.option(
    "--anchor",
    metavar="FILE",
    help="Checkpoints kept elsewhere. [default: $COUNTERFOIL_ANCHOR]",
)
@click.option(
    "--key",
    metavar="KEY",
    help="The public key that must have signed, or a file that holds it. [default: your own]",
)
@click.option(
    "--run", metavar="RUN", help="What belongs to this run alone: the beginning of its id, or `last`."
)
@click.option(
    "--since", metavar="WHEN", type=Moment(), help="What was stored since: 90m, 24h or 7d ago, or a time."
)
@common
@click.pass_context
def command(
    ctx: click.Context,
    db: str | None,
    as_json: bool,
    anchor: str | None,
    key: str | None,
    run: str | None,
    since: int | None,
) -> None:
    """Check that the store is what was recorded.

    Exit code 0: it is, and an anchor outside of it says so too. 1: it is broken. 2: it agrees with itself, but no anchor
    was given, or nothing is signed.
    """
    if run is not None and since is not None:
        raise click.UsageError("give --run or --since, not both")
    path = store_path(db)
    _drain(path)
    anchor = anchor or os.environ.get("COUNTERFOIL_ANCHOR") or None
    if run is not None:
        with open_store(path, drain=False) as store:
            run = store.run(run).run_id
    verified = audit.verify(
        path, anchor=anchor, key=None if key is None else _key(key), run=run, since_ns=since
    )
    if as_json:
        screen.put_json(
            {
                "store": path,
                "events": verified.events,
                "verdict": _verdict(verified)[0],
                "checks": [check._asdict() for check in verified.checks],
            }
        )
    else:
        lines = [
            Text.assemble(
                (f"{check.level:<8}", _STYLES[check.level]), f"{check.name:<13}", visible(check.says)
            )
            for check in verified.checks
        ]
        screen.put([*lines, "", _verdict(verified)[1]])
    ctx.exit(BROKEN if verified.broken else 0 if verified.anchored else NOT_ANCHORED)


def _verdict(verified: Verified) -> tuple[str, str]:
    if verified.broken:
        first = min((check.seq for check in verified.broken if check.seq is not None), default=None)
        return "broken", "Broken." if first is None else f"Broken; the first bad event is {first}."
    if verified.anchored:
        return "ok", "The store is what was recorded, as far as its anchor goes."
    return (
        "not anchored",
        "Consistent, but not anchored: whoever can write the store, and has the key, could have made it so.",
    )


def _drain(path: str) -> None:
    """Bring in what is on the tapes, and sign nothing: what is verified is what others signed."""
    if not may_write(path):
        complain("You may not write to this store: tapes are not drained.")
        return
    try:
        with Drainer(path) as drainer:
            for notice in drainer.drain(wait=5.0, sign=False).notices:
                complain(notice)
    except StoreError as error:
        if not os.path.exists(path):
            raise
        complain(f"The tapes were not drained: {error}")


def _key(given: str) -> keys.PublicKey:
    if os.path.isfile(given):
        with open(given, encoding="utf-8", errors="replace") as file:
            given = file.read(1_000)
    return keys.parse_public(given)
