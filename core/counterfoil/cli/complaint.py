"""What goes to standard error: one sentence, never a traceback."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from counterfoil.cli.escape import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["complain", "debugging", "sentence", "until_ctrl_c"]


def complain(what: str) -> None:
    """Write `counterfoil: ` and `what` to standard error, on one line."""
    try:
        click.echo(f"counterfoil: {visible(what)}", err=True)
    except OSError:
        return  # nobody listens there; the exit code still tells


def sentence(error: BaseException) -> str:
    """Give what `error` means to a person."""
    from counterfoil.store.errors import StoreError  # noqa: PLC0415  # nothing of the store before it is needed

    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx is not None else "counterfoil"
        return f"{error.format_message().rstrip('.')}. See `{where} --help`."
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, StoreError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}." if error.filename else f"{error.strerror}."
    kind = type(error).__name__
    said = f"{kind}: {error}" if str(error) else kind
    return f"unexpected trouble, {said}. With COUNTERFOIL_DEBUG=1 the traceback is shown."


@contextmanager
def until_ctrl_c() -> Iterator[None]:
    """Run a block that Ctrl-C ends in good order."""
    try:
        yield
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            click.echo(err=True)  # the prompt goes below the terminal's ^C


def debugging() -> bool:
    """Tell whether tracebacks are wanted."""
    return os.environ.get("COUNTERFOIL_DEBUG", "") not in {"", "0"} and sys.stderr is not None
