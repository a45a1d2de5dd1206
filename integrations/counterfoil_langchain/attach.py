"""`install` and `uninstall`: attach to every LangChain run of this process."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.tracers import context as hooks
from langchain_core.tracers.context import register_configure_hook

from counterfoil.adapters import say_where, warn_of_versions
from counterfoil.guard import guarded
from counterfoil.patches import Patches
from counterfoil.recorder import recorder_at
from counterfoil_langchain.handler import RecordingHandler
from counterfoil_langchain.tracker import trackers
from counterfoil_langchain.versions import SUPPORTED

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from counterfoil.redact import Redactor

__all__ = ["install", "installed", "uninstall"]

_handler: Final = RecordingHandler(None)
# As its default, not by set(): a default is there in every thread and context, however it began.
_variable: Final[ContextVar[RecordingHandler]] = ContextVar("counterfoil_langchain", default=_handler)
_patches: Final = Patches()
_lock: Final = threading.Lock()


def install(
    db: str | os.PathLike[str] | None = None,
    *,
    capture: str | None = None,
    redactors: Iterable[Redactor] = (),
    durability: str | None = None,
    quiet: bool | None = None,
) -> None:
    """Record every LangChain and LangGraph run of this process to the store `db`. May be called again.

    `db` is the store's path, else `$COUNTERFOIL_DB`, else `counterfoil.db` here; its absolute path is printed once, to
    stderr, unless `quiet` or `$COUNTERFOIL_QUIET`. Another `db` than before: from now on there.
    """
    warn_of_versions(SUPPORTED)
    recorder = recorder_at(db, capture=capture, redactors=redactors, durability=durability)
    with _lock:
        _hook()
        _handler.tracker = trackers.of(recorder)
    _hear_of_pauses()
    say_where(recorder.path, quiet=quiet)


def uninstall() -> None:
    """Stop recording what `install` attached to. May be called again, also when nothing is installed."""
    with _lock:
        _handler.tracker = None
        _patches.undo()


def installed() -> bool:
    """Tell whether every run of this process is recorded."""
    return _handler.tracker is not None


@functools.cache
def _hook() -> None:
    """Hook in, once: there is no way back, but without a tracker the handler does nothing."""
    _silence_earlier()
    register_configure_hook(cast("ContextVar[Any]", _variable), inheritable=True)


@guarded
def _silence_earlier() -> None:
    """In a notebook this module may be imported anew: the handler of the one before must record no more."""
    for hook in getattr(hooks, "_configure_hooks", ()):
        if hook[0].name == _variable.name:
            hook[0].get().tracker = None


@guarded
def _hear_of_pauses() -> None:
    """LangGraph tells of a pause only handlers in `config["callbacks"]`, not those of a configure hook."""
    if importlib.util.find_spec("langgraph") is None:
        return
    main = importlib.import_module("langgraph.pregel.main")
    for name in ("get_sync_graph_callback_manager_for_config", "get_async_graph_callback_manager_for_config"):
        original = getattr(main, name, None)  # not there before langgraph 1.1
        if original is not None:
            _patches.replace(main, name, _with_handler(original))


def _with_handler(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def managed(*args: Any, **kwargs: Any) -> Any:
        manager = original(*args, **kwargs)
        _add_to(manager)
        return manager

    return managed


@guarded
def _add_to(manager: Any) -> None:
    if _handler.tracker is not None and not any(one is _handler for one in manager.handlers):
        manager.add_handler(_handler, inherit=True)
