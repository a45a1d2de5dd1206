"""What an adapter knows of the work under way: which native id is which step.

Ids, names and small strings only, never a live object of the host. All below a root is let go of when that ends.
"""

from __future__ import annotations

import functools
import os
import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from counterfoil import context
from counterfoil.steps import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Entry", "InFlight", "Trackers", "innermost"]

#: Roots whose end never came (a bare model call of LangChain's cancelled in asyncio has none): the oldest are let go.
MOST_ROOTS: Final = 4096
#: Ended roots that a late child may still name, and how many entries each may have had.
RECENT_ROOTS: Final = 64
RECENT_ENTRIES: Final = 2048
#: Open entries of ended roots, whose end may still come.
MOST_LATE: Final = 1024


class Entry:
    """One thing that a framework does, by its native id: the step it is, or the nearest above it where it is folded away."""

    members: list[Hashable] | None = None  # of a root
    step: Step | None = None
    ended = False
    role = ""  # what it is to the adapter

    def __init__(self, key: Hashable, parent: Self | None) -> None:
        self.key = key
        self.parent = parent
        if parent is None:
            self.root = self
            self.members = [key]
        else:
            self.root = parent.root

    def above(self, *roles: str) -> Self | None:
        """Give the nearest entry above of one of these roles."""
        entry = self.parent
        while entry is not None and entry.role not in roles:
            entry = entry.parent
        return entry


E = TypeVar("E", bound=Entry)


class InFlight(Generic[E]):
    """The entries of the roots under way, by native id."""

    def __init__(self) -> None:
        self.entries: dict[Hashable, E] = {}
        self._roots: OrderedDict[Hashable, E] = OrderedDict()
        self._late: OrderedDict[Hashable, E] = OrderedDict()
        self._recent: deque[tuple[Step, frozenset[Hashable]]] = deque(maxlen=RECENT_ROOTS)

    def add(self, entry: E) -> None:
        """Keep an entry until its root ends."""
        self.entries[entry.key] = entry
        root = entry.root
        if root is entry:
            self._roots[entry.key] = entry
            while len(self._roots) > MOST_ROOTS:
                self._drop(self._roots.popitem(last=False)[1])
        elif root.members is not None:
            root.members.append(entry.key)
        else:  # its root has ended meanwhile
            self._keep_late(entry)

    def pop(self, key: Hashable) -> E | None:
        """Give the entry that ends now, once; None for one never seen, or seen to end already."""
        entry = self.entries.get(key)
        if entry is None:
            entry = self._late.pop(key, None)
        if entry is None or entry.ended:
            return None
        entry.ended = True
        return entry

    def close(self, root: E) -> None:
        """Let go of everything below a root that has ended."""
        self._roots.pop(root.key, None)
        self._drop(root)

    def find(self, key: Hashable | None) -> E | None:
        """Give the entry of this id, also one that outlived its root."""
        if key is None:
            return None
        return self.entries.get(key) or self._late.get(key)

    def ended_root(self, key: Hashable) -> Step | None:
        """Give the root's step of a run that ended lately, where `key` was one of its entries."""
        for step, members in reversed(self._recent):
            if key in members:
                return step
        return None

    def parent_step(self, key: Hashable | None) -> Step | None:
        """Give the step that something with this native parent stands in; None where that is not known.

        What the host has opened inside the parent's step (`counterfoil.step`) counts, and a run that ended lately.
        """
        entry = self.find(key)
        if entry is not None and entry.step is not None:
            return innermost(entry.step)
        return None if key is None else self.ended_root(key)

    def let_go(self, entry: E) -> None:
        """Called for every entry whose root is dropped: forget what else is known of it."""

    def _drop(self, root: E) -> None:
        members, root.members = root.members, None
        if members is None:
            return
        for key in members:
            entry = self.entries.pop(key, None)
            if entry is not None:
                if not entry.ended and entry is not root:
                    self._keep_late(entry)
                self.let_go(entry)
        if root.step is not None and len(members) <= RECENT_ENTRIES:
            self._recent.append((root.step, frozenset(members)))

    def _keep_late(self, entry: E) -> None:
        self.entries.pop(entry.key, None)
        self._late[entry.key] = entry
        while len(self._late) > MOST_LATE:
            self._late.popitem(last=False)


def innermost(step: Step) -> Step:
    """Give a `counterfoil.step` of the host's that stands between `step` and here, else `step`, or what stands for it."""
    for place in reversed(context.stack()):
        if place.store == step.store:
            if isinstance(place, Step) and place.open and step in place.above():
                return place
            break
    return step.standing()


T = TypeVar("T")


class Trackers(Generic[T]):
    """An adapter's state, one for each store and process: two handlers on the same store record a run once.

    `make(recorder)` makes it, `current(state)` gives the step that the framework's own context says we are in, and
    `in_child(state)` makes its locks anew in a forked child.
    """

    def __init__(
        self,
        make: Callable[[Any], T],
        current: Callable[[T], Step | None] | None = None,
        in_child: Callable[[T], None] | None = None,
    ) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._states: dict[str, tuple[Any, T]] = {}
        self._in_child = in_child
        if current is not None:
            context.find_with(functools.partial(self._find, current))
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def of(self, recorder: Any) -> T:
        """Give the one state of a recorder's store."""
        with self._lock:
            known = self._states.get(recorder.path)
            if known is None or known[0] is not recorder:
                known = self._states[recorder.path] = (recorder, self._make(recorder))
            return known[1]

    def all(self) -> tuple[T, ...]:
        """Give every state of this process."""
        return tuple(state for _, state in tuple(self._states.values()))

    def _find(self, current: Callable[[T], Step | None], store: str) -> Step | None:
        known = self._states.get(store)
        return None if known is None else current(known[1])

    def _forked(self) -> None:
        self._lock = threading.Lock()  # what another thread held at the fork, nobody lets go of in the child
        if self._in_child is not None:
            for state in self.all():
                self._in_child(state)
