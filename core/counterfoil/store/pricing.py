"""What model calls cost, from genai-prices' table (an extra: without it, calls stay unpriced).

A price is an event of its own with the table's version, so that it stays what it was when tables change.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from counterfoil.events import Head, Text
from counterfoil.ids import now_ns
from counterfoil.store.made import Made

if TYPE_CHECKING:
    import sqlite3

__all__ = ["is_wanted", "price_unpriced"]

#: Priced in one transaction.
GROUP: Final = 500
#: Importing the table takes half a second: not begun with less time left.
IMPORT_SECONDS: Final = 0.7

#: Ended calls of one model. Usage that contradicts itself has no price: the table refuses it, each time.
_UNPRICED: Final = """cost_nano IS NULL AND input_tokens IS NOT NULL AND cached IS NOT 1
  AND kind IN ('llm', 'embedding') AND end_rank > 0 AND folded_into IS NULL
  AND (output_tokens IS NOT NULL OR kind = 'embedding')
  AND coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0) <= input_tokens
  AND provider IS ? AND coalesce(model, request_model) = ?"""

#: Provider and model.
_Model: TypeAlias = tuple[str | None, str]
_Call: TypeAlias = tuple[str, str, int, int, int | None, int | None, int | None]
_Pricer: TypeAlias = Callable[[str | None, str, _Call], int]


class _Unknown(Exception):  # noqa: N818  # not an error: the table does not have the model
    """The table has no price for the model."""


def is_wanted(db: sqlite3.Connection) -> bool:
    """Tell whether there are ended calls without a price that the table here has not been asked for."""
    version, pairs, _ = _asked_for(db)
    return version is not None and any(
        db.execute(f"SELECT 1 FROM t_steps WHERE {_UNPRICED} LIMIT 1", pair).fetchone() for pair in pairs
    )


def price_unpriced(db: sqlite3.Connection, until: float) -> Iterator[list[Made]]:
    """Give `price` events for ended calls that have none, group by group, until `until` (time.monotonic).

    What the table does not know is remembered with the table's version, and not asked for again.
    """
    version, pairs, misses = _asked_for(db)
    if version is None:
        return
    price: _Pricer | None = None
    source = Text(price_source=f"genai-prices {version}")
    unknown: set[_Model] = set()
    made: list[Made] = []
    for provider, model in pairs:
        calls: list[_Call] = db.execute(
            f"""SELECT step_id, run_id, started_ns, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens
            FROM t_steps WHERE {_UNPRICED} ORDER BY started_ns DESC""",
            (provider, model),
        ).fetchall()
        if calls and price is None:
            if until - time.monotonic() < (0 if "genai_prices" in sys.modules else IMPORT_SECONDS):
                return
            price = _pricer()
        for call in calls:
            assert price is not None
            try:
                cost = price(provider, model, call)
            except _Unknown:
                unknown.add((provider, model))
                break
            except Exception:  # noqa: S112  # usage that contradicts itself: this call stays unpriced
                continue
            made.append(
                Made(Head(k="price", t=now_ns(), q=0, run=call[1], step=call[0], cost_nano=cost), source)
            )
            if len(made) >= GROUP:
                yield made
                made = []
            if time.monotonic() > until:
                break
    if made:
        yield made
    if unknown:
        _remember(db, version, misses | unknown)


def _asked_for(db: sqlite3.Connection) -> tuple[str | None, list[_Model], set[_Model]]:
    """Give the table's version, the models that it is to be asked for, and those that it did not know."""
    unpriced: list[_Model] = db.execute(
        """SELECT DISTINCT provider, model FROM t_spending WHERE unpriced_calls > 0 AND model IS NOT NULL
        ORDER BY 1, 2"""
    ).fetchall()
    version = _version() if unpriced else None
    if version is None:
        return None, [], set()
    misses = _misses(db, version)
    return version, [pair for pair in unpriced if pair not in misses], misses


def _version() -> str | None:
    found = PathFinder.find_spec("genai_prices")
    if found is None or found.origin is None:
        return None
    # Where importlib.metadata would find it, too: that brings all of email, a tenth of a command's time.
    with suppress(OSError):
        for name in os.listdir(os.path.dirname(os.path.dirname(found.origin))):
            if name.startswith("genai_prices-") and name.endswith(".dist-info"):
                return name.removeprefix("genai_prices-").removesuffix(".dist-info")
    from importlib import metadata  # noqa: PLC0415  # installed in another way: from a zip, from its sources

    try:
        return metadata.version("genai-prices")
    except metadata.PackageNotFoundError:
        return None


def _pricer() -> _Pricer:
    from genai_prices import Usage, calc_price  # noqa: PLC0415  # half a second, and an extra

    def price(provider: str | None, model: str, call: _Call) -> int:
        _, _, started_ns, input_tokens, output_tokens, cache_read, cache_write = call
        # Of parts that are more than the whole nobody knows which is wrong.
        usage = Usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens or 0,
            cache_read_tokens=cache_read or None,
            cache_write_tokens=cache_write or None,
        )
        when = datetime.fromtimestamp((started_ns or now_ns()) / 1e9, UTC)
        try:
            found = calc_price(usage, model, provider_id=provider, genai_request_timestamp=when)
        except LookupError as error:
            raise _Unknown from error
        return int((Decimal(found.total_price) * 1_000_000_000).to_integral_value())

    return price


def _misses(db: sqlite3.Connection, version: str) -> set[_Model]:
    row = db.execute("SELECT value FROM meta WHERE key = 'price_misses'").fetchone()
    if row is None:
        return set()
    stored: dict[str, Any] = msgspec.json.decode(row[0])
    if stored.get("version") != version:
        return set()
    return {(provider, model) for provider, model in stored["misses"]}


def _remember(db: sqlite3.Connection, version: str, misses: set[_Model]) -> None:
    ordered = sorted(misses, key=lambda pair: (pair[0] or "", pair[1]))
    value = msgspec.json.encode({"version": version, "misses": ordered}).decode()
    db.execute("INSERT OR REPLACE INTO meta(key, value) VALUES ('price_misses', ?)", (value,))
