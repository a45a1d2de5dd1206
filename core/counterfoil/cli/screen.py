"""Standard output: tables and trees for people, JSON for programs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

from rich.console import Console
from rich.text import Text

from counterfoil.cli.json_text import to_json

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["STATUS_STYLES", "put", "put_json", "put_now", "width"]

#: Colour says nothing that the word beside it does not.
STATUS_STYLES: Final = {
    "running": "cyan",
    "waiting": "yellow",
    "error": "red",
    "denied": "red",
    "refused": "red",
    "failed": "red",
    "interrupted": "magenta",
    "cancelled": "magenta",
    "abandoned": "magenta",
}

#: For terminals that know ASCII only; one character each, so that columns stay where they are.
_ASCII: Final = str.maketrans(
    {"≥": ">", "→": ">", "…": "~", "├": "|", "└": "`", "─": "-", "│": "|", "·": "-"}
)


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        # rich would end the process with exit code 1; `Commands` has its own way.
        raise BrokenPipeError


def width() -> int | None:
    """Give how many cells a line of standard output has; None where it is no screen: then nothing is cut."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal():
        import shutil  # noqa: PLC0415  # its archive formats cost a command 3 ms, where there is no screen for nothing

        return max(20, shutil.get_terminal_size().columns)
    return None


def put(lines: Iterable[Text | str]) -> None:
    """Write `lines`, whose text is visible already, to standard output."""
    console = _Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True)
    plain = not (sys.stdout.encoding or "ascii").lower().replace("-", "").startswith("utf")
    for line in lines:
        text = line if isinstance(line, Text) else Text(line)
        if plain:
            text = text.copy()
            text.plain = text.plain.translate(_ASCII)
        console.print(text, soft_wrap=True)


def put_json(value: Any, *, indent: int | None = 2) -> None:
    """Write `value` to standard output as JSON; with `indent=None` as one line, sent off at once."""
    sys.stdout.write(to_json(value, indent=indent) + "\n")
    if indent is None:
        sys.stdout.flush()


def put_now(lines: Iterable[Text | str]) -> None:
    """Write `lines` as `put` does, and send them off at once."""
    put(lines)
    sys.stdout.flush()
