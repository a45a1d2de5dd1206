"""The guarded loader: a broken plugin is reported, and never stops the others.

pluggy collects, once; what it collected is kept as tuples of plain functions.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import msgspec

from counterfoil.adapters import Adapter
from counterfoil.anchor import Anchor
from counterfoil.forklock import importing
from counterfoil.guard import report
from counterfoil.snapshot import text_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.metadata import EntryPoint

    import pluggy

    from counterfoil.redact import Redactor

__all__ = ["Plugin", "collect_adapters", "collect_anchors", "collect_redactors", "listed", "manager", "reset"]

GROUP: Final = "counterfoil"


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin as `counterfoil plugins` shows it; `error` says why it was left out."""

    name: str
    module: str
    distribution: str | None
    version: str | None
    hooks: tuple[str, ...] = ()
    error: str | None = None


class _Loader:
    """What the plugins are, looked for once. Nothing is reported before it is known: a report asks for redactors."""

    def __init__(self) -> None:
        self.busy = False
        self.manager: pluggy.PluginManager | None = None
        self.plugins: tuple[Plugin, ...] = ()
        self.collected: dict[str, tuple[Any, ...]] = {}

    def load(self) -> pluggy.PluginManager | None:
        """Load every plugin; None while that is under way (a plugin that records as it is imported)."""
        problems: list[tuple[str, BaseException]] = []
        with importing:  # so that threads which come at once load a plugin once
            if self.manager is None and not self.busy:
                self.busy = True
                try:
                    import pluggy  # noqa: PLC0415  # 4 ms, and nobody who reads a store needs a plugin

                    from counterfoil import hookspecs  # noqa: PLC0415  # as pluggy

                    manager = pluggy.PluginManager("counterfoil")
                    manager.add_hookspecs(hookspecs)
                    self.plugins = tuple(_load(manager, entry, problems) for entry in _entries(problems))
                    self.manager = manager
                finally:
                    self.busy = False
            found = self.manager
        for place, problem in problems:
            report(place, problem)
        return found

    def collect(self, hook: str, wanted: Callable[[Any], bool]) -> tuple[Any, ...] | None:
        """Give what the plugins' functions for `hook` give, each called by itself; None while that is under way."""
        manager = self.load()
        problems: list[tuple[str, BaseException]] = []
        with importing:
            if manager is None or self.busy:
                return None
            found = self.collected.get(hook)
            if found is None:
                self.busy = True
                try:
                    found = self.collected[hook] = tuple(_call_each(manager, hook, wanted, problems))
                finally:
                    self.busy = False
        for place, problem in problems:
            report(place, problem)
        return found


_loader = _Loader()


def _in_child() -> None:
    _loader.busy = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _entries(problems: list[tuple[str, BaseException]]) -> list[EntryPoint]:
    """Find the plugins installed. `$COUNTERFOIL_PLUGINS` names those wanted, with commas; empty: none."""
    import importlib.metadata  # noqa: PLC0415  # 10 ms that `import counterfoil` need not cost

    wanted = os.environ.get("COUNTERFOIL_PLUGINS")
    names = None if wanted is None else {name.strip() for name in wanted.split(",")}
    if names == {""}:
        return []
    try:
        entries = importlib.metadata.entry_points(group=GROUP)
    except Exception as problem:  # one distribution's broken metadata
        problems.append(("looking for plugins", problem))
        return []
    return [entry for entry in entries if names is None or entry.name in names]


def _load(
    manager: pluggy.PluginManager, entry: EntryPoint, problems: list[tuple[str, BaseException]]
) -> Plugin:
    error: str | None = None
    hooks: tuple[str, ...] = ()
    registered: Any = None
    try:
        module = entry.load()
        manager.register(module, name=entry.name)
        registered = module
        hooks = _hooks(manager, module)
    except (Exception, SystemExit) as problem:
        error = text_of(f"{type(problem).__name__}: {text_of(problem)}", 2_000)
        problems.append((f"plugin {entry.name}", RuntimeError(error)))
        if registered is not None:
            manager.unregister(registered)
    return Plugin(
        name=entry.name,
        module=entry.value,
        distribution=entry.dist.name if entry.dist else None,
        version=entry.dist.version if entry.dist else None,
        hooks=hooks,
        error=error,
    )


def _hooks(manager: pluggy.PluginManager, module: Any) -> tuple[str, ...]:
    """Give the hooks of a plugin; refuse one that does not exist: a misspelt one would silently do nothing."""
    callers = manager.get_hookcallers(module) or []
    for caller in callers:
        if not caller.has_spec():
            raise LookupError(f"there is no hook {caller.name!r}")
        if any(one.plugin is module and (one.hookwrapper or one.wrapper) for one in caller.get_hookimpls()):
            raise TypeError(f"{caller.name} is called by itself: there is nothing that it could wrap")
    return tuple(sorted(caller.name for caller in callers))


def _call_each(
    manager: pluggy.PluginManager,
    hook: str,
    wanted: Callable[[Any], bool],
    problems: list[tuple[str, BaseException]],
) -> list[Any]:
    """Call each plugin's function by itself: in one pluggy call, one that raises stops the rest."""
    found: list[Any] = []
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        try:
            given = list(implementation.function() or ())
        except (Exception, SystemExit) as problem:
            problems.append((f"plugin {implementation.plugin_name}: {hook}", problem))
            continue
        for one in given:
            if wanted(one):
                found.append(one)
            else:
                wrong = TypeError(f"it gives {text_of(one, 200)}")
                problems.append((f"plugin {implementation.plugin_name}: {hook}", wrong))
    return found


def manager() -> pluggy.PluginManager:
    """Give pluggy's manager with every plugin that loads."""
    found = _loader.load()
    if found is None:
        raise RuntimeError("a plugin asks for the plugins while it is being loaded")
    return found


def listed() -> tuple[Plugin, ...]:
    """Give every plugin found, the broken ones with their error."""
    _loader.load()
    return _loader.plugins


def reset() -> None:
    """Forget what was loaded, so that the next use looks again."""
    global _loader
    _loader = _Loader()


def collect_redactors() -> tuple[Redactor, ...] | None:
    """Give the redactors of all plugins; None while they are being loaded."""
    with importing:
        from counterfoil.redact import Rule  # noqa: PLC0415  # most who ask for plugins ask for none of these

    return _loader.collect("register_redactors", lambda one: isinstance(one, Rule) or callable(one))


def collect_anchors() -> tuple[Anchor, ...]:
    """Give the anchors of all plugins."""
    return _loader.collect("register_anchors", lambda one: isinstance(one, Anchor)) or ()


def collect_adapters() -> tuple[Adapter, ...]:
    """Give the adapters of all plugins."""
    return _loader.collect("register_adapters", lambda one: isinstance(one, Adapter)) or ()
