"""Messages by number: each is written to the tape once, and a list as what it adds to an earlier one.

A chat model is sent the whole conversation at every call. Written out each time, a conversation of 200
turns takes 10 MB of tape; written as "the input of that step, its first 14 messages, and these two", 0.6 MB.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from typing import Final, NamedTuple

__all__ = ["Conversation", "Listed"]

CACHE_BYTES: Final = 8 << 20
LISTS: Final = 512


class Listed(NamedTuple):
    """A list of messages as the tape holds it, and what must be remembered once it is there."""

    base: str | None
    base_output: bool | None
    keep: int | None
    refs: tuple[int, ...]
    names: list[str]  # of the parts that the line must carry: `mN`
    bodies: list[bytes]
    numbers: tuple[int, ...]
    fresh: dict[bytes, int]


class Conversation:
    """What this writer has given numbers to. Two generations, bounded in bytes.

    The key is the encoded message itself: a dict look-up costs half of any cryptographic hash, and no
    hash of an erased text is left to guess from.
    """

    def __init__(self) -> None:
        self._count = itertools.count(1)
        self._new: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}
        self._bytes = 0
        self._lists: OrderedDict[tuple[int, ...], tuple[str, bool, tuple[int, ...]]] = OrderedDict()

    def number(self, bodies: list[bytes], fresh: dict[bytes, int] | None = None) -> Listed:
        """Give the way to write the list of encoded messages `bodies`; nothing is remembered yet.

        Pass `fresh` of another list on the same line so that a message that both hold goes there once.
        """
        known = {} if fresh is None else fresh
        new, old = self._new, self._old
        names: list[str] = []
        unseen: list[bytes] = []
        numbers: list[int] = []
        for body in bodies:
            number = new.get(body) or known.get(body)
            if number is None:
                number = old.get(body)
                if number is None:
                    number = known[body] = next(self._count)
                    names.append(f"m{number}")
                    unseen.append(body)
                else:  # still in use: it is to survive the next generation
                    self._keep(body, number)
            numbers.append(number)
        key = tuple(numbers)
        base, base_output, keep = self._continues(key)
        return Listed(base, base_output, keep, key[keep or 0 :], names, unseen, key, known)

    def remember(self, listed: Listed, step_id: str, *, output: bool) -> None:
        """Take note of a list that has been written: only now may other lines refer to it.

        Another thread that met the same message meanwhile has written it too, under its own number.
        """
        if listed.fresh:
            self.remember_fresh(listed.fresh)
        numbers = listed.numbers
        if numbers:
            # A system prompt starts many conversations: the second message tells them apart.
            key = numbers[:2]
            lists = self._lists
            lists.pop(key, None)
            lists[key] = (step_id, output, numbers)
            while len(lists) > LISTS:
                try:
                    lists.popitem(last=False)
                except KeyError:  # another thread was quicker
                    break

    def remember_fresh(self, fresh: dict[bytes, int]) -> None:
        """Take note of numbered messages that have been written."""
        for body, number in fresh.items():
            self._keep(body, number)

    def _keep(self, body: bytes, number: int) -> None:
        self._new[body] = number
        self._bytes += len(body) + 200
        if self._bytes > CACHE_BYTES // 2:
            self._old, self._new, self._bytes = self._new, {}, 0

    def _continues(self, numbers: tuple[int, ...]) -> tuple[str | None, bool | None, int | None]:
        if not numbers:
            return None, None, None
        found = self._lists.get(numbers[:2])
        if found is None and len(numbers) > 1:
            # The call before had the first message alone.
            found = self._lists.get(numbers[:1])
        if found is None:
            return None, None, None
        step_id, output, before = found
        keep = len(before)
        if numbers[:keep] != before:
            same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(numbers, before, strict=False))
            keep = sum(1 for _ in same)
        if keep == 0:
            return None, None, None
        return step_id, output or None, keep
