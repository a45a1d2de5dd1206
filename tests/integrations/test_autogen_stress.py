"""A thousand teams, many at once, in threads, in tasks and on runtimes of the user's: nothing stands in the wrong run."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from autogen_core import SingleThreadedAgentRuntime

import counterfoil
from autogen_office import AGENTS, LLM_CALLS, STEPS, TOKEN, TOOL_CALLS, autogen_office, case, token_of
from counterfoil_autogen import calls

IN_FLIGHT = 64  # in four event loops, one of them on one runtime for all its teams
LOOPS = 4


def work(runs):
    """Let `runs` teams go through; give the token of each answer."""

    async def in_tasks(numbers, *, shared):
        turn = asyncio.Semaphore(IN_FLIGHT // LOOPS)
        runtime = SingleThreadedAgentRuntime(ignore_unhandled_exceptions=False) if shared else None
        if runtime is not None:
            runtime.start()

        async def one(number):
            async with turn:
                done = await autogen_office(runtime=runtime).run(task=case(number))
                return token_of(done.messages[-1].content)

        found = await asyncio.gather(*(one(number) for number in numbers))
        if runtime is not None:
            await runtime.stop_when_idle()
        return found

    def in_a_thread(at):
        return asyncio.run(in_tasks(range(at, runs, LOOPS), shared=at == 0))

    with ThreadPoolExecutor(LOOPS) as pool:
        return [token for tokens in pool.map(in_a_thread, range(LOOPS)) for token in tokens]


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
        assert set(TOKEN.findall(f"{given} {made}")) <= {tokens[run_id]}, (kind, agent)
        assert status == "ok"
        shapes[kind, agent] += 1
    assert shapes == {shape: count * runs for shape, count in STEPS.items()}
    _, astray = store.sql(
        "SELECT count(*) FROM steps s JOIN steps p ON p.step_id = s.parent_id WHERE p.run_id <> s.run_id"
    )
    assert astray == [(0,)]
    _, reads = store.sql("SELECT a.run_id, a.query, a.agent FROM accesses a")
    assert len(reads) == 2 * runs
    assert all(token_of(query) == tokens[run_id] and agent == "expert" for run_id, query, agent in reads)
    _, ends = store.sql("SELECT count(*) FROM events WHERE kind IN ('close', 'gone')")
    assert ends == [(0,)]  # every step ended by its own event


@pytest.mark.parametrize("runs", [100, pytest.param(1_000, marks=pytest.mark.stress)])
def test_many_at_once(db, autogen, monkeypatch, runs):
    monkeypatch.setenv("COUNTERFOIL_DB", str(db))  # where counterfoil.step records to
    tokens = work(runs)
    assert sorted(tokens) == [f"token-{number:05}" for number in range(runs)]
    assert len(calls.runs) == 0
    with counterfoil.open(db) as store:
        assert_each_run_is_whole(store, runs)
