"""`counterfoil run`: run a program as it is, and record what its agents do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import click

from counterfoil import plugins
from counterfoil.cli.group import COMMANDS
from counterfoil.store import read

__all__ = ["command"]

_STARTUP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "startup")


@click.command(
    "run",
    short_help=COMMANDS["run"],
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--db", metavar="PATH", help="The store; else $COUNTERFOIL_DB, else counterfoil.db here.")
@click.option(
    "--only", metavar="NAME", multiple=True, help="Attach to this framework alone; may be given again."
)
@click.option(
    "--capture",
    metavar="KIND",
    type=click.Choice(["full", "metadata"]),
    help="`full`, or `metadata`: no content at all.",
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
def command(db: str | None, only: tuple[str, ...], capture: str | None, program: tuple[str, ...]) -> None:
    r"""Run a program and record what its agents do.

    With no change to it: every Python that PROGRAM starts attaches to the frameworks that it imports. The exit code is
    the program's.

    \b
    counterfoil run -- python app.py
    """
    known = {adapter.name for adapter in plugins.collect_adapters()}
    unknown = [name for name in only if name not in known]
    if unknown:
        raise click.UsageError(
            f"no adapter is called {', '.join(unknown)}; there are: {', '.join(sorted(known)) or 'none'}"
        )
    found = shutil.which(program[0])
    if found is None:
        raise click.UsageError(f"there is no program {program[0]}")
    environment = os.environ | {
        "COUNTERFOIL_DB": read.store_path(db),
        "PYTHONPATH": os.pathsep.join(filter(None, (_STARTUP, os.environ.get("PYTHONPATH")))),
    }
    if only:
        environment["COUNTERFOIL_ONLY"] = ",".join(only)
    if capture:
        environment["COUNTERFOIL_CAPTURE"] = capture
    sys.stdout.flush()
    if os.name == "posix":  # in our place: signals, terminal and exit code are the program's own
        os.execve(found, program, environment)  # noqa: S606  # running it is what was asked
    sys.exit(subprocess.call((found, *program[1:]), env=environment))
