"""Tables that fit the screen: what is short stays whole, what is long is cut, what matters least goes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["READABLE", "Column", "clip", "hanging", "table"]

GAP: Final = 1
#: A column that may be cut is not cut below this.
READABLE: Final = 8


class Column(msgspec.Struct, frozen=True):
    """A column: its heading, and what may happen to it when the screen is narrow.

    `short` is its heading then. `cut` says that its text may be cut; `drop` > 0 that it may be left out, the
    highest first, and on a screen always where it is empty.
    """

    title: str
    short: str = ""
    right: bool = False
    cut: bool = False
    drop: int = 0


def clip(text: str, width: int) -> str:
    """Give `text` in at most `width` cells, the end as `…` where it does not fit."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 1 else "…"[:width]


def table(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int | None) -> list[Text]:
    """Give the heading and one line per row, in `width` cells or, with None, as wide as it wants to be.

    The cells' text must be visible already (`escape.visible`).
    """
    shown, widths, titles = _fit(columns, rows, width)
    heading = [Text(titles[index], style="dim") for index in shown]
    return [
        _line([columns[index] for index in shown], cells, [widths[index] for index in shown])
        for cells in (heading, *([row[index] for index in shown] for row in rows))
    ]


def _fit(
    columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int | None
) -> tuple[list[int], dict[int, int], dict[int, str]]:
    """Give which columns are shown, how wide each is, and its heading."""
    shown = list(range(len(columns)))
    content = {index: max((cell_len(row[index].plain) for row in rows), default=0) for index in shown}
    titles = {index: column.title for index, column in enumerate(columns)}

    def natural() -> dict[int, int]:
        return {index: max(content[index], cell_len(titles[index])) for index in shown}

    if width is None:
        return shown, natural(), titles
    # A column with nothing in it says nothing.
    shown = [index for index in shown if content[index] or not columns[index].drop]
    widths = natural()
    if _total(widths) <= width:
        return shown, widths, titles
    titles = {index: column.short or column.title for index, column in enumerate(columns)}
    widths = natural()
    droppable = sorted(
        (index for index in shown if columns[index].drop), key=lambda index: -columns[index].drop
    )
    while True:
        widths = _cut(natural(), [index for index in shown if columns[index].cut], width)
        if _total(widths) <= width or not droppable:
            return shown, widths, titles
        shown.remove(droppable.pop(0))


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _cut(widths: dict[int, int], cuttable: list[int], width: int) -> dict[int, int]:
    """Take from the widest of those that may be cut until all fit, or all are at their least."""
    over = _total(widths) - width
    while over > 0 and cuttable:
        widest = max(cuttable, key=lambda index: widths[index])
        if widths[widest] <= READABLE:
            break
        widths[widest] -= 1
        over -= 1
    return widths


def _line(columns: Sequence[Column], cells: Sequence[Text], widths: Sequence[int]) -> Text:
    line = Text(no_wrap=True)
    for index, (column, cell, width) in enumerate(zip(columns, cells, widths, strict=True)):
        if index:
            line.append(" " * GAP)
        fitted = cell if cell_len(cell.plain) <= width else _clipped(cell, width)
        blank = " " * (width - cell_len(fitted.plain))
        if column.right:
            line.append(blank)
        line.append_text(fitted)
        if not column.right:
            line.append(blank)
    line.rstrip()
    return line


def _clipped(cell: Text, width: int) -> Text:
    kept = clip(cell.plain, width)
    return cell[: len(kept) - 1].append("…", style=cell.style)


def hanging(line: Text, indent: int, width: int | None) -> list[Text]:
    """Give `line` in pieces of at most `width` cells, all but the first `indent` to the right."""
    if width is None or cell_len(line.plain) <= width or width - indent < READABLE:
        return [line]
    head, rest = line[:indent], line[indent:]
    pieces = rest.wrap(Console(width=width), width - indent)
    for piece in pieces:
        piece.rstrip()
    return [head + pieces[0], *(Text(" " * indent) + piece for piece in pieces[1:])]
