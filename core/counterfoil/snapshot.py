"""A payload as JSON bytes, taken at once: no live object of the host is kept.

What JSON knows goes through msgspec as it is. All else is put in a marked, bounded form:
`{"$bytes": 3, "base64": "..."}`, `{"$float": "nan"}`, `{"$set": [...]}`, `{"$cycle": "list"}`,
`{"$object": "module.Class", "repr": "..."}`, and long strings are cut with a note of their length.
"""

from __future__ import annotations

import binascii
import itertools
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from counterfoil.events import encode

__all__ = [
    "LIMIT_CHARS",
    "LIMIT_NODES",
    "Pieces",
    "Taken",
    "count_of",
    "model_fields",
    "number_of",
    "snapshot",
    "text_of",
]

#: A longer string is cut to this many characters.
LIMIT_CHARS: Final = 262_144
#: All strings of one payload together are cut to this many characters.
LIMIT_TOTAL: Final = 4 * LIMIT_CHARS
#: A payload of more values than this is cut.
LIMIT_NODES: Final = 50_000
LIMIT_DEPTH: Final = 60
LIMIT_REPR: Final = 2_000
LIMIT_BYTES: Final = 65_536

_INT64: Final = 1 << 63


class Taken(bytes):
    """A payload that is JSON already: `snapshot` gives it as it is."""

    __slots__ = ()


class _TooMuch(Exception):  # noqa: N818  # control flow, not an error
    """The quick check met something that JSON does not know, or too much of it."""


def snapshot(value: Any) -> bytes:
    """Give `value` as JSON bytes, bounded; never raises, whatever the value's own methods do."""
    if type(value) is Taken:
        return value
    try:
        _check((value,), 0, LIMIT_NODES)
        return encode(value)
    except Exception:  # noqa: S110  # the careful way below takes what the quick one refused
        pass
    return encode(_Careful().plain(value, 0))


def text_of(value: Any, limit: int = LIMIT_CHARS) -> str:
    """Give `str(value)`, bounded and encodable; a marker if the value's own `__str__` raises."""
    try:
        # str.__str__: a subclass is a live object, with whatever its own __str__ does
        text = str.__str__(value if isinstance(value, str) else str(value))
    except Exception as error:
        text = f"<{_type_name(type(value))}: str() raised {_type_name(type(error))}>"
    return _encodable(_cut(text, limit))


def count_of(value: Any) -> int | None:
    """Give a count as an int that the store can hold; None for what is none."""
    if value is None:
        return None
    try:
        count = int(value) if not isinstance(value, (bool, str, bytes)) else -1
    except Exception:
        return None
    return count if 0 <= count < _INT64 else None


def number_of(value: Any) -> float | None:
    """Give a finite float; None for what is none."""
    try:
        number = float(value) if not isinstance(value, (str, bytes)) else math.nan
    except Exception:
        return None
    return number if math.isfinite(number) else None


def model_fields(value: Any) -> list[tuple[str, Any]] | None:
    """Give the fields of a pydantic model as they are, without those that it leaves out of its dumps; None of what is none."""
    known = getattr(type(value), "model_fields", None)
    if known is None:
        return None
    left_out = {name for name, field in known.items() if field.exclude}
    return [(name, one) for name, one in list(vars(value).items()) if name not in left_out]


def _check(container: Any, depth: int, budget: int) -> int:
    """Count `budget` down over what a plain JSON container holds; raise `_TooMuch` where that is not plain, or too much.

    Before it is encoded: written out, a value that stands in many places may be larger than all memory.
    """
    if depth > LIMIT_DEPTH or len(container) > budget:
        raise _TooMuch
    budget -= len(container)
    items = container
    if type(container) is dict:
        for key in container:
            if type(key) is not str or len(key) > LIMIT_REPR:
                raise _TooMuch
            budget -= len(key) >> 4
        items = container.values()
    for item in items:
        kind = type(item)
        if kind is str:
            if len(item) > LIMIT_CHARS:
                raise _TooMuch
            # A long string counts as many values, so that the sum of all strings is bounded too.
            budget -= len(item) >> 4
        elif kind is dict or kind is list or kind is tuple:
            budget = _check(item, depth + 1, budget)
        elif kind is float:
            if item - item != 0.0:  # nan and the infinities: msgspec would write null
                raise _TooMuch
        elif kind is int:
            if not -_INT64 <= item < 2 * _INT64:
                raise _TooMuch
        elif kind is not bool and item is not None:
            raise _TooMuch
    if budget < 0:
        raise _TooMuch
    return budget


class _Careful:
    """The slow way: one walk that turns anything into plain JSON values, within a budget.

    What a value is, its type says: `isinstance` would ask the value itself, and a proxy may raise then.
    """

    def __init__(self) -> None:
        self.nodes = LIMIT_NODES
        self.chars = LIMIT_TOTAL
        self.open: set[int] = set()

    def plain(self, value: Any, depth: int) -> Any:
        self.nodes -= 1
        if self.nodes < 0:
            return {"$cut": "too many values"}
        try:
            return self.one(value, type(value), depth)
        except Exception as error:
            return {"$object": _type_name(type(value)), "error": _type_name(type(error))}

    def one(self, value: Any, kind: type, depth: int) -> Any:
        if value is None or value is True or value is False:
            return value
        if issubclass(kind, str):
            return self.text(str.__str__(value), LIMIT_CHARS)
        if issubclass(kind, int):
            number = int.__int__(value)
            fits = -_INT64 <= number < 2 * _INT64
            return number if fits else {"$int": self.text(hex(number), LIMIT_REPR)}
        if issubclass(kind, float):
            real = float.__float__(value)
            return real if math.isfinite(real) else {"$float": repr(real)}
        if issubclass(kind, (bytes, bytearray, memoryview)):
            view = memoryview(value)
            data = view[: min(LIMIT_BYTES, max(self.chars, 0))].tobytes()[:LIMIT_BYTES]
            self.chars -= len(data)
            return {"$bytes": view.nbytes, "base64": binascii.b2a_base64(data, newline=False).decode()}
        if id(value) in self.open:
            return {"$cycle": _type_name(kind)}
        if depth > LIMIT_DEPTH:
            return {"$cut": "too deep"}
        self.open.add(id(value))
        try:
            return self.container(value, kind, depth)
        finally:
            self.open.discard(id(value))

    def container(self, value: Any, kind: type, depth: int) -> Any:
        if issubclass(kind, Mapping):
            return self.fields(value.items(), depth)
        if issubclass(kind, (list, tuple)):
            return [self.plain(item, depth + 1) for item in self.some(value)]
        if issubclass(kind, (set, frozenset)):
            return {"$set": sorted((self.plain(item, depth + 1) for item in self.some(value)), key=repr)}
        names = _field_names(kind)
        if names is not None:
            return self.fields(((name, getattr(value, name, None)) for name in names), depth)
        if hasattr(kind, "model_dump"):
            # pydantic: the fields as they are, not model_dump(), which runs the host's serializers
            extra = getattr(value, "__pydantic_extra__", None) or {}
            return self.fields({**vars(value), **extra}.items(), depth)
        try:
            # dates, UUIDs, decimals, enums
            builtin = msgspec.to_builtins(value)
        except Exception:
            return {"$object": _type_name(kind), "repr": self.repr(value)}
        return self.plain(builtin, depth + 1)

    def fields(self, items: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, item in self.some(items):
            name = self.key(key)
            while name in made:  # two keys that look alike: 1 and "1"
                name = f"{name}#{len(made)}"
            made[name] = self.plain(item, depth + 1)
        return made

    def key(self, key: Any) -> str:
        return self.text(str.__str__(key), LIMIT_REPR) if issubclass(type(key), str) else self.repr(key)

    def some(self, items: Iterable[Any]) -> Iterator[Any]:
        # At once, in one call: another thread may change it while we walk.
        for item in list(itertools.islice(items, max(self.nodes, 0) + 1)):
            if self.nodes < 0:
                return
            yield item

    def repr(self, value: Any) -> str:
        try:
            text = str.__str__(repr(value))
        except Exception as error:
            text = f"<repr() raised {_type_name(type(error))}>"
        return self.text(text, LIMIT_REPR)

    def text(self, text: str, limit: int) -> str:
        text = _cut(text, min(limit, max(self.chars, 0)))
        self.chars -= len(text)
        return _encodable(text)


class Pieces:
    """What a generator gives, one piece after the other: each taken at once, all of them bounded."""

    def __init__(self) -> None:
        self._taken: list[bytes] = []
        self._size = 0
        self._count = 0

    def add(self, piece: Any) -> None:
        """Take one more."""
        self._count += 1
        if self._size < LIMIT_TOTAL and len(self._taken) < LIMIT_NODES:
            taken = snapshot(piece)
            self._size += len(taken)
            self._taken.append(taken)

    def taken(self) -> Taken:
        """Give them all as one JSON array."""
        pieces = self._taken
        if len(pieces) < self._count:
            pieces = [*pieces, encode({"$cut": f"{len(pieces)} of {self._count} pieces"})]
        return Taken(b"[" + b",".join(pieces) + b"]")


def _field_names(kind: type) -> Iterable[str] | None:
    """Give the names of the fields of a dataclass, a msgspec struct or an attrs class."""
    dataclasses = sys.modules.get("dataclasses")  # takes long to import: whoever has such a class has done it
    if dataclasses is not None and dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    attributes = getattr(kind, "__attrs_attrs__", None)
    return None if attributes is None else [attribute.name for attribute in attributes]


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


def _type_name(kind: type) -> str:
    try:
        return _encodable(_cut(f"{kind.__module__}.{kind.__qualname__}", LIMIT_REPR))
    except Exception:  # a metaclass may do anything
        return "object"
