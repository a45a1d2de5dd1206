"""Who set a column last: for what later events may override, in whatever order they reach the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from counterfoil.store.rows import ApprovalRow, HandoffRow, StepRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from counterfoil.events import Head

__all__ = ["Stamped", "Stamps", "StampsOfRows", "override"]

#: Column > (t, q) of the event that set it.
Stamps: TypeAlias = dict[str, tuple[int, int]]
Stamped: TypeAlias = StepRow | HandoffRow | ApprovalRow

_decode = msgspec.json.Decoder(Stamps).decode
_encode: Final = msgspec.json.Encoder(order="sorted").encode


def override(row: Stamped, stamps: Stamps, values: Mapping[str, Any], head: Head) -> None:
    """Set each value that no later event has set already."""
    stamp = (head.t, head.q)
    for column, value in values.items():
        before = stamps.get(column)
        if before is None or stamp >= before:
            setattr(row, column, value)
            stamps[column] = stamp


class StampsOfRows:
    """The stamps of one batch's rows, decoded where they are needed and put back at the end."""

    def __init__(self) -> None:
        self._held: dict[tuple[type, str], tuple[Stamped, Stamps]] = {}

    def of(self, key: str, row: Stamped) -> Stamps:
        """Give the stamps of `row`, whose id is `key`, to be read and changed."""
        held = self._held.get((type(row), key))
        if held is None:
            held = self._held[type(row), key] = (row, _decode(row.stamps) if row.stamps else {})
        return held[1]

    def put_back(self) -> None:
        """Write them into their rows."""
        for row, stamps in self._held.values():
            if stamps:
                row.stamps = _encode(stamps).decode()
