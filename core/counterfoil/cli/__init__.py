"""The command line: `counterfoil <command>`. Nothing of the store or of rich is imported before a command runs."""

from __future__ import annotations

import gc
import io
import sys

from counterfoil.cli.group import cli

__all__ = ["cli", "main"]

GC_THRESHOLD = (100_000, 20, 50)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    # A drain makes many objects an event and hardly a cycle: looking for cycles took a sixth of its time.
    gc.set_threshold(*GC_THRESHOLD)
    # A terminal that knows ASCII only must not turn a name into a traceback.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # With PYTHONUNBUFFERED, usual in containers, standard output drops without a word what one write(2) does
    # not take: the rest of a long answer when the disk is full.
    raw = getattr(sys.stdout, "buffer", None)
    if isinstance(raw, io.RawIOBase):
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=sys.stdout.encoding,
            errors="backslashreplace",
            line_buffering=sys.stdout.isatty(),
        )
    try:
        cli()
    finally:
        # At its end Python looks for cycles among all that was imported: a tenth of a command's time.
        gc.freeze()
