"""A thousand crews, many at once, half in threads and half in asyncio: nothing stands in the wrong run."""

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

import pytest

import counterfoil
import crewai_office
from apart import assert_each_run_is_whole, assert_each_step_has_its_own_end, most_at_once
from counterfoil import guard
from counterfoil.recorder import recorder_at
from counterfoil_crewai import CounterfoilListener
from counterfoil_crewai.tracker import trackers
from crewai_office import Gate, case, crew_office, token_of

pytestmark = pytest.mark.slow

IN_FLIGHT = 64  # half of them threads, half tasks


@pytest.fixture
def db(tmp_path, monkeypatch):
    path = tmp_path / "counterfoil.db"
    monkeypatch.setenv("COUNTERFOIL_DB", str(path))  # where counterfoil.step records to
    before = guard.counted()
    listener = CounterfoilListener(path)
    yield path
    listener.close()
    assert guard.counted() == before


def work(runs, in_flight):
    """Let `runs` crews go through, `in_flight` at a time, each in a context of its own; give the token of each answer."""

    gate = Gate(in_flight)

    def in_a_thread(number):
        return token_of(contextvars.Context().run(crew_office(gate).kickoff, case(number)).raw)

    async def in_tasks(numbers):
        turn = asyncio.Semaphore(in_flight // 2)

        async def one(number):
            async with turn:
                return token_of((await crew_office(gate).akickoff(case(number))).raw)

        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(in_flight))  # where CrewAI 1.15 calls models, too
        return await asyncio.gather(
            *(loop.create_task(one(number), context=contextvars.Context()) for number in numbers)
        )

    with ThreadPoolExecutor(in_flight // 2) as pool, ThreadPoolExecutor(1) as loop:
        tasks = loop.submit(asyncio.run, in_tasks(range(runs // 2)))
        threads = list(pool.map(in_a_thread, range(runs // 2, runs)))
        return [*tasks.result(), *threads]


def assert_nothing_is_kept_in_memory(db):
    tracker = trackers.of(recorder_at(db))
    assert tracker.entries == {}
    assert (len(tracker._roots), len(tracker._late), len(tracker.questions)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("runs", "in_flight"), [(40, 16), pytest.param(1000, IN_FLIGHT, marks=pytest.mark.stress)]
)
def test_many_crews_at_once_are_kept_apart(db, runs, in_flight):
    assert work(runs, in_flight) == [f"token-{number:05}" for number in range(runs)]
    assert_nothing_is_kept_in_memory(db)
    with counterfoil.open(db) as store:
        assert most_at_once(store) == in_flight
        assert_each_run_is_whole(store, crewai_office, runs, passed="route", chosen="inferred")
        assert_each_step_has_its_own_end(store)
