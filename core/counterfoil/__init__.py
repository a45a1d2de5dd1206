"""The counterfoil of everything your agents did: who decided what and why, in one SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from counterfoil.events import Item, Usage
from counterfoil.forklock import importing
from counterfoil.plain import access, agent, handoff, run, score, step, tool, traceparent, wrap
from counterfoil.recorder import Recorder, on_first_event, recorder_at
from counterfoil.version import __version__

if TYPE_CHECKING:
    import os

    from counterfoil.frameworks import attached, install, uninstall
    from counterfoil.hookspecs import hookimpl
    from counterfoil.redact import Rule
    from counterfoil.store.errors import StoreError
    from counterfoil.store.read import Store, open

__all__ = [
    "Item",
    "Recorder",
    "Rule",
    "Store",
    "StoreError",
    "Usage",
    "__version__",
    "access",
    "agent",
    "attached",
    "flush",
    "handoff",
    "hookimpl",
    "install",
    "open",
    "recorder_at",
    "run",
    "score",
    "step",
    "tool",
    "traceparent",
    "uninstall",
    "wrap",
]

# The reading side is imported when first used: an application that only records never pays for it.
_LAZY: Final = {
    "open": "counterfoil.store.read",
    "Store": "counterfoil.store.read",
    "StoreError": "counterfoil.store.errors",
    "Rule": "counterfoil.redact",
    "hookimpl": "counterfoil.hookspecs",
    "attached": "counterfoil.frameworks",
    "install": "counterfoil.frameworks",
    "uninstall": "counterfoil.frameworks",
}


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'counterfoil' has no attribute {name!r}")
    import importlib  # noqa: PLC0415  # only where something lazy is asked for

    with importing:
        value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def flush(db: str | os.PathLike[str] | None = None, *, timeout: float = 10.0) -> bool:
    """Move everything recorded so far into the store; tell whether all of it is there now.

    Waits at most `timeout` seconds, also for another process that is doing the same.
    """
    with importing:
        from counterfoil.store.background import flush as flush_store  # noqa: PLC0415  # see _LAZY

    return flush_store(db, timeout=timeout) or False


def _attend(recorder: Recorder) -> None:
    with importing:
        from counterfoil.frameworks import tell  # noqa: PLC0415  # see _LAZY
        from counterfoil.store.background import attend  # noqa: PLC0415  # see _LAZY

    attend(recorder)
    tell(recorder)


on_first_event(_attend)
