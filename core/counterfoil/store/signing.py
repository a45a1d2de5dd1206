"""Signing a store: begun once, then done by whoever drains it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from counterfoil.guard import report
from counterfoil.store import anchors, checkpoints, tree
from counterfoil.store.errors import StoreError
from counterfoil.store.exclusive import alone

if TYPE_CHECKING:
    import sqlite3

    from counterfoil.store.keys import Signer

__all__ = ["Begun", "after_drain", "begin", "require_key", "sign_now"]


class Begun(NamedTuple):
    """What was signed: how many events, by which key, from which file; how many notes went to the anchor."""

    events: int
    public_key: str
    key_file: str
    is_new: bool
    appended: int
    note: str


def begin(path: str | os.PathLike[str], *, anchor: str | os.PathLike[str] | None = None) -> Begun:
    """Sign what the store at `path` holds, with a key that is made if there is none; from then on each drain signs.

    Raises StoreError with one sentence.
    """
    from counterfoil.store.ingest import drain_all  # noqa: PLC0415  # which signs by `after_drain`

    path = os.path.realpath(os.fspath(path))
    drain_all(path)
    with alone(path) as db:
        key, is_new = checkpoints.begin(db)
        note = _make(db, path, key)
        anchors.send(db)
        appended = anchors.catch_up(db, os.fspath(anchor)) if anchor is not None else 0
    said = checkpoints.parse(note)
    return Begun(said.size if said else 0, str(key.public), key.path, is_new, appended, note)


def require_key(db: sqlite3.Connection) -> None:
    """Raise StoreError with one sentence where the store's key is not here, or it has none."""
    checkpoints.signer(db)


def sign_now(db: sqlite3.Connection, path: str) -> None:
    """Sign what the store holds now. Raises StoreError with one sentence."""
    _make(db, path, checkpoints.signer(db))
    anchors.send(db)


def after_drain(db: sqlite3.Connection, *, ends: bool, at_once: bool = False) -> None:
    """Sign what is there, if it is time, or `at_once`, and the key is here. Never raises: nothing is held up by it."""
    try:
        if checkpoints.sign(db, ends=ends, at_once=at_once):
            anchors.send(db)
    except Exception as error:
        report("counterfoil.store.signing", error)


def _make(db: sqlite3.Connection, path: str, key: Signer) -> str:
    try:
        return checkpoints.make(db, key)
    except tree.MissingError as error:
        raise StoreError(
            f"{path}: event {error.seq} is missing; nothing was signed. See `counterfoil verify`."
        ) from None
