"""JSON for programs: only ASCII, so that nothing in it can steer a terminal."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["record", "to_json"]


def to_json(value: Any, *, indent: int | None = 2) -> str:
    """Give `value` (structs, dicts, lists, plain values) as JSON text; with `indent=None` on one line.

    Bytes are `{"$base64": true, "encoded": ...}`, as sqlite-utils and Datasette write them; a number that JSON
    does not know (infinity) is null.
    """
    # DEL is ASCII, so json leaves it alone.
    return json.dumps(_plain(value), indent=indent, ensure_ascii=True, allow_nan=False).replace(
        "\x7f", "\\u007f"
    )


def record(row: msgspec.Struct, *, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """Give the fields of `row` by name, without those named in `leave_out`."""
    return {name: getattr(row, name) for name in row.__struct_fields__ if name not in leave_out}


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return _plain(record(value))
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$base64": True, "encoded": base64.b64encode(bytes(value)).decode("ascii")}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
