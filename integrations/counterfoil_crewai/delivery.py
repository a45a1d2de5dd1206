"""How CrewAI's events reach us: on the thread that sends them, before anything else happens.

CrewAI 1.15 hands events to listeners in a pool of threads, in any order, up to seconds late; who asked whom, and that a
tool is about to run, must be known in order and at once. So the bus's `_prepare_event` is wrapped: there an event gets
its id and parent, in the sender's thread and context, and `scoped_handlers()` does not hide it. No before-tool hook is
needed, with which CrewAI would send one more event for every call. Where a version of CrewAI has no such method, we
listen as everybody does, and put the events in order by `previous_event_id`.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import pkgutil
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from crewai.events import event_bus, types
from crewai.events.base_events import BaseEvent

from counterfoil import ids
from counterfoil.guard import guarded
from counterfoil.patches import Patches
from counterfoil_crewai import humans, kickoffs
from counterfoil_crewai.handlers import HANDLERS
from counterfoil_crewai.scopes import sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from counterfoil_crewai.tracker import Tracker

__all__ = ["attach", "detach"]

#: How long an event waits for the one sent before it. That one was taken from the queue earlier, or never comes.
PATIENCE: Final = 0.2
#: Of which events it is remembered that they were told.
MEMORY: Final = 4096
#: Where on the bus it stands how to detach whoever is attached.
_SILENCE: Final = "_counterfoil_silence"

_patches: Final = Patches()
_lock: Final = threading.RLock()
_attached: list[Tracker] = []  # one for each listener: a store given twice stands here twice
_trackers: tuple[Tracker, ...] = ()  # once each
_listening: set[type[BaseEvent]] = set()


def attach(tracker: Tracker) -> None:
    """Tell `tracker` of every event of this process from now on."""
    with _lock:
        _attached.append(tracker)
        _renew()
        if len(_attached) == 1:
            _silence_earlier()
            if has_point():
                bus = type(event_bus.crewai_event_bus)
                _patches.replace(bus, "_prepare_event", _telling(bus._prepare_event))  # noqa: SLF001  # see above
            else:
                _listen()
            kickoffs.wrap(_patches, trackers, settle)
            humans.wrap(_patches, trackers)


def detach(tracker: Tracker) -> None:
    """Undo one `attach`."""
    with _lock:
        if tracker in _attached:
            _attached.remove(tracker)
        _renew()
        if not _attached:
            _patches.undo()
            _unlisten()


def trackers() -> tuple[Tracker, ...]:
    """Give who is told."""
    return _trackers


def settle() -> None:
    """Wait until all that was sent is told: at the end of a kickoff, where events are told late."""
    if _listening:
        event_bus.crewai_event_bus.flush()


def has_point() -> bool:
    """Tell whether this CrewAI has the method that every event passes through on its sender's thread."""
    method = getattr(type(event_bus.crewai_event_bus), "_prepare_event", None)
    return method is not None and list(inspect.signature(method).parameters) == ["self", "source", "event"]


def _silence_earlier() -> None:
    """In a notebook this package may be imported anew: the one before must record no more."""
    bus, attached, patches = event_bus.crewai_event_bus, _attached, _patches
    earlier = vars(bus).get(_SILENCE)
    if earlier is not None:
        earlier()

    def silence() -> None:
        attached.clear()
        _renew()
        patches.undo()
        _unlisten()

    _patches.replace(bus, _SILENCE, silence)


def _renew() -> None:
    global _trackers
    _trackers = tuple(dict.fromkeys(_attached))


def _telling(original: Callable[[Any, Any, Any], None]) -> Callable[[Any, Any, Any], None]:
    @functools.wraps(original)
    def prepare(self: Any, source: Any, event: Any) -> None:
        original(self, source, event)
        tell(source, event)

    return prepare


@guarded
def tell(source: Any, event: Any) -> None:
    """Tell every tracker of an event."""
    handle = HANDLERS.get(event.type)
    if handle is not None:
        for tracker in _trackers:
            handle(tracker, source, event)


# -- where the events come late


class _Order:
    """Which events were told: each waits for the one before it in its context."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, None] = OrderedDict()
        self._turn = threading.Condition()

    def wait_for(self, event_id: str) -> None:
        with self._turn:
            self._turn.wait_for(lambda: event_id in self._told, PATIENCE)

    def told(self, event_id: str) -> None:
        with self._turn:
            self._told[event_id] = None
            while len(self._told) > MEMORY:
                self._told.popitem(last=False)
            self._turn.notify_all()


_order = _Order()


def _hear(source: Any, event: BaseEvent) -> None:
    if event_bus.is_replaying():
        return
    if event.type == "llm_stream_chunk":  # on its sender's thread, which must not wait
        tell(source, event)
        _order.told(event.event_id)
        return
    if event.previous_event_id is not None:
        _order.wait_for(event.previous_event_id)
    sent.set(min(int(event.timestamp.timestamp() * 1e9), ids.now_ns()))
    try:
        tell(source, event)
    finally:
        _order.told(event.event_id)


def _listen() -> None:
    for module in pkgutil.iter_modules(types.__path__):
        importlib.import_module(f"{types.__name__}.{module.name}")
    for kind in set(_kinds(BaseEvent)):  # a handler of the base class hears nothing
        event_bus.crewai_event_bus.register_handler(kind, _hear)
        _listening.add(kind)


def _unlisten() -> None:
    while _listening:
        event_bus.crewai_event_bus.off(_listening.pop(), _hear)


def _kinds(kind: type[BaseEvent]) -> Iterator[type[BaseEvent]]:
    for below in kind.__subclasses__():
        yield below
        yield from _kinds(below)


def _in_child() -> None:
    global _order
    _order = _Order()  # what another thread held at the fork, nobody lets go of in the child


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
