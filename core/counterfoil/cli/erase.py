"""`counterfoil erase`: content goes, and what stays says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from counterfoil.cli import screen
from counterfoil.cli.amounts import counted, size
from counterfoil.cli.asking import is_wanted, user
from counterfoil.cli.complaint import complain
from counterfoil.cli.escape import visible
from counterfoil.cli.group import COMMANDS, STOPPED, TROUBLE
from counterfoil.cli.options import Moment, common
from counterfoil.cli.reading import reading
from counterfoil.cli.run_ids import short_ids
from counterfoil.store.erase import Selection, erase, foresee

if TYPE_CHECKING:
    from collections.abc import Iterator

    from counterfoil.store.erase import Erased
    from counterfoil.store.read import Store

__all__ = ["command"]

#: More runs that hold what stays are not named one by one.
NAMED: Final = 10


@click.command("erase", short_help=COMMANDS["erase"])
@click.option("--run", "run", metavar="RUN", help="What this run said.")
@click.option("--session", metavar="ID", help="What the runs of this session (conversation, thread) said.")
@click.option("--match", metavar="TEXT", help="Every text that holds TEXT, whoever said it.")
@click.option(
    "--older-than",
    metavar="WHEN",
    type=Moment(),
    help="What runs said that ended before then: 90d ago, or an ISO time.",
)
@click.option("--everywhere", is_flag=True, help="Also what other runs hold: from them too.")
@click.option("--because", metavar="WHY", help="The reason, for the record.")
@click.option("--by", metavar="WHO", help="Who erases, for the record; user@host.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
@click.pass_context
def command(
    ctx: click.Context,
    db: str | None,
    as_json: bool,
    run: str | None,
    session: str | None,
    match: str | None,
    older_than: int | None,
    everywhere: bool,
    because: str | None,
    by: str | None,
    yes: bool,
) -> None:
    """Erase content: of runs, of sessions, or wherever a text stands.

    What was said goes: from the store, its log and its tapes. That something happened stays, with times, tokens and
    cost, and the record of who erased and why. What another run holds too stays until that one is erased. Exit code 1
    when something could not be removed.
    """
    given = [value for value in (run, session, match, older_than) if value is not None]
    if len(given) != 1:
        raise click.UsageError("give one of --run, --session, --match and --older-than")
    if given[0] == "":
        raise click.UsageError("what is to be erased cannot be empty")
    with reading(db) as store:
        selection = _selection(store, run, session, match, older_than, everywhere=everywhere)
        path = store.path
        if not yes:
            found = foresee(path, selection)
            if not (found.is_nothing or is_wanted(_foreseen(store, found), verb="erase", quiet=as_json)):
                ctx.exit(STOPPED)
    done = erase(path, selection, by=by or user(), because=because)
    for notice in done.notices:
        complain(notice)
    if as_json:
        screen.put_json({"store": path, **done._asdict()})
    else:
        screen.put([_said(done, "went")] if not done.is_nothing else ["Nothing to erase."])
    if done.notices:
        ctx.exit(TROUBLE)


def _selection(
    store: Store,
    run: str | None,
    session: str | None,
    match: str | None,
    older_than: int | None,
    *,
    everywhere: bool,
) -> Selection:
    if run is not None:
        return Selection("run", store.run(run).run_id, everywhere)
    if session is not None:
        return Selection("session", session, everywhere)
    if match is not None:
        return Selection("match", match)
    return Selection("older-than", older_than or 0, everywhere)


def _foreseen(store: Store, found: Erased) -> Iterator[str]:
    yield _said(found, "will go")
    names = short_ids(store, [run for run, _ in found.holders if run is not None])
    for run_id, count in found.holders[:NAMED]:
        who = "What is outside of runs" if run_id is None else f"Run {names[run_id]}"
        yield f"{who} holds {counted(count, 'text')} of what stays."
    if len(found.holders) > NAMED:
        yield f"{counted(len(found.holders) - NAMED, 'other run')} too."


def _said(done: Erased, verb: str) -> str:
    runs = counted(len(done.runs), "run")
    said = f"{counted(done.texts, 'text')} ({size(done.bytes)}) of {counted(done.events, 'event')} in {runs} {verb}"
    if done.lines:
        said += f", and {counted(done.lines, 'line')} of tape that had been set aside"
    if done.kept:
        others = counted(len(done.holders), "other")
        said += f"; {counted(done.kept, 'text')} {'stays' if done.kept == 1 else 'stay'}, held by {others}"
    return visible(said + ".")
