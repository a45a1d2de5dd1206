"""The menu of extension points. `docs/plugins.md` has an example of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from counterfoil.adapters import Adapter
    from counterfoil.anchor import Anchor
    from counterfoil.redact import Redactor

__all__ = [
    "hookimpl",
    "hookspec",
    "register_adapters",
    "register_anchors",
    "register_commands",
    "register_redactors",
]

hookspec = pluggy.HookspecMarker("counterfoil")
#: Marks the functions of a plugin: `@counterfoil.hookimpl`.
hookimpl = pluggy.HookimplMarker("counterfoil")


@hookspec
def register_adapters() -> list[Adapter]:  # type: ignore[empty-body]  # a hook's body is its plugins
    """Give the adapters of this plugin: a framework's name, the versions supported, install and uninstall."""


@hookspec
def register_redactors() -> list[Redactor]:  # type: ignore[empty-body]  # as above
    """Give rules or functions that take secrets out before anything touches the disk."""


@hookspec
def register_anchors() -> list[Anchor]:  # type: ignore[empty-body]  # as above
    """Give places that keep signed checkpoints out of reach of whoever can write the store."""


@hookspec
def register_commands(cli: click.Group) -> None:
    """Add commands to `counterfoil`."""
