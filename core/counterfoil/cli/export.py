"""`counterfoil export`: runs into a store of their own."""

from __future__ import annotations

import click

from counterfoil.cli import screen
from counterfoil.cli.amounts import counted
from counterfoil.cli.escape import visible
from counterfoil.cli.group import COMMANDS
from counterfoil.cli.options import common
from counterfoil.cli.reading import reading
from counterfoil.store.export import export

__all__ = ["command"]


@click.command("export", short_help=COMMANDS["export"])
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.argument("file", metavar="FILE")
@click.option(
    "--only", is_flag=True, help="These runs alone, without what they resume and what resumes them."
)
@common
def command(db: str | None, as_json: bool, runs: tuple[str, ...], file: str, only: bool) -> None:
    """Write runs to a file, a store of their own.

    FILE holds them whole, with all that was said in them, and must not exist. The other runs of the same task come
    with them: those they resume, and those that resume them. Any command reads FILE with --db, and `counterfoil
    import` takes it into another store.
    """
    with reading(db) as store:
        done = export(store, runs, file, only=only)
    if as_json:
        screen.put_json({"store": store.path, **done._asdict()})
        return
    screen.put(
        [
            f"{visible(done.file)}: {counted(len(done.runs), 'run')}, {counted(done.events, 'event')}.",
            *done.runs,
        ]
    )
