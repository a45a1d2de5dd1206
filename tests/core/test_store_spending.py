"""What model calls cost in sum: kept up to date as events come, the same as adding up every call."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.store import read
from handmade_tape import Tape
from worlds import new_store, worlds, write


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_sums_are_those_of_the_calls_themselves(world, order):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.db"
        new_store(path)
        tapes = [Tape(path) for _ in world]
        waiting = [(tape, event) for tape, events in zip(tapes, world, strict=True) for event in events]
        order.shuffle(waiting)
        for at, (tape, event) in enumerate(waiting):
            write(tape, event)
            if at % 4 == 0:
                read.open(path).close()
        for tape in tapes:
            tape.let_go()
        with read.open(path) as store:
            (total,) = store.cost()
            _, rows = store.sql(
                """SELECT count(*), sum(input_tokens), sum(output_tokens), sum(cost_nano) FROM steps
                WHERE kind IN ('llm', 'embedding') AND folded_into IS NULL"""
            )
            assert (total.calls, total.input_tokens, total.output_tokens, total.cost_nano) == rows[0]
            one_by_one = [
                part for run in store.runs(limit=None, all=True) for part in store.cost("agent", run=run)
            ]
            for part in store.cost("agent"):
                same = [one for one in one_by_one if one.key == part.key]
                assert part.calls == sum(one.calls for one in same)
                assert part.unpriced_calls == sum(one.unpriced_calls for one in same)
                assert part.unknown_usage_calls == sum(one.unknown_usage_calls for one in same)
                assert part.cost_nano == _sum(one.cost_nano for one in same)
                assert part.input_tokens == _sum(one.input_tokens for one in same)


def _sum(values) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def test_no_group_stays_that_no_call_is_in(tmp_path):
    path = tmp_path / "x.db"
    tape = Tape(path)
    tape.start("1" * 32, "1" * 16, t=1, kind="llm", request_model="asked")
    with read.open(path) as store:
        assert [one.key for one in store.cost("model")] == ["asked"]
        tape.end("1" * 32, "1" * 16, t=2, model="answered")
        store.refresh()
        assert [one.key for one in store.cost("model")] == ["answered"]
