"""A thousand runs, many at once, half in threads and half in asyncio: nothing stands in the wrong run."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_openai import ChatOpenAI

import counterfoil
import office
from apart import assert_each_run_is_whole, assert_each_step_has_its_own_end, most_at_once
from counterfoil import guard
from counterfoil.recorder import recorder_at
from counterfoil_langchain import CounterfoilHandler
from counterfoil_langchain.tracker import trackers
from ledger import agree
from office import LLM_CALLS, build_office, case, scripted_office, token_of
from support_desk.endpoint import Endpoint, Reply, Request, call

pytestmark = pytest.mark.slow

IN_FLIGHT = 64  # half of them threads, half tasks


@pytest.fixture
def db(tmp_path, monkeypatch):
    path = tmp_path / "counterfoil.db"
    monkeypatch.setenv("COUNTERFOIL_DB", str(path))  # where counterfoil.step records to
    before = guard.counted()
    yield path
    assert guard.counted() == before


def work(office_in_threads, office_in_tasks, runs, in_flight, config):
    """Let `runs` runs go through, `in_flight` at a time; give the token of each run's answer."""

    def in_a_thread(number):
        return token_of(office_in_threads.invoke(case(number), config)["messages"][-1].text)

    async def in_tasks(numbers):
        gate = asyncio.Semaphore(in_flight // 2)

        async def one(number):
            async with gate:
                return token_of((await office_in_tasks.ainvoke(case(number), config))["messages"][-1].text)

        return await asyncio.gather(*map(one, numbers))

    with ThreadPoolExecutor(in_flight // 2) as pool, ThreadPoolExecutor(1) as loop:
        tasks = loop.submit(asyncio.run, in_tasks(range(runs // 2)))
        threads = list(pool.map(in_a_thread, range(runs // 2, runs)))
        return [*tasks.result(), *threads]


def assert_nothing_is_kept_in_memory(db):
    tracker = trackers.of(recorder_at(db))
    assert tracker.entries == {}
    assert (len(tracker._roots), len(tracker._late), len(tracker.tentative)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("runs", "in_flight"), [(100, 16), pytest.param(1000, IN_FLIGHT, marks=pytest.mark.stress)]
)
def test_many_runs_at_once_are_kept_apart(db, runs, in_flight):
    config = {"callbacks": [CounterfoilHandler(db)]}
    answers = work(scripted_office(), scripted_office(in_tasks=True), runs, in_flight, config)
    assert answers == [f"token-{number:05}" for number in range(runs)]
    assert_nothing_is_kept_in_memory(db)
    with counterfoil.open(db) as store:
        assert most_at_once(store) == in_flight
        assert_each_run_is_whole(store, office, runs)
        assert_each_step_has_its_own_end(store)


@pytest.mark.parametrize(
    ("runs", "in_flight"), [(16, 8), pytest.param(200, IN_FLIGHT, marks=pytest.mark.stress)]
)
def test_many_runs_at_once_agree_with_the_ledger(db, runs, in_flight):
    with Endpoint(scripted) as endpoint:
        model = ChatOpenAI(
            model="gpt-4.1-mini", base_url=endpoint.url, api_key="offline", stream_usage=True, max_retries=0
        )
        streaming = model.model_copy(update={"streaming": True})
        offices = [build_office(model, streaming, model, in_tasks=one) for one in (False, True)]
        config = {"callbacks": [CounterfoilHandler(db)]}
        assert work(*offices, runs, in_flight, config) == [f"token-{number:05}" for number in range(runs)]
        with counterfoil.open(db) as store:
            assert_each_run_is_whole(store, office, runs)
            assert_each_step_has_its_own_end(store)
            assert len(agree(store, endpoint)) == runs * LLM_CALLS
    assert_nothing_is_kept_in_memory(db)


def scripted(request: Request) -> Reply | None:
    """What the office's models say, over HTTP."""
    last = request.messages[-1]
    token = token_of(last["content"])
    if "ask_expert" in request.offered:
        if last["role"] == "user":
            return Reply(f"hm, {token}", calls=[call("ask_expert", question=f"what of {token}?")])
        return Reply(calls=[call("hand_over", reason=f"known of {token}")])
    if "close" in request.offered:
        if last["role"] == "user":
            return Reply(calls=[call("close", note=f"done with {token}")])
        return Reply(f"good bye, {token}")
    match len(request.results):
        case 0:
            return Reply(calls=[call("look_up", fact=f"a of {token}"), call("look_up", fact=f"b of {token}")])
        case 2:
            return Reply(calls=[call("look_up", fact=f"c of {token}")])
    return Reply(f"all is known of {token}")
