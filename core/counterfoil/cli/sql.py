"""`counterfoil sql`: any query, which cannot write."""

from __future__ import annotations

import csv
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from counterfoil.cli import screen
from counterfoil.cli.escape import visible
from counterfoil.cli.group import COMMANDS
from counterfoil.cli.options import common
from counterfoil.cli.reading import reading
from counterfoil.cli.table import Column, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["command"]


@click.command("sql", short_help=COMMANDS["sql"])
@click.argument("query", metavar="QUERY")
@click.option("--csv", "as_csv", is_flag=True, help="Give CSV with a heading; bytes in hexadecimal.")
@common
def command(db: str | None, as_json: bool, query: str, as_csv: bool) -> None:
    """Query the store with SQL; it cannot write.

    QUERY `-` reads the query from standard input. On a screen long values are cut; `--csv`, `--json` or a pipe give
    them whole. The views are documented in docs/sql.md.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    if query == "-":
        query = sys.stdin.read()
    with reading(db) as store, _stoppable():
        names, rows = store.sql(query)
    if as_json:
        keys = _distinct(names)
        screen.put_json([dict(zip(keys, row, strict=True)) for row in rows])
    elif as_csv:
        _put_csv(names, rows)
    else:
        _put_table(names, rows)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let Ctrl-C end the process at once: Python does not see it while SQLite works, and a reader leaves nothing half done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _distinct(names: Sequence[str]) -> list[str]:
    """Give `names` with `:1`, `:2` after those that were there before, as SQLite does in a subquery."""
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        again = seen.get(name, 0)
        seen[name] = again + 1
        distinct.append(f"{name}:{again}" if again else name)
    return distinct


def _put_csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    # To a file or program the values as they are, to a terminal nothing that steers it.
    show = visible if sys.stdout.isatty() else str
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([show(name) for name in names])
    for row in rows:
        writer.writerow([
            "" if value is None else value.hex() if isinstance(value, bytes) else show(value) if isinstance(value, str) else value
            for value in row
        ])  # fmt: skip


def _put_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    numeric = [
        bool(rows) and all(row[index] is None or isinstance(row[index], (int, float)) for row in rows)
        for index in range(len(names))
    ]
    columns = [
        Column(visible(name), right=right, cut=True) for name, right in zip(names, numeric, strict=True)
    ]
    screen.put(table(columns, [[_cell(value) for value in row] for row in rows], screen.width()))


def _cell(value: Any) -> Text:
    if value is None:
        return Text("NULL", style="dim")
    if isinstance(value, bytes):
        return Text(f"x'{value.hex()}'")
    return Text(visible(value) if isinstance(value, str) else str(value))
