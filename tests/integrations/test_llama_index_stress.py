"""A thousand runs of LlamaIndex, many at once in several loops: nothing stands in the wrong run."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import pytest

import counterfoil
import counterfoil_llama_index
from counterfoil import guard
from counterfoil.recorder import recorder_at
from counterfoil_llama_index.tracker import trackers
from llama_index_office import AGENTS, LLM_CALLS, STEPS, TOKEN, TOOL_CALLS, Gate, case, office, token_of

IN_FLIGHT = 64
LOOPS = 2  # threads, each with a loop


@pytest.fixture
def db(tmp_path, monkeypatch):
    path = tmp_path / "counterfoil.db"
    monkeypatch.setenv("COUNTERFOIL_DB", str(path))  # where counterfoil.step records to
    before = guard.counted()
    counterfoil_llama_index.install(path, quiet=True)
    yield path
    counterfoil_llama_index.uninstall()
    assert guard.counted() == before


def work(runs, in_flight):
    """Let `runs` runs go through, `in_flight` at a time; give the token of each answer."""

    async def in_tasks(numbers):
        at_once, held = asyncio.Semaphore(in_flight // LOOPS), Gate(in_flight // LOOPS)

        async def one(number):
            async with at_once:
                return token_of(str(await office(held).run(case(number))))

        return await asyncio.gather(*map(one, numbers))

    with ThreadPoolExecutor(LOOPS) as pool:
        share = runs // LOOPS
        parts = [range(share * at, share * (at + 1)) for at in range(LOOPS)]
        return [token for part in pool.map(lambda part: asyncio.run(in_tasks(part)), parts) for token in part]


def assert_each_run_is_whole(store, runs):
    """Each run holds what it should, and nothing of another's: every text in it has its token and no other."""
    tokens = {}
    for run in store.runs(all=True, limit=None):
        assert (run.status, run.llm_calls, run.tool_calls) == ("ok", LLM_CALLS, TOOL_CALLS)
        assert set(run.agent_names) == AGENTS
        assert (run.errors, run.open_steps, run.waiting, run.handoffs, run.escalations) == (0, 0, 0, 2, 1)
        tokens[run.run_id] = token_of(str(run.input))
    assert sorted(tokens.values()) == [f"token-{number:05}" for number in range(runs)]

    shapes = Counter()
    _, steps = store.sql("SELECT run_id, kind, agent, status, input, output FROM steps")
    for run_id, kind, agent, status, given, made in steps:
        assert set(TOKEN.findall(given)) == {tokens[run_id]}, (kind, agent)
        assert set(TOKEN.findall(made or "")) <= {tokens[run_id]}, (kind, agent)
        assert status == "ok"
        shapes[kind, agent] += 1
    assert shapes == {shape: count * runs for shape, count in STEPS.items()}

    _, astray = store.sql(
        "SELECT count(*) FROM steps s JOIN steps p ON p.step_id = s.parent_id WHERE p.run_id <> s.run_id"
    )
    assert astray == [(0,)]
    _, chosen = store.sql(
        """SELECT t.decided_evidence, d.run_id = t.run_id, d.agent = t.agent, d.kind
        FROM tool_calls t LEFT JOIN steps d ON d.step_id = t.decided_by"""
    )
    assert Counter(chosen) == {("native", 1, 1, "llm"): runs * TOOL_CALLS}
    _, reads = store.sql("SELECT run_id, agent, query FROM accesses")
    assert len(reads) == runs * 3
    assert all(
        TOKEN.findall(query) == [tokens[run_id]] and agent == "expert" for run_id, agent, query in reads
    )
    handoffs = store.handoffs()
    assert Counter((one.mode, one.source, one.target, one.status) for one in handoffs) == {
        ("escalation", "front", "expert", "returned"): runs,
        ("transfer", "front", "clerk", "accepted"): runs,
    }
    for one in handoffs:
        assert set(TOKEN.findall(f"{one.reason} {one.payload} {one.answer}")) == {tokens[one.run_id]}


def most_at_once(store):
    moments = [(run.started_ns, 1) for run in store.runs(limit=None)]
    moments += [(run.ended_ns, -1) for run in store.runs(limit=None)]
    return max(accumulate(change for _, change in sorted(moments)))


def assert_each_step_has_its_own_end(store):
    _, told = store.sql(
        """SELECT kinds, count(*) FROM (
             SELECT step_id, group_concat(kind) AS kinds FROM (SELECT step_id, kind FROM events
               WHERE kind IN ('start', 'end', 'close', 'gone') AND step_id IS NOT NULL ORDER BY step_id, t_ns, seq)
             GROUP BY step_id)
           GROUP BY kinds"""
    )
    _, steps = store.sql("SELECT count(*) FROM steps")
    assert told == [("start,end", steps[0][0])]
    assert (store.quarantine(), store.troubles()) == ([], [])


def assert_nothing_is_kept_in_memory(db):
    tracker = trackers.of(recorder_at(db))
    assert (tracker.entries, len(tracker._roots), len(tracker._late)) == ({}, 0, 0)


@pytest.mark.parametrize(
    ("runs", "in_flight"), [(40, 16), pytest.param(1000, IN_FLIGHT, marks=pytest.mark.stress)]
)
def test_many_runs_at_once_are_kept_apart(db, runs, in_flight):
    assert work(runs, in_flight) == [f"token-{number:05}" for number in range(runs)]
    assert_nothing_is_kept_in_memory(db)
    with counterfoil.open(db) as store:
        assert_each_run_is_whole(store, runs)
        assert_each_step_has_its_own_end(store)
        assert most_at_once(store) >= in_flight
