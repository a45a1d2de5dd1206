"""What calls cost: found once, kept as an event with the price table's version."""

from __future__ import annotations

import sqlite3
import sys
import time
from decimal import Decimal
from importlib import metadata
from pathlib import Path

import pytest

from counterfoil.store import ingest, pricing, read
from handmade_tape import T0, Tape, run_id, step_id


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "x.db"


def call(tape: Tape, n: int, *, kind: str = "llm", status: str = "ok", **given) -> None:
    fields = {
        "model": "gpt-4o-mini",
        "provider": "openai",
        "input_tokens": 1_000_000,
        "output_tokens": 0,
        **given,
    }
    tape.start(run_id(1), step_id(n), t=T0 + n, kind=kind)
    tape.end(run_id(1), step_id(n), t=T0 + n + 1, status=status, **fields)


def drain(path: Path, **options) -> None:
    with ingest.Drainer(path) as drainer:
        drainer.drain(price=True, **options)


def price_of(input_tokens: int, **given) -> int:
    genai_prices = pytest.importorskip("genai_prices")
    from datetime import UTC, datetime

    usage = genai_prices.Usage(input_tokens=input_tokens, **given)
    when = datetime.fromtimestamp(T0 / 1e9, UTC)
    cost = genai_prices.calc_price(
        usage, "gpt-4o-mini", provider_id="openai", genai_request_timestamp=when
    ).total_price
    return int(cost * Decimal(10**9))


def test_a_call_costs_what_the_table_says_and_names_its_version(path):
    call(Tape(path), 1)
    drain(path)
    with read.open(path) as store:
        (found,) = store.llm_calls()
        assert found.cost_nano == price_of(1_000_000) > 0
        assert found.price_source == f"genai-prices {metadata.version('genai-prices')}"
        run = store.run("last")
        assert (run.cost_nano, run.unpriced_calls) == (found.cost_nano, 0)


def test_cached_tokens_are_priced_as_such(path):
    call(Tape(path), 1, cache_read_tokens=400_000)
    drain(path)
    with read.open(path) as store:
        (found,) = store.llm_calls()
        assert found.cost_nano == price_of(1_000_000, cache_read_tokens=400_000) < price_of(1_000_000)


def test_what_a_cache_answered_costs_nothing_and_keeps_its_tokens(path):
    call(Tape(path), 1, cached=True)
    drain(path)
    with read.open(path) as store:
        (found,) = store.llm_calls()
        assert (found.cost_nano, found.input_tokens, found.cached) == (0, 1_000_000, True)
        assert (store.run("last").cost_nano, store.run("last").unpriced_calls) == (0, 0)


def test_an_unknown_model_stays_unpriced_and_is_not_asked_for_again(path, monkeypatch):
    call(Tape(path), 1, model="nobody-knows-this-model")
    drain(path)
    with read.open(path) as store:
        run = store.run("last")
        assert (run.cost_nano, run.cost_usd, run.unpriced_calls) == (None, None, 1)
    monkeypatch.setattr(pricing, "_pricer", lambda: pytest.fail("asked again"))
    drain(path)


def test_a_new_version_of_the_table_is_asked_again(path, monkeypatch):
    call(Tape(path), 1, model="nobody-knows-this-model")
    drain(path)
    monkeypatch.setattr(pricing, "_version", lambda: "999")
    monkeypatch.setattr(pricing, "_pricer", lambda: lambda provider, model, call: 7)
    drain(path)
    with read.open(path) as store:
        assert store.llm_calls()[0].price_source == "genai-prices 999"


def test_a_known_model_of_an_unknown_provider_is_not_guessed(path):
    call(Tape(path), 1, provider="my own gateway")
    drain(path)
    with read.open(path) as store:
        assert store.llm_calls()[0].cost_nano is None


def test_unknown_usage_has_no_price(path):
    tape = Tape(path)
    call(tape, 1, input_tokens=None, output_tokens=None)
    call(tape, 2, output_tokens=None)
    drain(path)
    with read.open(path) as store:
        run = store.run("last")
        assert (run.cost_nano, run.unpriced_calls, run.unknown_usage_calls) == (None, 2, 2)
        assert (run.input_tokens, run.output_tokens) == (1_000_000, None)


def test_usage_that_contradicts_itself_stays_unpriced_alone(path):
    tape = Tape(path)
    call(tape, 1, input_tokens=10, cache_read_tokens=400_000)
    call(tape, 2)
    drain(path)
    with read.open(path) as store:
        assert [one.cost_nano for one in store.llm_calls()] == [None, price_of(1_000_000)]


def test_an_embedding_costs_and_counts_but_is_no_llm_call(path):
    call(Tape(path), 1, kind="embedding", model="text-embedding-3-small", output_tokens=None)
    drain(path)
    with read.open(path) as store:
        run = store.run("last")
        assert (run.llm_calls, run.input_tokens, run.unpriced_calls, run.unknown_usage_calls) == (
            0,
            1_000_000,
            0,
            0,
        )
        assert run.cost_nano > 0


def test_a_price_that_the_framework_gave_stands(path):
    call(Tape(path), 1, cost_nano=5, price_source="the gateway")
    drain(path)
    with read.open(path) as store:
        assert (store.llm_calls()[0].cost_nano, store.llm_calls()[0].price_source) == (5, "the gateway")


def test_without_the_extra_calls_stay_unpriced(path, monkeypatch):
    monkeypatch.setattr(pricing, "_version", lambda: None)
    call(Tape(path), 1)
    drain(path)
    with read.open(path) as store:
        assert store.run("last").unpriced_calls == 1


def test_with_no_time_left_the_table_is_not_imported(path, monkeypatch):
    monkeypatch.delitem(sys.modules, "genai_prices", raising=False)
    monkeypatch.setattr(pricing, "_pricer", lambda: pytest.fail("imported"))
    call(Tape(path), 1)
    drain(path, deadline=time.monotonic() + 0.5)


def test_a_rebuild_keeps_the_price_that_was_found(path, monkeypatch):
    call(Tape(path), 1)
    drain(path)
    monkeypatch.setattr(pricing, "_version", lambda: None)
    ingest.rebuild(path)
    with read.open(path) as store:
        assert store.run("last").cost_nano == price_of(1_000_000)


def test_many_calls_are_priced_in_groups(path, monkeypatch):
    monkeypatch.setattr(pricing, "GROUP", 3)
    tape = Tape(path)
    for n in range(1, 11):
        call(tape, n)
    drain(path)
    with read.open(path) as store:
        assert store.run("last").cost_nano == 10 * price_of(1_000_000)
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM events WHERE kind = 'price'").fetchone() == (10,)
    db.close()
