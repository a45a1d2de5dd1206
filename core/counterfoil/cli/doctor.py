"""`counterfoil doctor`: what is wrong with a store and around it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Literal

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
from counterfoil.store.health import Check, Told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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
    told: dict[str, Told] = {}
    inside = list(_inside(path, told, drain=not no_drain, events=events))
    checks = [*health.surroundings(path), *_frameworks(told), *inside]
    problems = sum(check.level == "problem" for check in checks)
    if as_json:
        screen.put_json({"store": path, "problems": problems, "checks": checks})
    else:
        screen.put(_lines(checks, problems, screen.width()))
    if problems:
        ctx.exit(TROUBLE)


def _inside(path: str, told: dict[str, Told], *, drain: bool, events: int) -> Iterator[Check]:
    """Say what the store holds; `told` takes what it knows of the frameworks."""
    if not os.path.exists(path) and not (drain and os.path.isdir(f"{path}.tape")):
        return
    try:
        with read.open(path, drain=drain) as store:
            for one in store.notices:
                complain(one)
            told.update(health.frameworks(lambda query: store.sql(query)[1]))
            yield from health.contents(path, lambda query: store.sql(query)[1], last=events)
    except StoreError as error:
        yield Check(name="contents", level="problem", says=str(error), count=1)


def _frameworks(told: Mapping[str, Told]) -> Iterator[Check]:
    """Say of each framework whether it is recorded, if not why not, and what it does by itself."""
    for adapter in plugins.collect_adapters():
        installed = adapters.versions(adapter.requires)
        for sentence in adapters.unsupported(adapter.requires):
            yield Check(name=adapter.name, level="note", says=sentence)
        there = ", ".join(f"{name} {version}" for name, version in installed.items())
        level, says = _state(adapter, told.get(adapter.name), installed=bool(installed))
        yield Check(name=adapter.name, level=level, says=f"{there}: {says}" if there else says)
        for sentence in (_notes(adapter) or ()) if installed else ():
            yield Check(name=adapter.name, level="note", says=sentence)


_HOW: Final = "counterfoil.install() in a program, or `counterfoil run`, attaches to it"


def _state(
    adapter: Adapter, told: Told | None, *, installed: bool
) -> tuple[Literal["ok", "note", "problem"], str]:
    """Say what the newest process that knows something of the framework says."""
    name = adapters.distribution(adapter.requires[0])
    if told is None:
        if not installed:
            return "ok", f"{name} is not installed for this Python."
        return "ok", f"no process that recorded here used it; {_HOW}."
    process = f"process {told.pid} of {told.at}"
    if told.state.startswith("failed: "):
        return "problem", f"{process} could not attach to it: {told.state.removeprefix('failed: ')}"
    if told.state == "attached":
        return "ok", f"{process} is attached to it."
    if told.state == "waiting":
        return "ok", f"{process} is to attach to it when it imports {adapter.module}, and has not."
    if told.recorded:
        return "ok", f"{process} records what it passes the adapter to, and no more; {_HOW}."
    if told.state == "left out":
        return "note", f"{process} imported it, but `only` left it out of counterfoil.install()."
    return "note", f"{process} imported it, but nothing attached to it; {_HOW}."


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
