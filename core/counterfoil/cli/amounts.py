"""Counts for people: tokens, bytes, and how many of a thing."""

from __future__ import annotations

from typing import Final

__all__ = ["compact", "counted", "size", "tokens"]

UNKNOWN: Final = "?"


def compact(number: int) -> str:
    """Give `number` in at most five characters: 950, 1.2k, 34k, 5.6M."""
    if abs(number) < 1_000:
        return str(number)
    for factor, unit in ((10**3, "k"), (10**6, "M"), (10**9, "G"), (10**12, "T")):
        tenths = round(number * 10 / factor)
        if abs(tenths) < 100:
            return f"{tenths / 10:.1f}{unit}"
        if abs(round(number / factor)) < 1_000:
            return f"{round(number / factor)}{unit}"
    return f"{number:.1e}"


def tokens(given: int | None, made: int | None, *, unknown: int = 0, nothing: str = UNKNOWN) -> str:
    """Give the sum of input and output tokens; `≥` where `unknown` calls did not tell, `?` where none did."""
    if given is None and made is None:
        return UNKNOWN if unknown else nothing
    total = compact((given or 0) + (made or 0))
    return f"≥{total}" if unknown or given is None or made is None else total


def size(number: int) -> str:
    """Give a number of bytes: 512 B, 1.2 kB, 3.4 MB."""
    if number < 1_000:
        return f"{number} B"
    text = compact(number)
    return f"{text[:-1]} {text[-1]}B"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Give `1 step`, `2 steps`, `no steps`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {plural or noun + 's'}" if number else f"no {plural or noun + 's'}"
