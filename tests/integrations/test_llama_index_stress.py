"""A thousand runs of LlamaIndex, many at once in several loops: nothing stands in the wrong run."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

import counterfoil
import counterfoil_llama_index
import llama_index_office
from apart import assert_each_run_is_whole, assert_each_step_has_its_own_end, most_at_once
from counterfoil import guard
from counterfoil.recorder import recorder_at
from counterfoil_llama_index.tracker import trackers
from llama_index_office import Gate, case, office, token_of

pytestmark = pytest.mark.slow

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


def assert_nothing_is_kept_in_memory(db):
    tracker = trackers.of(recorder_at(db))
    assert (tracker.entries, len(tracker._roots), len(tracker._late)) == ({}, 0, 0)


def test_many_runs_at_once_are_kept_apart(db):
    runs, in_flight = 40, 16  # a thousand at once: test_frameworks_stress.py
    assert work(runs, in_flight) == [f"token-{number:05}" for number in range(runs)]
    assert_nothing_is_kept_in_memory(db)
    with counterfoil.open(db) as store:
        assert_each_run_is_whole(store, llama_index_office, runs)
        assert_each_step_has_its_own_end(store)
        assert most_at_once(store) >= in_flight
