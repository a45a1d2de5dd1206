"""A thousand runs of each framework, all four at once in one process: nothing stands in the wrong run."""

from collections import Counter
from itertools import accumulate

import pytest

import counterfoil
import counterfoil_autogen.calls
import counterfoil_crewai.tracker
import counterfoil_langchain.tracker
import counterfoil_llama_index.tracker
from counterfoil import guard
from counterfoil.recorder import recorder_at
from four_offices import OFFICES, TOKEN, work

pytestmark = pytest.mark.slow

AGENTS = {"front", "expert", "clerk"}


@pytest.fixture
def db(tmp_path, monkeypatch):
    path = tmp_path / "counterfoil.db"
    monkeypatch.setenv("COUNTERFOIL_DB", str(path))  # where counterfoil.step records to
    before = guard.counted()
    counterfoil.install(path, quiet=True)
    yield path
    counterfoil.uninstall()
    assert guard.counted() == before


def tokens_of(name, runs):
    at = [*OFFICES].index(name)
    return [f"token-{number:05}" for number in range(at, runs * len(OFFICES), len(OFFICES))]


def assert_each_run_is_whole(store, runs):
    """Each run holds what its office does, and nothing of another's: every text in it has its token and no other."""
    tokens, frameworks = {}, {}
    for run in store.runs(all=True, limit=None):
        name = frameworks[run.run_id] = run.framework
        office = OFFICES[name]
        assert (run.status, run.llm_calls, run.tool_calls) == ("ok", office.llm_calls, office.tool_calls)
        assert set(run.agent_names) == AGENTS
        assert (run.errors, run.open_steps, run.waiting, run.handoffs, run.escalations) == (0, 0, 0, 2, 1)
        (tokens[run.run_id],) = set(TOKEN.findall(str(run.input)))
    for name in OFFICES:
        found = sorted(tokens[run_id] for run_id, framework in frameworks.items() if framework == name)
        assert found == tokens_of(name, runs)

    shapes = {run_id: Counter() for run_id in tokens}
    _, steps = store.sql("SELECT run_id, kind, agent, framework, status, input, output FROM steps")
    for run_id, kind, agent, framework, status, given, made in steps:
        assert set(TOKEN.findall(f"{given} {made}")) <= {tokens[run_id]}, (framework, kind, agent)
        assert (status, framework) in {("ok", frameworks[run_id]), ("ok", "python")}
        shapes[run_id][kind, agent] += 1
    for run_id, shape in shapes.items():
        assert shape == OFFICES[frameworks[run_id]].steps

    _, astray = store.sql(
        "SELECT count(*) FROM steps s JOIN steps p ON p.step_id = s.parent_id WHERE p.run_id <> s.run_id"
    )
    assert astray == [(0,)]
    _, chosen = store.sql(
        """SELECT t.framework, t.decided_evidence, d.run_id = t.run_id, d.agent = t.agent, d.kind
        FROM tool_calls t LEFT JOIN steps d ON d.step_id = t.decided_by"""
    )
    assert Counter(chosen) == {
        (name, office.decided, 1, 1, "llm"): runs * office.tool_calls for name, office in OFFICES.items()
    }
    _, reads = store.sql("SELECT run_id, agent, query FROM accesses")
    assert len(reads) == runs * sum(office.steps["other", "expert"] for office in OFFICES.values())
    assert all(set(TOKEN.findall(query)) == {tokens[run_id]} for run_id, _, query in reads)
    assert {agent for _, agent, _ in reads} == {"expert"}
    handoffs = store.handoffs()
    assert Counter(
        (frameworks[one.run_id], one.mode, one.source, one.target, one.status) for one in handoffs
    ) == {
        (name, *edge): runs
        for name, office in OFFICES.items()
        for edge in (
            ("escalation", "front", "expert", "returned"),
            (office.passed, "front", "clerk", "accepted"),
        )
    }
    for one in handoffs:
        assert set(TOKEN.findall(f"{one.reason} {one.payload} {one.answer}")) <= {tokens[one.run_id]}


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
    recorder = recorder_at(db)
    for adapter in (counterfoil_langchain, counterfoil_crewai, counterfoil_llama_index):
        tracker = adapter.tracker.trackers.of(recorder)
        assert (tracker.entries, len(tracker._roots), len(tracker._late)) == ({}, 0, 0)
    assert len(counterfoil_autogen.calls.runs) == 0


def most_at_once(store):
    moments = [(run.started_ns, 1) for run in store.runs(limit=None)]
    moments += [(run.ended_ns, -1) for run in store.runs(limit=None)]
    return max(accumulate(change for _, change in sorted(moments)))


@pytest.mark.parametrize(("runs", "in_flight"), [(10, 8), pytest.param(1000, 64, marks=pytest.mark.stress)])
def test_four_frameworks_at_once_are_kept_apart(db, runs, in_flight):
    assert work(runs, in_flight) == {name: tokens_of(name, runs) for name in OFFICES}
    assert_nothing_is_kept_in_memory(db)
    with counterfoil.open(db) as store:
        assert_each_run_is_whole(store, runs)
        assert_each_step_has_its_own_end(store)
        assert most_at_once(store) >= in_flight
