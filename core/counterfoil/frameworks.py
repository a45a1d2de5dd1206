"""One line for all: attach to every framework that is installed, now or when it is first imported."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from counterfoil.adapters import Adapter, say_where
from counterfoil.imports import forget, when_imported
from counterfoil.plugins import collect_adapters
from counterfoil.recorder import recorder_at

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from counterfoil.redact import Redactor

__all__ = ["attached", "install", "uninstall"]

_lock: Final = threading.Lock()
#: Of each adapter asked for: what attaches it, kept until `uninstall`.
_wanted: Final[dict[str, tuple[Adapter, Callable[[], None]]]] = {}


def install(
    db: str | os.PathLike[str] | None = None,
    only: Iterable[str] | None = None,
    *,
    capture: str | None = None,
    redactors: Iterable[Redactor] = (),
    quiet: bool | None = None,
) -> None:
    """Record what every supported framework does in this process to the store `db`. May be called again.

    No framework is imported for it: one that is not there yet is attached to when the application imports it. `only`
    names the frameworks wanted (`langchain`, `crewai`, ...). `db` is the store's path, else `$COUNTERFOIL_DB`, else
    `counterfoil.db` here; its absolute path is printed once, to stderr, unless `quiet` or `$COUNTERFOIL_QUIET`.

    Raises ValueError for a framework that no adapter is for, and for a `capture` that is neither `full` nor `metadata`.
    """
    wanted = _chosen(only)
    redactors = tuple(redactors)
    recorder = recorder_at(db, capture=capture, redactors=redactors)
    say_where(recorder.path, quiet=quiet)
    with _lock:
        for adapter in wanted:
            _forget(adapter.name)
            attach = partial(adapter.install, recorder.path, capture=capture, redactors=redactors, quiet=True)
            _wanted[adapter.name] = (adapter, attach)
            when_imported(adapter.module, attach)


def uninstall() -> None:
    """Stop recording what `install` attached to. May be called again, also when nothing is installed."""
    with _lock:
        for name in tuple(_wanted):
            adapter = _wanted[name][0]
            _forget(name)
            if adapter.installed():
                adapter.uninstall()


def attached() -> dict[str, bool]:
    """Give the frameworks that `install` was asked for, and whether each is attached; False waits for its import."""
    return {name: adapter.installed() for name, (adapter, _) in tuple(_wanted.items())}


def _forget(name: str) -> None:
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
