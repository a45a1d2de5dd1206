"""Numbered lines put on a process's own tape, and read from it again."""

from __future__ import annotations

from pathlib import Path

from counterfoil import ids
from counterfoil.events import Head, encode
from counterfoil.tape import Tape
from tape_reading import lines

__all__ = ["counts", "line", "put"]


def line(number: int, size: int = 0) -> bytes:
    """Give an event that says `number`, with a part of `size` characters if any."""
    head = Head(k="trouble", t=ids.now_ns(), q=number, count=number, parts=("payload",) if size else ())
    return encode(head) + (b'\t"' + b"x" * size + b'"' if size else b"") + b"\n"


def put(written: Tape, number: int, size: int = 0) -> bool:
    """Write such an event; tell whether it was taken."""
    return written.write(line(number, size), written.begin())


def counts(db: Path) -> list[int]:
    """Give what the events on the tapes of `db` say."""
    return [one.head.count for one in lines(db, "trouble")]
