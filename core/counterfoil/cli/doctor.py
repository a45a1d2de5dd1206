"""`counterfoil doctor`: what is wrong with a store and around it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import click
from rich.text import Text

from counterfoil import adapters, plugins
from counterfoil.cli import screen
from counterfoil.cli.amounts import counted
from counterfoil.cli.complaint import complain
from counterfoil.cli.escape import visible
from counterfoil.cli.group import COMMANDS, TROUBLE
from counterfoil.cli.options import common
from counterfoil.cli.table import hanging
from counterfoil.guard import guarded
from counterfoil.store import health, read
from counterfoil.store.errors import StoreError
from counterfoil.store.health import Check

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from counterfoil.adapters import Adapter

__all__ = ["command"]

_MARKS: Final = {"ok": ("ok", "green"), "note": ("note", "yellow"), "problem": ("PROBLEM", "red")}


@click.command("doctor", short_help=COMMANDS["doctor"])
@click.option("--no-drain", is_flag=True, help="Look at the store as it is; do not drain the tapes first.")
@click.option(
    "--events",
    metavar="N",
    type=click.IntRange(min=0),
    default=10_000,
    show_default=True,
    help="Check the chain of the last N events.",
)
@common
@click.pass_context
def command(ctx: click.Context, db: str | None, as_json: bool, no_drain: bool, events: int) -> None:
    """Examine the store and what is around it.

    Exit code 1 when it finds problems; notes are good to know and no more.
    """
    path = read.store_path(db)
    inside = list(_inside(path, drain=not no_drain, events=events))
    checks = [*health.surroundings(path), *_frameworks(), *inside]
    problems = sum(check.level == "problem" for check in checks)
    if as_json:
        screen.put_json({"store": path, "problems": problems, "checks": checks})
    else:
        screen.put(_lines(checks, problems, screen.width()))
    if problems:
        ctx.exit(TROUBLE)


def _inside(path: str, *, drain: bool, events: int) -> Iterator[Check]:
    if not os.path.exists(path) and not (drain and os.path.isdir(f"{path}.tape")):
        return
    try:
        with read.open(path, drain=drain) as store:
            for one in store.notices:
                complain(one)
            yield from health.contents(path, lambda query: store.sql(query)[1], last=events)
    except StoreError as error:
        yield Check(name="contents", level="problem", says=str(error), count=1)


def _frameworks() -> Iterator[Check]:
    """Say of each framework that is installed whether its versions are supported, and what it does by itself."""
    for adapter in plugins.collect_adapters():
        installed = adapters.versions(adapter.requires)
        if not installed:
            continue
        wrong = adapters.unsupported(adapter.requires)
        says = wrong or (", ".join(f"{name} {version}" for name, version in installed.items()) + ".",)
        for sentence in says:
            yield Check(name=adapter.name, level="note" if wrong else "ok", says=sentence)
        for sentence in _notes(adapter) or ():
            yield Check(name=adapter.name, level="note", says=sentence)


@guarded
def _notes(adapter: Adapter) -> list[str]:
    return [] if adapter.notes is None else [str(one) for one in adapter.notes()]


def _lines(checks: Sequence[Check], problems: int, width: int | None) -> Iterator[Text]:
    names = max(len(check.name) for check in checks)
    for check in checks:
        word, style = _MARKS[check.level]
        line = Text(f"{word:<7} ", style=style)
        line.append(f"{check.name:<{names}}  ", style="dim").append(visible(check.says), style="default")
        yield from hanging(line, len(line.plain) - len(visible(check.says)), width)
        more = check.count - len(check.found) if check.level == "problem" else 0
        named = [*check.found, f"and {more} more"] if check.found and more > 0 else check.found
        for one in named:
            yield from hanging(
                Text(f"{'':{8 + names + 2}}- {visible(one)}", style="dim"), 8 + names + 4, width
            )
    yield Text("")
    yield Text(f"{counted(problems, 'problem').capitalize()} found.", style="red" if problems else "green")
