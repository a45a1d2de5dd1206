"""The command line: `counterfoil <command>`. Nothing of the store or of rich is imported before a command runs."""

from __future__ import annotations

import sys

from counterfoil.cli.group import cli

__all__ = ["cli", "main"]


def main() -> None:
    """Run the command line and end the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows ASCII only must not turn a name into a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    cli()
