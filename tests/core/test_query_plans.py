"""How SQLite goes about what commands ask: by indexes, whatever the number of events. No table of steps or events is scanned."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from counterfoil.events import message, text_part
from counterfoil.store import ingest, read
from handmade_tape import SECOND, T0, Tape, run_id, step_id

RUN = run_id(1)


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    """A store with some of everything; SQLite plans without statistics, as it does for users."""
    path = tmp_path_factory.mktemp("plans") / "x.db"
    tape = Tape(path)
    for n in (1, 2, 3):
        agent, call = step_id(10 * n), step_id(10 * n + 1)
        start = T0 + n * SECOND
        asked = [message("user", [text_part("Refund?")])]
        tape.start(run_id(n), agent, t=start, agent="a", session="s", task="refund", labels={"tier": "gold"})
        tape.start(
            run_id(n), call, t=start + 1, kind="llm", parent=agent, agent="a", messages=asked, model="m"
        )
        tape.end(run_id(n), call, t=start + 2, input_tokens=1, output_tokens=1, response_id=f"r{n}")
        tape.end(run_id(n), agent, t=start + 3)
    read.open(path).close()
    return path


class Listening:
    """A connection that notes what it is asked, with its values: a LIMIT that SQLite knows is planned for otherwise."""

    def __init__(self, db: sqlite3.Connection | None) -> None:
        self._db = db
        self.asked: list[tuple[str, Sequence[Any]]] = []

    def execute(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        if re.match(r"\s*(SELECT|WITH|UPDATE|DELETE)\b", query):
            self.asked.append((query, values))
        assert self._db is not None
        return self._db.execute(query, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


def gone_through(path: Path, listening: Listening) -> set[str]:
    """Give what is gone through from end to end, but for JSON, the newest event, and what a query made itself."""
    assert listening.asked
    found = set()
    with closing(sqlite3.connect(path)) as db:
        for query, values in listening.asked:
            if "ORDER BY seq DESC LIMIT 1" not in query:
                found |= {row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", values)}
    own = (
        "SCAN json_each",
        "SCAN o VIRTUAL",
        "SCAN l",
        "SCAN m",
        "SCAN CONSTANT",
        "SCAN (subquery",
        "SCAN (join",
    )
    return {one for one in found if one.startswith("SCAN") and not one.startswith(own)}


def scans(path: Path, do: Callable[[read.Store], object]) -> set[str]:
    with read.open(path, drain=False) as store:
        listening = store.db = Listening(store.db)
        do(store)
    return gone_through(path, listening)


NEWEST_FIRST = "SCAN r USING INDEX t_runs_started"


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"all": True},
        {"agent": "a"},
        {"framework": "python"},
        {"task": "refund"},
        {"status": "ok"},
        {"label": "tier=gold"},
    ],
)
def test_runs_are_found_newest_first_until_there_are_enough(path, filters):
    assert scans(path, lambda store: store.runs(limit=20, **filters)) == {NEWEST_FIRST}


@pytest.mark.parametrize("filters", [{"since": T0}, {"until": T0 + SECOND}, {"session": "s"}])
def test_runs_of_a_time_or_a_session_are_looked_up(path, filters):
    assert scans(path, lambda store: store.runs(limit=20, **filters)) == set()


def test_the_last_run_is_the_first_that_is_met(path):
    assert scans(path, lambda store: store.run("last")) == {NEWEST_FIRST}


@pytest.mark.parametrize(
    "rows",
    [
        "steps", "tree", "new_messages", "llm_calls", "tool_calls", "handoffs", "accesses", "decisions", "approvals",
        "scores",
    ],
)  # fmt: skip
def test_what_one_run_did_is_looked_up(path, rows):
    assert scans(path, lambda store: getattr(store, rows)(RUN)) == set()


@pytest.mark.parametrize("by", [None, "agent", "model", "provider", "framework", "day"])
def test_cost_is_added_up_from_sums(path, by):
    assert scans(path, lambda store: store.cost(by)) == {"SCAN c"}


def test_sums_are_few_however_many_calls_there_are(path):
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*), sum(calls) FROM t_spending").fetchall() == [(1, 3)]


def test_cost_of_one_run_is_looked_up(path):
    assert scans(path, lambda store: store.cost("model", run=RUN)) == set()


#: Small, however large the store is: tapes that are there, groups of calls without a price, runs not tied yet.
SMALL = {
    "SCAN tapes",
    "SCAN t_spending USING INDEX t_spending_unpriced",
    "SCAN sqlite_sequence",
    "SCAN r USING INDEX t_runs_unlinked",
    "SCAN a USING INDEX t_answers_open",
}


def test_a_store_with_nothing_new_is_opened_by_looking_at_small_tables(path):
    with ingest.Drainer(path) as drainer:
        drainer.drain()
        listening = drainer.db = Listening(drainer.db)
        drainer.drain(price=True)
    assert gone_through(path, listening) <= SMALL


def test_what_is_new_is_stored_by_looking_at_small_tables(tmp_path):
    path = tmp_path / "x.db"
    tape = Tape(path)
    with ingest.Drainer(path) as drainer:
        tape.start(run_id(1), step_id(1), t=T0, session="s")
        drainer.drain()
        tape.start(run_id(2), step_id(2), t=T0 + 1, kind="llm", model="m", messages=[message("user", [])])
        tape.end(run_id(2), step_id(2), t=T0 + 2, input_tokens=1, output_tokens=1, response_id="r")
        tape.end(run_id(1), step_id(1), t=T0 + 3)
        listening = drainer.db = Listening(drainer.db)
        drainer.drain(price=True)
    assert gone_through(path, listening) <= SMALL
