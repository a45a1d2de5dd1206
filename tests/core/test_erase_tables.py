"""After an erasure the built tables are what a rebuild makes of what is left, and every number is what it was."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.events import Text
from counterfoil.store import ingest, read, seal
from counterfoil.store.erase import Selection, erase
from everything import Words, everything_happens, said
from handmade_tape import SECOND, T0, Tape, run_id, step_id
from worlds import new_store, worlds, write

NUMBERS = """run_id, status, started_ns, ended_ns, human_wait_ns, steps, agents, llm_calls, tool_calls, handoffs,
  escalations, errors, input_tokens, output_tokens, cost_nano, unpriced_calls, unknown_usage_calls, resumes, first_run_id,
  waiting, open_steps, root_kind, root_step_id"""
OF_STEPS = """step_id, run_id, parent_id, kind, status, evidence, started_ns, ended_ns, input_tokens, output_tokens,
  cost_nano, decided_by, internal, folded_into, process_id, process_seq, error_type IS NULL"""


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "x.db"


def drain(path: Path) -> None:
    with ingest.Drainer(path) as drainer:
        drainer.drain()


def rows(path: Path, query: str, *params: Any) -> list[tuple]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query, params).fetchall()


def numbers(path: Path) -> dict[str, list[tuple]]:
    return {
        "runs": rows(path, f"SELECT {NUMBERS} FROM runs ORDER BY run_id"),
        "steps": rows(path, f"SELECT {OF_STEPS} FROM steps ORDER BY step_id"),
        "spending": rows(path, "SELECT day, sum(calls), sum(cost_nano), sum(input_tokens) FROM t_spending GROUP BY day"),
        "handoffs": rows(path, "SELECT handoff_id, run_id, mode, status, requested_ns, returned_ns FROM handoffs ORDER BY 1"),
        "approvals": rows(path, "SELECT approval_id, run_id, status, asked_ns, answered_ns FROM approvals ORDER BY 1"),
        "decisions": rows(path, "SELECT decision_id, verdict, enforced, at_ns FROM decisions ORDER BY 1"),
        "scores": rows(path, "SELECT run_id, step_id, value, at_ns FROM scores ORDER BY at_ns"),
        "processes": rows(path, "SELECT process_id, pid, started_ns, ended_ns, last_seen_ns FROM processes ORDER BY 1"),
    }  # fmt: skip


def assert_it_is_what_the_events_say(path: Path) -> None:
    assert ingest.rebuild(path).changed == ()
    with closing(sqlite3.connect(path)) as db:
        assert seal.verify_chain(db) is None
        # Nothing stands for a text that is not there.
        assert (
            db.execute(
                "SELECT * FROM event_payloads WHERE payload_id NOT IN (SELECT payload_id FROM payloads)"
            ).fetchall()
            == []
        )
        assert (
            db.execute(
                "SELECT * FROM refs WHERE payload_id NOT IN (SELECT payload_id FROM payloads)"
            ).fetchall()
            == []
        )


SELECTIONS = [
    Selection("run", run_id(1)),
    Selection("run", run_id(1), everywhere=True),
    Selection("match", "word"),
    Selection("match", "word0005x"),
    Selection("older-than", T0 + 10_000 * SECOND),
]


@pytest.mark.parametrize("selection", SELECTIONS, ids=lambda one: f"{one.what} {one.value} {one.everywhere}")
def test_every_number_of_a_run_in_which_everything_happens_is_what_it_was(path, selection):
    tape = Tape(path)
    words = Words("")
    everything_happens(tape, 1, words)
    everything_happens(tape, 2, words)
    tape.exit(t=T0 + 5_000 * SECOND)
    drain(path)
    before = numbers(path)
    assert [(run[6], run[11]) for run in before["runs"]] == [(7, 1)] * 2
    erase(path, selection, by="ada")
    assert numbers(path) == before
    assert_it_is_what_the_events_say(path)


@pytest.mark.slow
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(
    world=worlds(),
    selections=st.lists(
        st.sampled_from(
            [
                Selection("run", run_id(1)),
                Selection("run", run_id(2)),
                Selection("run", run_id(1), everywhere=True),
                Selection("session", "s1"),
                Selection("session", "s2", everywhere=True),
                Selection("match", "message 1"),
                Selection("match", "a"),
                Selection("match", "r1"),
                Selection("older-than", T0 + 5_000),
            ]
        ),
        min_size=1,
        max_size=3,
    ),
    later=st.booleans(),
)
def test_whatever_was_recorded_and_erased_the_tables_are_those_of_a_rebuild(world, selections, later):
    folder = Path(tempfile.mkdtemp())
    path = folder / "x.db"
    try:
        new_store(path)
        tapes = [Tape(path) for _ in world]
        for tape, events in zip(tapes, world, strict=True):
            for event in events[: len(events) // 2 if later else None]:
                write(tape, event)
        drain(path)
        for selection in selections:
            before = numbers(path)
            erase(path, selection, by="ada")
            assert numbers(path) == before
            assert_it_is_what_the_events_say(path)
        if later:
            for tape, events in zip(tapes, world, strict=True):
                for event in events[len(events) // 2 :]:
                    write(tape, event)
            drain(path)
            assert_it_is_what_the_events_say(path)
        for tape in tapes:
            tape.let_go()
    finally:
        shutil.rmtree(folder)


def test_the_better_of_two_reports_of_one_call_still_counts_alone_when_the_id_that_told_so_is_gone(path):
    tape = Tape(path)
    outer, inner = step_id(1), step_id(2)
    tape.start(run_id(1), outer, t=T0 + 1, kind="llm")
    tape.start(run_id(1), inner, t=T0 + 2, kind="llm", parent=outer)
    tape.end(run_id(1), inner, t=T0 + 3, response_id="r1", model="secret-model", input_tokens=7)
    tape.end(run_id(1), outer, t=T0 + 4, response_id="r1", input_tokens=7)
    drain(path)
    erase(path, Selection("match", "secret"), by="ada")  # the inner report's text alone
    assert rows(path, "SELECT step_id, folded_into FROM steps ORDER BY 1") == [(outer, inner), (inner, None)]
    erase(path, Selection("run", run_id(1)), by="ada")
    assert rows(path, "SELECT step_id, folded_into FROM steps ORDER BY 1") == [(outer, inner), (inner, None)]
    assert rows(path, "SELECT llm_calls, input_tokens FROM runs") == [(1, 7)]
    assert_it_is_what_the_events_say(path)


def test_an_error_stays_one_and_agents_can_be_counted_though_nobody_knows_their_names(path):
    tape = Tape(path)
    for n, agent in enumerate(("triage", "billing", "triage"), 1):
        tape.start(run_id(1), step_id(n), t=T0 + n, agent=agent, name=agent)
        tape.end(
            run_id(1), step_id(n), t=T0 + 10 + n, status="error", error_type="KeyError" if n == 2 else None
        )
    drain(path)
    erase(path, Selection("run", run_id(1)), by="ada")
    assert rows(path, "SELECT agent, name, error_type FROM steps ORDER BY step_id") == [
        ("erased 1", None, None),
        ("erased 2", None, "erased"),
        (None, None, None),
    ]
    assert rows(path, "SELECT agents, errors FROM runs") == [(2, 1)]


def test_of_two_stores_prices_that_of_the_older_table_still_stands(path):
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0 + 1, kind="llm")
    tape.end(run_id(1), step_id(1), t=T0 + 2, input_tokens=1, output_tokens=1)
    for source, cost in (("table 1", 900), ("table 2", 500)):
        tape.event(
            "price", t=T0 + 3, run=run_id(1), step=step_id(1), cost_nano=cost, text=Text(price_source=source)
        )
    drain(path)
    erase(path, Selection("match", "table"), by="ada")
    assert rows(path, "SELECT cost_nano FROM runs") == [(900,)]
    assert_it_is_what_the_events_say(path)


def test_what_an_erased_run_records_later_is_there(path):
    tape = Tape(path)
    asked = [said("one"), said("two")]
    tape.start(run_id(1), step_id(1), t=T0 + 1, kind="llm", messages=asked, agent="triage")
    drain(path)
    erase(path, Selection("run", run_id(1)), by="ada")
    tape.end(run_id(1), step_id(1), t=T0 + 2, model="m", messages=[said("three")], input_tokens=5)
    tape.start(run_id(1), step_id(2), t=T0 + 3, kind="llm", messages=[said("four")], base=step_id(1), keep=2)
    drain(path)
    with read.open(path) as store:
        first, second = (store.messages(step_id(n)) for n in (1, 2))
        assert (first.input, first.output) == ([], [said("three")])
        assert (second.input, second.output) == ([said("four")], [])
        assert store.run("last").input_tokens == 5
    assert_it_is_what_the_events_say(path)
