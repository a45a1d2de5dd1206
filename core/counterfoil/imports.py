"""Call something when a module is first imported, without importing it."""

from __future__ import annotations

import importlib.util
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from counterfoil.guard import report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["forget", "when_imported"]

_waiting: Final[dict[str, list[Callable[[], object]]]] = {}
_looking: Final = threading.local()


def when_imported(module: str, call: Callable[[], object]) -> None:
    """Call `call()` once: now if `module` is imported, else right after it is. What `call` raises is reported."""
    if module in sys.modules:
        _try(module, call)
        return
    _waiting.setdefault(module, []).append(call)
    if _watcher not in sys.meta_path:
        sys.meta_path.insert(0, _watcher)


def forget(call: Callable[[], object]) -> None:
    """Undo `when_imported`, where that has not come yet."""
    for module, calls in tuple(_waiting.items()):
        if call in calls:
            calls.remove(call)
        if not calls:
            _waiting.pop(module, None)
    _rest()


def _rest() -> None:
    if not _waiting and _watcher in sys.meta_path:
        sys.meta_path.remove(_watcher)


class _Watcher:
    """A finder that finds nothing by itself: it has the module that the others find tell when it was executed."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002  # as the import system calls it
        target: ModuleType | None = None,  # noqa: ARG002  # as above
    ) -> ModuleSpec | None:
        looking: set[str] = vars(_looking).setdefault("names", set())
        if fullname not in _waiting or fullname in looking:
            return None
        looking.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            looking.discard(fullname)
        if spec is not None and spec.loader is not None:
            _tell_when_executed(spec.loader, fullname)
        return spec


_watcher: Final[Any] = _Watcher()


def _tell_when_executed(loader: Any, name: str) -> None:
    # On the loader itself: one of ours in its place would hide its other methods (sources, resources).
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        if module.__name__ == name:
            vars(loader).pop("exec_module", None)
            calls = _waiting.pop(name, [])
            _rest()
            for call in calls:
                _try(name, call)

    try:
        loader.exec_module = exec_module
    except AttributeError as error:  # a loader that is a class of the interpreter
        report(f"the import of {name}", error)


def _try(module: str, call: Callable[[], object]) -> None:
    try:
        call()
    except Exception as error:
        report(f"attaching at the import of {module}", error)
