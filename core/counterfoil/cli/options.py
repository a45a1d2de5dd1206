"""The options that every command has."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from counterfoil.cli.times import moment

__all__ = ["Labels", "Moment", "common"]

F = TypeVar("F", bound=Callable[..., Any])

_DB: Final = click.option(
    "--db",
    metavar="PATH",
    default=None,
    help="The store. [default: $COUNTERFOIL_DB, else counterfoil.db here]",
)
_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Give JSON, as docs/cli.md describes it.")


def common(command: F) -> F:
    """Give `command` the options `--db PATH` (parameter `db`) and `--json` (parameter `as_json`)."""
    return _DB(_JSON(command))


class Moment(click.ParamType[int]):
    """A point in time: `90m`, `24h` or `7d` ago, or an ISO date or time. Gives nanoseconds since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Give nanoseconds since the epoch."""
        if isinstance(value, int):
            return value
        try:
            return moment(value, time.time_ns())
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Labels(click.ParamType[tuple[str, str]]):
    """`KEY=VALUE`. Gives the pair."""

    name = "label"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Give the key and the value."""
        if isinstance(value, tuple):
            return value
        key, equals, wanted = value.partition("=")
        if not equals or not key:
            self.fail(f"{value!r} is no label: give KEY=VALUE", param, ctx)
        return key, wanted
