"""One line for all: attach to every framework that is installed, now or when it is first imported."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from counterfoil.adapters import Adapter, say_where
from counterfoil.guard import guarded
from counterfoil.imports import forget, when_imported
from counterfoil.plugins import collect_adapters
from counterfoil.recorder import all_recorders, choose_store, recorder_at
from counterfoil.snapshot import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from counterfoil.recorder import Recorder
    from counterfoil.redact import Redactor

__all__ = ["attached", "install", "states", "tell", "uninstall"]

_lock: Final = threading.Lock()
#: Of each adapter asked for: what attaches it, kept until `uninstall`.
_wanted: Final[dict[str, tuple[Adapter, Callable[[], None]]]] = {}
#: Of each adapter that could not attach: why.
_failed: Final[dict[str, str]] = {}
#: Of each process and store: what was told last.
_told: Final[dict[tuple[int, str], dict[str, str]]] = {}


def install(
    db: str | os.PathLike[str] | None = None,
    only: Iterable[str] | None = None,
    *,
    capture: str | None = None,
    redactors: Iterable[Redactor] = (),
    durability: str | None = None,
    quiet: bool | None = None,
) -> None:
    """Record what every supported framework does in this process to the store `db`. May be called again.

    No framework is imported for it: one that is not there yet is attached to when the application imports it. `only`
    names the frameworks wanted (`langchain`, `crewai`, ...). `db` is the store's path, else `$COUNTERFOIL_DB`, else
    `counterfoil.db` here; its absolute path is printed once, to stderr, unless `quiet` or `$COUNTERFOIL_QUIET`.
    A `db` named here is also the store of `counterfoil.run` and the like where they name none.

    With `durability="power"` what is recorded outlives a loss of power, not the process alone (docs/durability.md).

    Raises ValueError for a framework that no adapter is for, a `capture` that is neither `full` nor `metadata`, and a
    `durability` that is neither `process` nor `power`.
    """
    wanted = _chosen(only)
    redactors = tuple(redactors)
    recorder = recorder_at(db, capture=capture, redactors=redactors, durability=durability)
    if db is not None:
        choose_store(recorder.path)  # counterfoil.run and the like belong with it
    say_where(recorder.path, quiet=quiet)
    with _lock:
        for adapter in wanted:
            _forget(adapter.name)
            attach = _attaching(adapter, recorder.path, capture=capture, redactors=redactors, quiet=True)
            _wanted[adapter.name] = (adapter, attach)
            when_imported(adapter.module, attach)
    _tell_all()


def _attaching(adapter: Adapter, path: str, **options: Any) -> Callable[[], None]:
    def attach() -> None:
        _failed.pop(adapter.name, None)
        try:
            adapter.install(path, **options)
        except Exception as error:
            _failed[adapter.name] = f"{type(error).__name__}: {text_of(error)}"
            raise
        finally:
            _tell_all()

    return attach


def uninstall() -> None:
    """Stop recording what `install` attached to. May be called again, also when nothing is installed."""
    choose_store(None)
    with _lock:
        for name in tuple(_wanted):
            adapter = _wanted[name][0]
            _forget(name)
            if adapter.installed():
                adapter.uninstall()


def attached() -> dict[str, bool]:
    """Give the frameworks that `install` was asked for, and whether each is attached; False waits for its import."""
    return {name: adapter.installed() for name, (adapter, _) in tuple(_wanted.items())}


def states() -> dict[str, str]:
    """Give what is to be said of the frameworks in this process.

    `attached`; `waiting` for its import; `failed: ` and why; `left out` by `only`, or `unattached` where nobody asked,
    of those that are imported all the same. Of all others nothing.
    """
    found: dict[str, str] = {}
    for adapter in collect_adapters():
        if adapter.installed():
            found[adapter.name] = "attached"
        elif adapter.name in _failed:
            found[adapter.name] = f"failed: {_failed[adapter.name]}"
        elif adapter.name in _wanted:
            found[adapter.name] = "waiting"
        elif adapter.module in sys.modules:
            found[adapter.name] = "left out" if _wanted else "unattached"
    return found


@guarded
def tell(recorder: Recorder) -> None:
    """Record the states of the frameworks, where they are not what was told before. What was attached once stays so."""
    if not _told:
        atexit.register(_tell_all)
    key = (os.getpid(), recorder.path)
    before = _told.get(key, {})
    now = states() | {name: state for name, state in before.items() if state == "attached"}
    _told[key] = now
    if now != before:
        recorder.attached(now)


def _tell_all() -> None:
    """Tell every store that is recorded to: one that nothing is recorded to is none."""
    for recorder in all_recorders():
        if (os.getpid(), recorder.path) in _told:
            tell(recorder)


def _forget(name: str) -> None:
    _failed.pop(name, None)
    known = _wanted.pop(name, None)
    if known is not None:
        forget(known[1])


def _chosen(only: Iterable[str] | None) -> tuple[Adapter, ...]:
    adapters = collect_adapters()
    if only is None:
        return adapters
    names = {only} if isinstance(only, str) else set(only)
    unknown = sorted(names - {adapter.name for adapter in adapters})
    if unknown:
        there = ", ".join(sorted(adapter.name for adapter in adapters)) or "none"
        raise ValueError(f"no adapter is called {', '.join(unknown)}; there are: {there}")
    return tuple(adapter for adapter in adapters if adapter.name in names)
