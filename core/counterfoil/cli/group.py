"""The command `counterfoil`: finds a command's file when it is asked for, and turns failures into sentences."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from counterfoil import plugins
from counterfoil.cli.complaint import complain, debugging, sentence
from counterfoil.guard import report
from counterfoil.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BROKEN_PIPE", "COMMANDS", "STOPPED", "TROUBLE", "USAGE", "cli"]

#: Trouble with the store; `doctor` found problems.
TROUBLE: Final = 1
#: A mistake in what was typed.
USAGE: Final = 2
#: Ctrl-C (128 + SIGINT), and nobody reads what we write (128 + SIGPIPE), as a shell reports them.
STOPPED: Final = 130
BROKEN_PIPE: Final = 141

#: Name, and what it does. Its file of the same name is imported when it runs.
COMMANDS: Final = {
    "run": "Run a program and record what its agents do.",
    "runs": "List runs, newest first.",
    "show": "Show what one run did, step by step.",
    "tail": "Follow what is being recorded, live.",
    "cost": "Say what model calls cost, in total and by agent or model.",
    "why": "Say why something was done, and where it was not.",
    "compare": "Compare groups of tasks, or two runs step by step.",
    "agents": "List every agent there ever was, and whom it hands work to.",
    "handoffs": "Count handoffs: who hands work to whom, and what comes of it.",
    "sql": "Query the store with SQL; it cannot write.",
    "drain": "Move recorded events from the tapes into the store.",
    "merge": "Copy every event of stores into one.",
    "export": "Write runs to a file, a store of their own.",
    "import": "Copy what was exported into the store.",
    "erase": "Erase content: of runs, of sessions, or wherever a text stands.",
    "prune": "Drop whole runs that are old.",
    "settings": "Show or set what the store does by itself with what is old.",
    "checkpoint": "Sign what the store holds, now and whenever it is drained.",
    "verify": "Check that the store is what was recorded.",
    "rebuild": "Make the built tables anew from the events.",
    "doctor": "Examine the store and what is around it.",
    "plugins": "List plugins and adapters, with versions and errors.",
}


class Commands(click.Group):
    """Our commands, and those of plugins. A plugin's command never stands in for one of ours."""

    _asked_plugins = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give our commands in the order of use, then those of plugins."""
        self._ask_plugins()
        return [*COMMANDS, *sorted(name for name in super().list_commands(ctx) if name not in COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Give the command `cmd_name`, or None when there is none."""
        if cmd_name in COMMANDS:
            command: click.Command = importlib.import_module(f"counterfoil.cli.{cmd_name}").command
            return command
        self._ask_plugins()
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing ours."""
        rows = []
        for name in self.list_commands(ctx):
            command = None if name in COMMANDS else super().get_command(ctx, name)
            if command is None or not command.hidden:
                rows.append((name, command.get_short_help_str() if command else COMMANDS[name]))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _ask_plugins(self) -> None:
        if self._asked_plugins:
            return
        self._asked_plugins = True
        # One by one: in one pluggy call, a plugin that raises stops the rest.
        for implementation in plugins.manager().hook.register_commands.get_hookimpls():
            offered = {"cli": self}
            try:
                implementation.function(*(offered[name] for name in implementation.argnames))
            except Exception as error:
                report(f"plugin {implementation.plugin_name}: register_commands", error)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and end the process with its exit code; with `standalone_mode=False` give the code."""
        with _Log():
            code = self._run(args, prog_name, complete_var, windows_expand_args, extra)
        if standalone_mode:
            sys.exit(code)
        return code

    def _run(
        self,
        args: Sequence[str] | None,
        prog_name: str | None,
        complete_var: str | None,
        windows_expand_args: bool,
        extra: dict[str, Any],
    ) -> int:
        try:
            code = super().main(
                args,
                prog_name=prog_name,
                complete_var=complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
            sys.stdout.flush()
        except (click.Abort, KeyboardInterrupt):
            return STOPPED
        except BrokenPipeError:
            _let_go_of_output()
            return BROKEN_PIPE
        except Exception as error:
            if debugging():
                raise
            complain(sentence(error))
            _flush_or_let_go()
            return USAGE if isinstance(error, click.UsageError) else TROUBLE
        return code if isinstance(code, int) else 0

    def invoke(self, ctx: click.Context) -> int:
        """Run the command. What it gives back is nobody's exit code: `ctx.exit(1)` is."""
        try:
            super().invoke(ctx)
        except BrokenPipeError:
            # click would take it as an ordinary failure with exit code 1.
            _let_go_of_output()
            return BROKEN_PIPE
        return 0


class _Log:
    """While a command runs, what is logged under `counterfoil` goes to standard error as sentences."""

    def __enter__(self) -> None:
        self._handler = logging.Handler(logging.WARNING)
        self._handler.emit = lambda record: complain(record.getMessage())  # type: ignore[method-assign]  # one line
        logging.getLogger("counterfoil").addHandler(self._handler)

    def __exit__(self, *exception: object) -> None:
        logging.getLogger("counterfoil").removeHandler(self._handler)


def _flush_or_let_go() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        _let_go_of_output()


def _let_go_of_output() -> None:
    """Have the interpreter's last flush go nowhere: it would fail too, and complain in its own way."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):  # standard output is no file
        return


def _show_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"counterfoil {__version__}")
        ctx.exit()


@click.group(
    cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version.",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Read what your agents did, from one SQLite file.

    The store is --db, else $COUNTERFOIL_DB, else counterfoil.db here. A RUN is a run's id, any beginning of
    it that no other has, or `last`.

    Exit codes: 0 all well, 1 trouble with the store, 2 a mistake in what was typed, 130 stopped by Ctrl-C.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
