"""The offices of four frameworks at work in one process, in threads and in tasks of one loop, each run with a token of its own."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import autogen_office
import crewai_office
import llama_index_office
import office

__all__ = ["OFFICES", "Office", "work"]

TOKEN = office.TOKEN


class Office(NamedTuple):
    """How an office is asked, and what each of its runs holds."""

    plain: Callable[[int], str]
    in_a_task: Callable[[int], Coroutine[Any, Any, str]]
    steps: dict[tuple[str, str | None], int]
    llm_calls: int
    tool_calls: int
    decided: str  # how is known which call of the model chose a tool
    passed: str  # the mode in which the case goes on to the clerk


def _langchain(number: int) -> str:
    return office.scripted_office().invoke(office.case(number))["messages"][-1].text


async def _langchain_in_a_task(number: int) -> str:
    built = office.scripted_office(in_tasks=True)
    return (await built.ainvoke(office.case(number)))["messages"][-1].text


def _crewai(number: int) -> str:
    return crewai_office.crew_office().kickoff(crewai_office.case(number)).raw


async def _crewai_in_a_task(number: int) -> str:
    return (await crewai_office.crew_office().akickoff(crewai_office.case(number))).raw


async def _llama_index(number: int) -> str:
    return str(await llama_index_office.office().run(llama_index_office.case(number)))


async def _autogen(number: int) -> str:
    done = await autogen_office.autogen_office().run(task=autogen_office.case(number))
    return done.messages[-1].to_text()


def _in_a_loop(ask: Callable[[int], Coroutine[Any, Any, str]]) -> Callable[[int], str]:
    return lambda number: asyncio.run(ask(number))


def _office(
    module: Any,
    plain: Callable[[int], str],
    in_a_task: Any,
    decided: str = "native",
    passed: str = "transfer",
) -> Office:
    return Office(plain, in_a_task, module.STEPS, module.LLM_CALLS, module.TOOL_CALLS, decided, passed)


OFFICES = {
    "langchain": _office(office, _langchain, _langchain_in_a_task),
    # CrewAI's tool events have no call ids, and its agents pass nothing on: the next task is another's.
    "crewai": _office(crewai_office, _crewai, _crewai_in_a_task, "inferred", "route"),
    "llama_index": _office(llama_index_office, _in_a_loop(_llama_index), _llama_index),
    "autogen": _office(autogen_office, _in_a_loop(_autogen), _autogen),
}


def work(runs: int, in_flight: int) -> dict[str, list[str]]:
    """Let `runs` runs of each office go through, `in_flight` of all at a time; give the token of each answer.

    The first office's tokens are 0, 4, 8, the second one's 1, 5, 9, and so on.
    """
    numbers = range(runs * len(OFFICES))
    names = [*OFFICES]

    def in_a_thread(number: int) -> str:
        ask = OFFICES[names[number % len(names)]].plain
        return _token(contextvars.Context().run(ask, number))

    async def in_tasks(some: range) -> list[str]:
        turn = asyncio.Semaphore(in_flight // 2)

        async def one(number: int) -> str:
            async with turn:
                return _token(await OFFICES[names[number % len(names)]].in_a_task(number))

        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(in_flight))  # where CrewAI 1.15 calls models, too
        return await asyncio.gather(
            *(loop.create_task(one(number), context=contextvars.Context()) for number in some)
        )

    half = len(numbers) // 2
    with ThreadPoolExecutor(in_flight // 2) as pool, ThreadPoolExecutor(1) as loop:
        tasks = loop.submit(asyncio.run, in_tasks(numbers[:half]))
        threads = list(pool.map(in_a_thread, numbers[half:]))
        found = [*tasks.result(), *threads]
    return {name: found[at :: len(names)] for at, name in enumerate(names)}


def _token(text: str) -> str:
    (token,) = set(TOKEN.findall(text))
    return token
