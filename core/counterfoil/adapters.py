"""What an adapter says of itself to core, without importing its framework."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003  # msgspec reads the annotations when the code runs
from typing import Any

import msgspec

__all__ = ["Adapter"]


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """How to attach to one framework.

    `name` is the value of the `framework` column. `requires` are the distributions and versions it supports, as in
    `langchain-core>=0.3.80`. `install(db)` attaches to the whole process, `uninstall()` undoes it; both may
    be called again. `installed()` tells.
    """

    name: str
    requires: tuple[str, ...]
    install: Callable[..., Any]
    uninstall: Callable[[], None]
    installed: Callable[[], bool]
