r"""What is taken out of an event before anything touches the disk.

A `Rule` is a regular expression over the encoded JSON, so that it sees a secret at any depth: in a
message, in JSON inside a string, in a shell command inside that. What it takes out leaves
`[redacted:<rule>]` in its place. Every part is still valid JSON afterwards; a part where that fails,
or where a user's function raises, is withheld whole: `{"redacted":"<rule> failed"}`.

Nearly all events hold no secret, and must learn that in microseconds: see `_sieve`.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import msgspec

from counterfoil.default_rules import DEFAULT_RULES
from counterfoil.events import Text, Usage, encode
from counterfoil.guard import report
from counterfoil.rules import Redactor, Rule, compiled, replacement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = ["DEFAULT_RULES", "Redactor", "Rule", "build"]

#: How likely a byte of text is this one, roughly: letters by their rank in English, all else alike.
_LIKELY: Final = [0.15 * 0.9 ** (b" etaoinsrhld-cumfpgwybvk".find(byte) % 25) for byte in range(256)]
#: How many bytes of a needle the sieve looks at.
_WIDTH: Final = 3
#: What stands in most events, whatever they hold: the names of our own fields, here their threes of bytes by the first.
_NAMES: Final = encode([*Text.__struct_fields__, *Usage._fields, "role", "parts", "content", "arguments"])
_OWN: Final[dict[int, list[bytes]]] = {
    byte: [_NAMES[at : at + _WIDTH] for at in range(len(_NAMES) - 2) if _NAMES[at] == byte]
    for byte in set(_NAMES)
}

_ANY_BYTE: Final = frozenset(range(256))
_Columns: TypeAlias = tuple[frozenset[int], ...]
#: Where a needle begins, and the rule it is one of.
_Hit: TypeAlias = tuple[int, int]


class _Needle(NamedTuple):
    text: bytes
    any_case: bool


class _Window(NamedTuple):
    """Three bytes of a needle, from `offset` on: for each the bytes that may stand there."""

    offset: int
    columns: _Columns


def _likelihood(columns: _Columns) -> float:
    """Estimate how often three bytes of an event fit `columns`: as text, or as a name of our own."""
    result = 1.0
    for column in columns:
        if column is not _ANY_BYTE:
            result *= min(1.0, sum([_LIKELY[byte] for byte in column]))
    first, second, third = columns
    own = [one for byte in first for one in _OWN.get(byte, ()) if one[1] in second and one[2] in third]
    return result + len(own) / len(_NAMES)


def _windows(needle: _Needle) -> list[_Window]:
    """Give the three windows of `needle` that fit the least text."""
    columns: list[frozenset[int]] = [
        frozenset((byte, *bytes([byte]).upper())) if needle.any_case else frozenset((byte,))
        for byte in needle.text
    ]
    columns += [_ANY_BYTE] * (_WIDTH - len(columns))
    windows = [_Window(at, tuple(columns[at : at + _WIDTH])) for at in range(len(columns) - _WIDTH + 1)]
    return sorted(windows, key=lambda window: _likelihood(window.columns))[:3]


def _union(one: _Columns, other: _Columns) -> _Columns:
    return tuple(_ANY_BYTE if _ANY_BYTE in {a, b} else a | b for a, b in zip(one, other, strict=True))


def _grouped(needles: Iterable[_Needle]) -> tuple[list[_Columns], dict[_Needle, int]]:
    """Put `needles` into at most eight groups that fit little text.

    Give the columns of each group, and where in each needle the three bytes are that its group looks at.
    """
    groups: list[_Columns] = []
    offsets: dict[_Needle, int] = {}
    windows = {needle: _windows(needle) for needle in needles}
    for needle in sorted(windows, key=lambda one: -_likelihood(windows[one][0].columns)):
        choices: list[tuple[float, int, int, _Columns]] = []
        for offset, columns in windows[needle]:
            if len(groups) < 8:
                choices.append((_likelihood(columns), len(groups), offset, columns))
            for at, group in enumerate(groups):
                union = _union(group, columns)
                choices.append((_likelihood(union) - _likelihood(group), at, offset, union))
        _, at, offsets[needle], columns = min(choices, key=lambda choice: choice[:3])
        groups[at : at + 1] = [columns]
    return groups, offsets


def _sieve(needles: Mapping[_Needle, Sequence[int]]) -> Callable[[bytes], list[_Hit]]:
    """Give the function that tells where in a text the needles of which rules are: in order, all, no others.

    A search per needle takes a microsecond a kilobyte, because each step is a branch that no processor can
    foresee; sixty needles take sixty. This takes five in all, without a branch: the text is translated
    three times, into bytes with one bit for each of eight groups of needles: may this byte be the first of
    the three bytes looked at, the second, the third? As whole numbers, the second moved by one byte and
    the third by two, they are AND-ed; what is left says where the three may be, and there we look closely.
    """
    groups, offsets = _grouped(needles)
    tables = [bytearray(256) for _ in range(_WIDTH)]
    for bit, columns in enumerate(groups):
        for table, column in zip(tables, columns, strict=True):
            for byte in column:
                table[byte] |= 1 << bit
    first, second, third = map(bytes, tables)
    # From the three bytes seen to what may be around them, by where that begins and ends.
    around: dict[bytes, dict[tuple[int, int, bool], dict[bytes, Sequence[int]]]] = {}
    for (text, any_case), offset in offsets.items():
        window = around.setdefault(text[offset : offset + _WIDTH].lower(), {})
        span = -offset, len(text) - offset, any_case
        window.setdefault(span, {})[text] = needles[_Needle(text, any_case)]
    lengths = {len(window) for window in around}
    padding = b"\t" * _WIDTH
    number = int.from_bytes

    def sieve(text: bytes) -> list[_Hit]:
        padded = text + padding
        fits = (
            number(padded.translate(first), "little")
            & number(padded[1:].translate(second), "little")
            & number(padded[2:].translate(third), "little")
        )
        return look_closely(text, fits.to_bytes(len(padded), "little")) if fits else []

    def look_closely(text: bytes, places: bytes) -> list[_Hit]:
        hits: set[_Hit] = set()
        for value in set(places.translate(None, b"\0")):
            at = places.find(value)
            while at >= 0:
                for length in lengths:
                    possible = around.get(text[at : at + length].lower(), {})
                    for (left, right, any_case), wanted in possible.items():
                        seen = text[max(0, at + left) : at + right]
                        for rule in wanted.get(seen.lower() if any_case else seen, ()):
                            hits.add((at + left, rule))
                at = places.find(value, at + 1)
        return sorted(hits)

    return sieve


# --- all together ------------------------------------------------------------------------------------------

_decode_raw: Final = msgspec.json.Decoder(msgspec.Raw).decode
_decode_string: Final = msgspec.json.Decoder(str).decode
# A string of JSON, and the colon if it is a key.
_A_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"(\s*+:)?+')
#: What is put in the place of a stretch of a part: where it begins and ends, and the new text.
_Edit: TypeAlias = tuple[int, int, bytes]


class _Step(NamedTuple):
    name: str
    #: From a part and the places of the rule's needles in it, in order, to what shall change.
    edits: Callable[[bytes, Sequence[int]], Iterator[_Edit]]
    always: bool


def build(rules: Iterable[Redactor] = DEFAULT_RULES) -> Callable[[bytes], bytes]:
    """Give the function that takes out of one event's parts, JSON texts joined by TAB, what `rules` say.

    They apply in their order, to each part by itself. The function never raises: a part that a rule would
    turn into something else than one line of JSON, or at which a function of the user raised, becomes
    `{"redacted":"<name> failed"}`. Raises `TypeError` for what is neither a `Rule` nor callable.
    """
    steps: list[_Step] = []
    needles: dict[_Needle, list[int]] = {}
    for at, rule in enumerate(rules):
        if isinstance(rule, Rule):
            steps.append(_Step(rule.name, _matches(rule), always=not rule.needles))
            any_case = bool(re.search(r"\(\?[aLmsux]*i", rule.pattern))
            for needle in rule.needles:
                text = needle.encode()
                one = _Needle(text.lower() if any_case else text, any_case)
                needles.setdefault(one, []).append(at)
        elif callable(rule):
            name = str(getattr(rule, "__name__", type(rule).__name__))
            steps.append(_Step(name, _strings(rule), always=True))
        else:
            raise TypeError(f"a redactor is a Rule or a function, not {rule!r}")
    sieve = _sieve(needles)
    always = any(step.always for step in steps)

    def redact(event: bytes) -> bytes:
        hits = sieve(event)
        if not hits and not always:
            return event
        parts: list[bytes] = []
        start = 0
        for part in event.split(b"\t"):
            end = start + len(part)
            inside = [(place - start, rule) for place, rule in hits if start <= place < end]
            parts.append(redact_part(part, inside) if inside or always else part)
            start = end + 1
        return b"\t".join(parts)

    def redact_part(part: bytes, hits: Sequence[_Hit]) -> bytes:
        places = _by_rule(hits)
        for at, (name, find, unasked) in enumerate(steps):
            if not unasked and at not in places:
                continue
            try:
                edits = list(find(part, places.get(at, ())))
                if not edits:
                    continue
                changed = _edited(part, edits)
                _check(changed)
            except Exception as error:
                # Only its type: the message may quote what must not be told.
                report(f"redactor {name}", RuntimeError(type(error).__name__))
                return encode({"redacted": f"{name} failed"})
            hits = sieve(changed) if unasked else _moved(hits, edits, part)
            places = _by_rule(hits)
            part = changed
        return part

    return redact


def _by_rule(hits: Iterable[_Hit]) -> dict[int, list[int]]:
    places: dict[int, list[int]] = {}
    for place, rule in hits:
        places.setdefault(rule, []).append(place)
    return places


def _edited(part: bytes, edits: Iterable[_Edit]) -> bytes:
    pieces: list[bytes] = []
    last = 0
    for start, end, new in edits:
        pieces += part[last:start], new
        last = end
    return b"".join([*pieces, part[last:]])


def _moved(hits: Iterable[_Hit], edits: Iterable[_Edit], part: bytes) -> list[_Hit]:
    """Give the needles that are left, where `edits` put them: before, behind, or in what a match keeps."""
    moved: list[_Hit] = []
    growth = 0
    rest = iter(edits)
    start, end, new = next(rest)
    for place, rule in hits:
        while place >= end:
            growth += start + len(new) - end
            start, end, new = next(rest, (len(part), len(part) + 1, b""))
        if place < start or (place - start < len(new) and new.startswith(part[start : place + 1])):
            moved.append((place + growth, rule))
    return moved


def _check(part: bytes) -> None:
    """Raise unless `part` is JSON in UTF-8 and fits on a line of tape."""
    if b"\t" in part or b"\n" in part:
        raise ValueError("a raw TAB or LF")
    part.decode()
    _decode_raw(part)  # does not look into strings


def _matches(rule: Rule) -> Callable[[bytes, Sequence[int]], Iterator[_Edit]]:
    replaced = replacement(rule)
    pattern = functools.cache(lambda: compiled(rule))

    def everywhere(part: bytes, _: Sequence[int]) -> Iterator[_Edit]:
        for match in pattern().finditer(part):
            yield match.start(), match.end(), replaced(match)

    def at_places(part: bytes, places: Sequence[int]) -> Iterator[_Edit]:
        end = 0
        for place in places:
            if place >= end and (match := pattern().match(part, place)):
                end = match.end()
                yield place, end, replaced(match)

    return at_places if rule.leading else everywhere


def _strings(function: Callable[[str], str]) -> Callable[[bytes, Sequence[int]], Iterator[_Edit]]:
    def edits(part: bytes, _: Sequence[int]) -> Iterator[_Edit]:
        for match in _A_STRING.finditer(part):
            if match[1] is None:  # no key
                before = _decode_string(match[0])
                after = function(before)
                if not isinstance(after, str):
                    raise TypeError(type(after).__name__)
                if after != before:
                    yield match.start(), match.end(), encode(after)

    return edits
