"""`counterfoil prune`: whole old runs go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from counterfoil.cli import screen
from counterfoil.cli.amounts import counted, size
from counterfoil.cli.asking import is_wanted, user
from counterfoil.cli.complaint import complain
from counterfoil.cli.group import COMMANDS, STOPPED, TROUBLE
from counterfoil.cli.options import Moment, common
from counterfoil.store.prune import foresee, prune
from counterfoil.store.read import store_path

if TYPE_CHECKING:
    from counterfoil.store.prune import Pruned

__all__ = ["command"]


@click.command("prune", short_help=COMMANDS["prune"])
@click.option(
    "--older-than",
    metavar="WHEN",
    type=Moment(),
    required=True,
    help="Runs that ended before then: 365d ago, or an ISO time.",
)
@click.option("--because", metavar="WHY", help="The reason, for the record.")
@click.option("--by", metavar="WHO", help="Who prunes, for the record; user@host.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
@click.pass_context
def command(
    ctx: click.Context,
    db: str | None,
    as_json: bool,
    older_than: int,
    because: str | None,
    by: str | None,
    yes: bool,
) -> None:
    """Drop whole runs that are old.

    Their events go, and all that was made of them. Of each event a hash stays, so that `counterfoil verify` can still check all others, and of the pruning a signed
    record. A run goes with those that it resumes and that resume it, once all of them are old. Exit code 1 when
    something could not be removed.
    """
    path = store_path(db)
    if not yes:
        found = foresee(path, older_than)
        if found.runs and not is_wanted([_said(found, "will go")], verb="prune", quiet=as_json):
            ctx.exit(STOPPED)
    done = prune(path, older_than, by=by or user(), because=because)
    for notice in done.notices:
        complain(notice)
    if as_json:
        screen.put_json({"store": path, **done._asdict()})
    else:
        screen.put([_said(done, "went") if done.runs else "No run is that old."])
    if done.notices:
        ctx.exit(TROUBLE)


def _said(done: Pruned, verb: str) -> str:
    texts = f"{counted(done.texts, 'text')} ({size(done.bytes)})"
    return f"{counted(len(done.runs), 'run')} with {counted(done.events, 'event')} and {texts} {verb}."
