"""A payload as JSON bytes, taken at once: no live object of the host is kept.

What JSON knows goes through msgspec as it is. All else is put in a marked, bounded form:
`{"$bytes": 3, "base64": "..."}`, `{"$float": "nan"}`, `{"$set": [...]}`, `{"$cycle": "list"}`,
`{"$object": "module.Class", "repr": "..."}`, and long strings are cut with a note of their length.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from counterfoil.events import encode

__all__ = ["LIMIT_CHARS", "LIMIT_NODES", "snapshot", "text_of"]

#: A longer string is cut to this many characters.
LIMIT_CHARS: Final = 262_144
#: All strings of one payload together are cut to this many characters.
LIMIT_TOTAL: Final = 4 * LIMIT_CHARS
#: A payload of more values than this is cut.
LIMIT_NODES: Final = 50_000
LIMIT_DEPTH: Final = 60
LIMIT_REPR: Final = 2_000
LIMIT_BYTES: Final = 65_536


class _TooMuch(Exception):  # noqa: N818  # control flow, not an error
    """The quick check met something that JSON does not know, or too much of it."""


def snapshot(value: Any) -> bytes:
    """Give `value` as JSON bytes, bounded; never raises, whatever the value's own methods do."""
    try:
        budget = _check(value, 0, LIMIT_NODES)
        if budget >= 0:
            return encode(value)
    except Exception:  # noqa: S110  # the careful way below takes what the quick one refused
        pass
    try:
        return encode(_Careful().plain(value, 0))
    except Exception as error:
        return encode({"$object": _type_name(value), "error": type(error).__name__})


def text_of(value: Any) -> str:
    """Give `str(value)`, bounded and encodable; a marker if the value's own `__str__` raises."""
    try:
        text = value if type(value) is str else str(value)
    except Exception as error:
        return f"<{_type_name(value)}: str() raised {type(error).__name__}>"
    return _encodable(_cut(text, LIMIT_CHARS))


def _check(value: Any, depth: int, budget: int) -> int:
    """Count down `budget` over plain JSON values; raise `_TooMuch` for anything else."""
    kind = type(value)
    if kind is str:
        if len(value) > LIMIT_CHARS:
            raise _TooMuch
        # A long string counts as many values, so that the sum of all strings is bounded too.
        return budget - 1 - (len(value) >> 7)
    if kind is dict:
        if depth > LIMIT_DEPTH:
            raise _TooMuch
        for key, item in value.items():
            if type(key) is not str:
                raise _TooMuch
            budget = _check(item, depth + 1, budget)
        if budget < 0:
            raise _TooMuch
        return budget - 1
    if kind is list or kind is tuple:
        if depth > LIMIT_DEPTH:
            raise _TooMuch
        for item in value:
            budget = _check(item, depth + 1, budget)
        if budget < 0:
            raise _TooMuch
        return budget - 1
    if value is None or kind is bool:
        return budget - 1
    if kind is int:
        if -(2**63) <= value < 2**64:
            return budget - 1
        raise _TooMuch
    # msgspec would write nan as null
    if kind is float and math.isfinite(value):
        return budget - 1
    raise _TooMuch


class _Careful:
    """The slow way: one walk that turns anything into plain JSON values, within a budget."""

    def __init__(self) -> None:
        self.nodes = LIMIT_NODES
        self.chars = LIMIT_TOTAL
        self.open: set[int] = set()

    def plain(self, value: Any, depth: int) -> Any:
        self.nodes -= 1
        if self.nodes < 0:
            return {"$cut": "too many values"}
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            text = _cut(str(value), min(LIMIT_CHARS, max(self.chars, 0)))
            self.chars -= len(text)
            return _encodable(text)
        if isinstance(value, int):
            number = int(value)
            return number if -(2**63) <= number < 2**64 else {"$int": _cut(hex(number), LIMIT_REPR)}
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
        if isinstance(value, (bytes, bytearray, memoryview)):
            data = bytes(value[:LIMIT_BYTES])
            return {"$bytes": len(value), "base64": base64.b64encode(data).decode()}
        if id(value) in self.open:
            return {"$cycle": _type_name(value)}
        if depth > LIMIT_DEPTH:
            return {"$cut": "too deep"}
        self.open.add(id(value))
        try:
            return self.container(value, depth)
        except Exception as error:
            return {"$object": _type_name(value), "error": type(error).__name__}
        finally:
            self.open.discard(id(value))

    def container(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            return {self.key(key): self.plain(item, depth + 1) for key, item in self.some(value.items())}
        if isinstance(value, (list, tuple)):
            return [self.plain(item, depth + 1) for item in self.some(value)]
        if isinstance(value, (set, frozenset)):
            items = [self.plain(item, depth + 1) for item in self.some(value)]
            return {"$set": sorted(items, key=repr)}
        dump = getattr(value, "model_dump", None)
        if callable(dump) and not isinstance(value, type):
            # pydantic: the fields as they are, not model_dump(), which runs the host's serializers
            fields = getattr(value, "__dict__", None)
            if isinstance(fields, dict):
                return {self.key(key): self.plain(item, depth + 1) for key, item in self.some(fields.items())}
        if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
            return {
                name: self.plain(getattr(value, name, None), depth + 1)
                for name in self.some(value.__dataclass_fields__)
            }
        try:
            # dates, UUIDs, decimals, enums, msgspec structs
            return msgspec.to_builtins(value)
        except Exception:
            return {"$object": _type_name(value), "repr": self.repr(value)}

    def key(self, key: Any) -> str:
        return _encodable(_cut(key, LIMIT_REPR)) if isinstance(key, str) else self.repr(key)

    def some(self, items: Any) -> Any:
        for item in items:
            if self.nodes < 0:
                return
            yield item

    def repr(self, value: Any) -> str:
        try:
            text = repr(value)
        except Exception as error:
            return f"<repr() raised {type(error).__name__}>"
        text = _encodable(_cut(text, LIMIT_REPR))
        self.chars -= len(text)
        return text


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]}[cut: {limit} of {len(text)} characters]"


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # lone surrogates
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def _type_name(value: Any) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"
