"""The entry point: tells core how to attach to LangChain. Imports no framework."""

from __future__ import annotations

from typing import Any

from counterfoil.adapters import Adapter
from counterfoil.plugins import hookimpl
from counterfoil_langchain.versions import SUPPORTED

__all__ = ["register_adapters"]


def _install(db: Any = None, **options: Any) -> None:
    from counterfoil_langchain.attach import install  # noqa: PLC0415  # imports the framework

    install(db, **options)


def _uninstall() -> None:
    from counterfoil_langchain.attach import uninstall  # noqa: PLC0415  # imports the framework

    uninstall()


def _installed() -> bool:
    from counterfoil_langchain.attach import installed  # noqa: PLC0415  # imports the framework

    return installed()


@hookimpl
def register_adapters() -> list[Adapter]:
    """Give LangChain's adapter, LangGraph included."""
    return [
        Adapter(
            name="langchain",
            requires=SUPPORTED,
            install=_install,
            uninstall=_uninstall,
            installed=_installed,
        )
    ]
