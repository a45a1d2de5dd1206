"""Messages by number: each is written to the tape once, and a list as what it adds to an earlier one.

A chat model is sent the whole conversation at every call. Written out each time, a conversation of 200
turns takes 10 MB of tape; written as "the input of that step, its first 14 messages, and these two", 0.6 MB.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Conversation"]

CACHE_BYTES: Final = 8 << 20
LISTS: Final = 512


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

    def anew(self) -> Conversation:
        """Give one that remembers nothing, and goes on with the numbers."""
        made = Conversation()
        made._count = self._count
        return made

    def number(
        self, messages: Sequence[bytes], fresh: dict[bytes, int], names: list[str], bodies: list[bytes]
    ) -> tuple[int, ...]:
        """Give the numbers of `messages`, each encoded; nothing is remembered yet.

        Those that are new go into `fresh`, and what the line must carry of them into `names` (`mN`) and `bodies`. Pass
        the same for all lists on a line, so that a message that both hold goes there once.
        """
        new, old = self._new, self._old
        numbers: list[int] = []
        for body in messages:
            number = new.get(body) or fresh.get(body)
            if number is None:
                number = old.get(body)
                if number is None:
                    number = fresh[body] = next(self._count)
                    names.append(f"m{number}")
                    bodies.append(body)
                else:  # still in use: it is to survive the next generation
                    self._keep(body, number)
            numbers.append(number)
        return tuple(numbers)

    def remember(self, fresh: dict[bytes, int]) -> None:
        """Take note of numbered messages that have been written: only now may other lines refer to them.

        Another thread that met the same message meanwhile has written it too, under its own number.
        """
        for body, number in fresh.items():
            self._keep(body, number)

    def remember_list(self, numbers: tuple[int, ...], step_id: str, *, output: bool) -> None:
        """Take note of a list that has been written, as the input or `output` of a step."""
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

    def _keep(self, body: bytes, number: int) -> None:
        self._new[body] = number
        self._bytes += len(body) + 200
        if self._bytes > CACHE_BYTES // 2:
            self._old, self._new, self._bytes = self._new, {}, 0

    def continues(self, numbers: tuple[int, ...]) -> tuple[str, bool, int] | None:
        """Give the list that `numbers` goes on with: its step, whether it was that step's output, how many stay."""
        found = self._lists.get(numbers[:2])
        if found is None and len(numbers) > 1:
            # The call before had the first message alone.
            found = self._lists.get(numbers[:1])
        if found is None:
            return None
        step_id, output, before = found
        keep = len(before)
        if numbers[:keep] != before:
            same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(numbers, before, strict=False))
            keep = sum(1 for _ in same)
        return (step_id, output, keep) if keep else None
