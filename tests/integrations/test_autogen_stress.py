"""A thousand teams, many at once, in threads, in tasks and on runtimes of the user's: nothing stands in the wrong run."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from autogen_core import SingleThreadedAgentRuntime

import autogen_office
import counterfoil
from apart import assert_each_run_is_whole, assert_each_step_has_its_own_end
from autogen_office import autogen_office as team
from autogen_office import case, token_of
from counterfoil_autogen import calls

pytestmark = pytest.mark.slow

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
                done = await team(runtime=runtime).run(task=case(number))
                return token_of(done.messages[-1].content)

        found = await asyncio.gather(*(one(number) for number in numbers))
        if runtime is not None:
            await runtime.stop_when_idle()
        return found

    def in_a_thread(at):
        return asyncio.run(in_tasks(range(at, runs, LOOPS), shared=at == 0))

    with ThreadPoolExecutor(LOOPS) as pool:
        return [token for tokens in pool.map(in_a_thread, range(LOOPS)) for token in tokens]


def test_many_at_once(db, autogen, monkeypatch):
    runs = 100  # a thousand: test_frameworks_stress.py
    monkeypatch.setenv("COUNTERFOIL_DB", str(db))  # where counterfoil.step records to
    tokens = work(runs)
    assert sorted(tokens) == [f"token-{number:05}" for number in range(runs)]
    assert len(calls.runs) == 0
    with counterfoil.open(db) as store:
        # AutoGen's own tool for a handoff takes no arguments.
        assert_each_run_is_whole(store, autogen_office, runs, wordless={("tool", "front")})
        assert_each_step_has_its_own_end(store)
