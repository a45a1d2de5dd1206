"""What erasures say: which events lost which texts, and what is left of an event that lost all.

The record of an erasure is an event of its own, of kind `erasure`, for each run that lost something (its head's `run`;
None for what is outside of runs). Its part `erased` is a JSON list of `[leaf, slots]`: the first 16 bytes of an event's
leaf, in hexadecimal, which is the same in every store, and which of its parts went, null for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from counterfoil.store import seal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from counterfoil.events import Head

__all__ = ["BODIES", "PART", "Entry", "emptied", "encode", "leaf_name", "refers", "whole"]

#: An event by its leaf, and the parts of it that went; None for all.
Entry: TypeAlias = tuple[str, list[int] | None]

PART: Final = "erased"
LEAF: Final = 16
#: The part `erased` of every erasure. Few events are on no tape, which is what the index knows.
BODIES: Final = f"""SELECT p.body FROM events e INDEXED BY events_made JOIN event_payloads l USING (seq)
  JOIN payloads p USING (payload_id) WHERE e.tape_id IS NULL AND e.kind = 'erasure'
  AND json_extract(e.head, '$.parts[' || l.slot || ']') = '{PART}'"""

_decode = msgspec.json.Decoder(list[Entry]).decode
encode: Final = msgspec.json.Encoder().encode


def leaf_name(head: bytes, commitments: bytes | None) -> str:
    """Give what an erasure calls the event with this head and these commitments."""
    return seal.leaf(head, commitments or b"")[:LEAF].hex()


def whole(rows: Iterable[tuple[Any, ...]]) -> frozenset[str]:
    """Give the events that lost all, as the rows of `BODIES` say. Raises msgspec.DecodeError for what is none."""
    return frozenset(leaf for (body,) in rows for leaf, slots in _decode(body) if slots is None)


def refers(head: Head) -> bool:
    """Tell whether the event refers to texts that other events brought."""
    return bool(head.refs or head.offers or head.base is not None)


def emptied(head: Head) -> Head:
    """Give the head as it is read once its event has lost all: it refers to no text either."""
    return msgspec.structs.replace(head, refs=(), offers=(), base=None, base_output=None, keep=None)
