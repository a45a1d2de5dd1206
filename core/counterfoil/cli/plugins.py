"""`counterfoil plugins`: what extends Counterfoil here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from counterfoil import guard, plugins
from counterfoil.adapters import versions
from counterfoil.cli import screen
from counterfoil.cli.escape import visible
from counterfoil.cli.group import COMMANDS, TROUBLE
from counterfoil.cli.json_text import record
from counterfoil.cli.options import common

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from counterfoil.adapters import Adapter
    from counterfoil.plugins import Plugin

__all__ = ["command"]


@click.command("plugins", short_help=COMMANDS["plugins"])
@common
@click.pass_context
def command(ctx: click.Context, db: str | None, as_json: bool) -> None:  # noqa: ARG001  # --db: on every command
    """List plugins and adapters, with versions and errors.

    Of a plugin its hooks, of an adapter the versions it supports and those installed. Exit code 1 when a plugin is broken.
    """
    before = guard.counted()
    found = plugins.listed()
    adapters = [_told(adapter) for adapter in plugins.collect_adapters()]
    failing = sorted(place for place, count in guard.counted().items() if count > before.get(place, 0))
    broken = {plugin.name for plugin in found if plugin.error}
    hooks = [
        place
        for place in failing
        if place.startswith("plugin ") and place.removeprefix("plugin ") not in broken
    ]
    if as_json:
        screen.put_json(
            {"plugins": [record(plugin) for plugin in found], "adapters": adapters, "failing_hooks": hooks}
        )
    else:
        screen.put(_lines(found, adapters, hooks))
    if broken or hooks:
        ctx.exit(TROUBLE)


def _told(adapter: Adapter) -> dict[str, Any]:
    requires = [
        {"requirement": one, "installed": next(iter(versions((one,)).values()), None)}
        for one in adapter.requires
    ]
    return {"name": adapter.name, "requires": requires}


def _lines(
    found: Sequence[Plugin], adapters: Sequence[dict[str, Any]], hooks: Sequence[str]
) -> Iterator[Text]:
    yield Text("Plugins", style="bold")
    for plugin in found:
        origin = " ".join(part for part in (plugin.distribution, plugin.version) if part)
        yield Text(f"  {visible(plugin.name)}").append(
            f"  {visible(plugin.module)}  {visible(origin)}", style="dim"
        )
        if plugin.error:
            yield Text(f"    ! left out: {visible(plugin.error)}", style="red")
        else:
            yield Text(f"    hooks: {visible(', '.join(plugin.hooks)) or 'none'}", style="dim")
    for place in hooks:
        yield Text(f"  ! {visible(place)} failed", style="red")
    if not found:
        yield Text("  none")
    yield Text("")
    yield Text("Adapters", style="bold")
    for adapter in adapters:
        yield Text(f"  {visible(adapter['name'])}")
        for one in adapter["requires"]:
            installed = one["installed"] or "not installed"
            yield Text(f"    supports {visible(one['requirement'])}; here: {visible(installed)}", style="dim")
    if not adapters:
        yield Text("  none")
