"""Times for people: how long, how long ago, when; and what people type for a moment."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

__all__ = ["age", "clock", "duration", "local", "moment"]

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
UNKNOWN: Final = "?"

_SPANS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN: Final = re.compile(r"(\d{1,9})([smhdw])")


def duration(ns: int | None) -> str:
    """Give nanoseconds in at most six characters: <0.1ms, 0.4ms, 412ms, 4.2s, 3m12s, 2h05m, 3d04h."""
    if ns is None:
        return UNKNOWN
    if ns < 0:
        return f"-{duration(-ns)}"
    if 0 < ns < 0.05 * MS:
        return "<0.1ms"
    if ns < 9.95 * MS:
        return f"{ns / MS:.1f}ms"
    if ns < 999.5 * MS:
        return f"{ns / MS:.0f}ms"
    if ns < 59.95 * SECOND:
        return f"{ns / SECOND:.1f}s"
    seconds = round(ns / SECOND)
    if seconds < 3_600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    if seconds < 86_400:
        return f"{seconds // 3_600}h{seconds % 3_600 // 60:02d}m"
    return f"{seconds // 86_400}d{seconds % 86_400 // 3_600:02d}h"


def age(then_ns: int | None, now_ns: int) -> str:
    """Give how long ago `then_ns` was, in at most four characters: 12s, 3m, 5h, 2d, 9w."""
    if then_ns is None:
        return UNKNOWN
    seconds = max(0, (now_ns - then_ns) // SECOND)
    for limit, unit in ((60, "s"), (3_600, "m"), (86_400, "h"), (604_800 * 2, "d")):
        if seconds < limit:
            return f"{seconds // _SPANS[unit]}{unit}"
    return f"{seconds // _SPANS['w']}w"


def _at(ns: int, zone: dt.tzinfo | None) -> dt.datetime:
    return dt.datetime.fromtimestamp(ns // SECOND, dt.UTC).astimezone(zone)


def local(ns: int | None, zone: dt.tzinfo | None = None) -> str:
    """Give the moment in local time (or that of `zone`): 2026-11-22 14:03:11."""
    return UNKNOWN if ns is None else _at(ns, zone).strftime("%Y-%m-%d %H:%M:%S")


def clock(ns: int | None, zone: dt.tzinfo | None = None) -> str:
    """Give the time of day to the millisecond: 14:03:11.123."""
    return UNKNOWN if ns is None else f"{_at(ns, zone):%H:%M:%S}.{ns // MS % 1_000:03d}"


def moment(text: str, now_ns: int) -> int:
    """Give the nanoseconds since the epoch that `text` means: `90m`, `24h`, `7d` ago, or an ISO date or time.

    An ISO time without a zone is local. Raises ValueError with one sentence.
    """
    span = _SPAN.fullmatch(text.strip())
    if span:
        return now_ns - int(span[1]) * _SPANS[span[2]] * SECOND
    try:
        when = dt.datetime.fromisoformat(text.strip()).astimezone()
        whole = dt.datetime.fromisoformat("1970-01-01T00:00:00+00:00")
        since = when - whole
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"{text!r} is no time: give 90m, 24h or 7d for so long ago, or 2026-11-22, or 2026-11-22T14:00"
        ) from None
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1_000
