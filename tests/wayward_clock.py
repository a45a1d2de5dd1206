"""For a process of a test: its wall clock, set back as often as the test likes. Import it before counterfoil."""

import time

HOUR = 3_600_000_000_000

_true = time.time_ns
_behind = 0


def set_back(ns: int) -> None:
    """Have the clock show `ns` less than it would have."""
    global _behind
    _behind += ns


def _time_ns() -> int:
    return _true() - _behind


time.time_ns = _time_ns
time.time = lambda: _time_ns() / 1e9
