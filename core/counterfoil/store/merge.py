"""Stores made one: every event of some is copied into another, once, however often that is done."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

from counterfoil.store import copying, ingest, read, schema, tapes
from counterfoil.store.errors import StoreError
from counterfoil.store.exclusive import alone

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from counterfoil.store.copying import Copied
    from counterfoil.store.read import Store

__all__ = ["Merged", "merge", "opened"]

_NO_OPTION: Final = re.compile(r"[,;] (or )?name (a|another)( file)? with --db")


class Merged(NamedTuple):
    """What came from one store: its path, what was copied, and in sentences what could not be."""

    path: str
    copied: Copied
    notices: tuple[str, ...]


def merge(into: str | os.PathLike[str], stores: Sequence[str | os.PathLike[str]]) -> list[Merged]:
    """Copy every event of `stores` into the store at `into`, which is made if it is not there.

    Each event comes once: to merge again, or the other way round, adds nothing. A source is drained first where this
    user may write, and is otherwise left as it is. Stopped halfway, done again it goes on. Raises StoreError with one
    sentence.
    """
    target = os.path.realpath(os.fspath(into))
    paths = [os.path.realpath(os.fspath(store)) for store in stores]
    _distinct([target, *paths])
    with ExitStack() as stack:
        sources = [stack.enter_context(opened(path)) for path in paths]
        if os.path.exists(target) and not read.may_write(target):
            raise StoreError(
                f"{target}: you may not write to it; ask its owner, or merge into another store."
            )
        with alone(target) as db:
            merged = [_merged(source, db) for source in sources]
    # Who resumes whom may be known only now, and what calls cost.
    with ingest.Drainer(target) as drainer:
        drainer.drain(wait=read.WAIT_SECONDS, price=True)
    return merged


def _distinct(paths: Sequence[str]) -> None:
    for at, path in enumerate(paths):
        for other in paths[:at]:
            if path == other or (
                os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other)
            ):
                raise StoreError(f"{path} is named twice; a store cannot be merged with itself.")


def opened(path: str) -> Store:
    """Open the store at `path` to be copied from. It is written to only where it has tapes, or is of an older version."""
    try:
        return read.Store(path, drain=os.path.isdir(tapes.folder_of(path)) or _is_older(path))
    except StoreError as error:
        # The path was no option.
        raise StoreError(_NO_OPTION.sub("", str(error))) from None


def _is_older(path: str) -> bool:
    # From the file's header: a read-only connection would leave files beside it.
    try:
        with open(path, "rb") as file:
            header = file.read(72)
    except OSError:
        return False  # whoever opens it says what is wrong
    version, mark = (int.from_bytes(header[at : at + 4], "big") for at in (60, 68))
    return mark == schema.APPLICATION_ID and version < schema.VERSION


def _merged(source: Store, db: sqlite3.Connection) -> Merged:
    copied = copying.copy_events(source, db)
    copying.copy_bad_lines(source, db)
    notices = list(source.notices) if source.undrained_bytes else []
    if copied.contradicting:
        notices.append(
            f"{copied.contradicting} events stand where other events stand in the store merged into, by the same process "
            "and at the same place of its tape: one of the two was changed. They were left out."
        )
    return Merged(source.path, copied, tuple(notices))
