"""A rule of redaction: what a kind of secret looks like, and what is left in its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import msgspec

__all__ = ["Redactor", "Rule", "compiled", "replacement"]

_BLANK: Final = re.compile(r"\{\}|\\(\d+)|\\g<(\w+)>")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Rule(msgspec.Struct, frozen=True):
    r"""A kind of secret: what it looks like in JSON text, and how it is known to be absent.

    `pattern` is a regular expression over the UTF-8 JSON of one part: a quote inside a string is `\"`
    there, a newline `\n` in two characters. `(?i)` makes it match any case.
    `needles`: every match of `pattern` holds one of these strings, in any case if the pattern says `(?i)`.
    Without needles the pattern is tried on all of every event, at ten microseconds a kilobyte.
    `keep` is what a match becomes: `{}` is the marker, `\1` or `\g<name>` is a group that stays.
    `leading`: every match even begins with a needle, so the pattern is tried at those places only.

    Raises `ValueError` if the pattern, or what it would leave, is not possible.
    """

    name: str
    pattern: str
    needles: tuple[str, ...] = ()
    keep: str = "{}"
    leading: bool = False

    def __post_init__(self) -> None:
        """Refuse what could not work, where the rule is written rather than where an event is."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"a rule's name is letters, digits, '.', '_' and '-', not {self.name!r}")
        if "{}" not in self.keep:
            raise ValueError(f"rule {self.name}: keep={self.keep!r} has no {{}} for the marker")
        if "" in self.needles:
            raise ValueError(f"rule {self.name}: an empty needle is in every text")
        if self.leading and not self.needles:
            raise ValueError(f"rule {self.name}: no needle could lead")
        try:
            pattern = compiled(self)
        except re.error as error:
            raise ValueError(f"rule {self.name}: {error}") from error
        groups = {*range(pattern.groups + 1), *pattern.groupindex}
        for piece in _pieces(self):
            if not isinstance(piece, bytes) and piece not in groups:
                raise ValueError(
                    f"rule {self.name}: keep={self.keep!r} names a group that the pattern has not"
                )
        if pattern.search(b""):
            raise ValueError(f"rule {self.name}: the pattern matches the empty text")


#: A rule, or a function that gives what shall stand for a string value of the JSON (keys are left alone).
#: The function sees every string of every event: it is the slow way, for what no pattern can say.
Redactor: TypeAlias = Rule | Callable[[str], str]


def compiled(rule: Rule) -> re.Pattern[bytes]:
    """Give the pattern of `rule`, for bytes."""
    return re.compile(rule.pattern.encode())


def _pieces(rule: Rule) -> Iterator[bytes | int | str]:
    """Give what a match becomes: text and the marker as bytes, groups that stay by number or name."""
    end = 0
    for blank in _BLANK.finditer(rule.keep):
        yield rule.keep[end : blank.start()].encode()
        number, name = blank.groups()
        yield int(number) if number else name or f"[redacted:{rule.name}]".encode()
        end = blank.end()
    yield rule.keep[end:].encode()


def replacement(rule: Rule) -> Callable[[re.Match[bytes]], bytes]:
    """Give the function from a match of `rule` to what stands in its place."""
    # `re` has templates too, but `Match.expand` parses them anew each time, which costs more than the search.
    pieces = tuple(_pieces(rule))

    def replace(match: re.Match[bytes]) -> bytes:
        return b"".join([piece if isinstance(piece, bytes) else match[piece] or b"" for piece in pieces])

    return replace
