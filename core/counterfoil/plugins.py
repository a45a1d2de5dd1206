"""The guarded loader: a broken plugin is reported, and never stops the others.

pluggy collects, once; what it collected is kept as tuples of plain functions.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import msgspec
import pluggy

from counterfoil import hookspecs
from counterfoil.guard import report

if TYPE_CHECKING:
    from counterfoil.adapters import Adapter
    from counterfoil.redact import Redactor

__all__ = ["Plugin", "collect_adapters", "collect_redactors", "hookimpl", "listed", "manager", "reset"]

#: Marks the functions of a plugin: `@counterfoil.hookimpl`.
hookimpl = pluggy.HookimplMarker("counterfoil")

GROUP = "counterfoil"


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin as `counterfoil plugins` shows it; `error` says why it was left out."""

    name: str
    module: str
    distribution: str | None
    version: str | None
    hooks: tuple[str, ...] = ()
    error: str | None = None


@functools.cache
def _load() -> tuple[pluggy.PluginManager, tuple[Plugin, ...]]:
    """Load every plugin once. `$COUNTERFOIL_PLUGINS` names those wanted, with commas; empty: none."""
    import importlib.metadata  # noqa: PLC0415  # 10 ms that `import counterfoil` need not cost

    loaded = pluggy.PluginManager("counterfoil")
    loaded.add_hookspecs(hookspecs)
    wanted = os.environ.get("COUNTERFOIL_PLUGINS")
    names = None if wanted is None else {name.strip() for name in wanted.split(",")}
    plugins: list[Plugin] = []
    for entry in importlib.metadata.entry_points(group=GROUP):
        if names is not None and entry.name not in names:
            continue
        error: str | None = None
        module: Any = None
        try:
            module = entry.load()
            loaded.register(module, name=entry.name)
            _check(loaded, module)
        except Exception as problem:
            report(f"plugin {entry.name}", problem)
            error = f"{type(problem).__name__}: {problem}"
            if module is not None and loaded.is_registered(module):
                loaded.unregister(module)
        hooks = tuple(sorted(caller.name for caller in loaded.get_hookcallers(module) or ())) if not error else ()
        plugins.append(
            Plugin(
                name=entry.name,
                module=entry.value,
                distribution=entry.dist.name if entry.dist else None,
                version=entry.dist.version if entry.dist else None,
                hooks=hooks,
                error=error,
            )
        )
    return loaded, tuple(plugins)


def _check(loaded: pluggy.PluginManager, module: Any) -> None:
    """Refuse a plugin with a hook that does not exist: a misspelt one would silently do nothing."""
    known = {name for name in vars(hookspecs) if name.startswith("register_")}
    for caller in loaded.get_hookcallers(module) or ():
        if caller.name not in known:
            raise LookupError(f"there is no hook {caller.name!r}")


def manager() -> pluggy.PluginManager:
    """Give pluggy's manager with every plugin that loads."""
    return _load()[0]


def listed() -> tuple[Plugin, ...]:
    """Give every plugin found, the broken ones with their error."""
    return _load()[1]


def reset() -> None:
    """Forget what was loaded, so that the next use looks again."""
    _load.cache_clear()
    collect_redactors.cache_clear()
    collect_adapters.cache_clear()


def _collect(hook: str) -> list[Any]:
    """Call each plugin's hook by itself: in one pluggy call, one that raises stops the rest."""
    found: list[Any] = []
    caller = getattr(manager().hook, hook)
    for implementation in caller.get_hookimpls():
        try:
            found.extend(implementation.function() or ())
        except Exception as error:
            report(f"plugin {implementation.plugin_name}: {hook}", error)
    return found


@functools.cache
def collect_redactors() -> tuple[Redactor, ...]:
    """Give the redactors of all plugins."""
    return tuple(_collect("register_redactors"))


@functools.cache
def collect_adapters() -> tuple[Adapter, ...]:
    """Give the adapters of all plugins."""
    return tuple(_collect("register_adapters"))
