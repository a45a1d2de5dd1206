"""Money for people: nano-dollars as dollars, never more than is known."""

from __future__ import annotations

from typing import Final

__all__ = ["money"]

NANO: Final = 1_000_000_000
UNKNOWN: Final = "?"


def money(nano: int | None, *, unpriced: int = 0, nothing: str = UNKNOWN) -> str:
    """Give `nano` nano-dollars as `$0.0123`; with `unpriced` calls beside it `≥ $0.0123`: at least.

    What is not known is `?`, never 0; `nothing` stands where nothing was there to pay for.
    """
    if unpriced and not nano:
        return UNKNOWN
    if nano is None:
        return nothing
    return f"≥ {_dollars(nano, down=True)}" if unpriced else _dollars(nano)


def _dollars(nano: int, *, down: bool = False) -> str:
    if nano < 0:
        return f"-{_dollars(-nano)}"
    if nano == 0:
        return "$0"
    # Two decimals from ten dollars on, four below, and two digits of what is smaller still.
    decimals = 2 if nano >= 10 * NANO else 4
    while decimals < 9 and nano * 10**decimals < 10 * NANO:
        decimals += 1
    unit = 10 ** (9 - decimals)
    # "At least" must not be rounded up to more than is known.
    count = nano // unit if down else (nano + unit // 2) // unit
    whole, part = divmod(count, 10**decimals)
    return f"${whole:,}.{part:0{decimals}d}"
