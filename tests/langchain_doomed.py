"""A process that runs recorded agents until it is killed, and acknowledges each callback once it has returned (killed.py)."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

from counterfoil_langchain import CounterfoilHandler
from doomed import Acknowledge, acknowledging
from office import case, scripted_office

#: Callbacks after which a step must be there, and those after which it must have ended by itself.
STARTS = {"on_chat_model_start", "on_tool_start", "on_retriever_start"}
ENDS = {"on_llm_end", "on_tool_end", "on_retriever_end"}


def listening(db: str, acknowledge: Acknowledge) -> CounterfoilHandler:
    """Give a handler for the store `db` that acknowledges what it has recorded."""

    def told(name: str) -> Any:
        def callback(self: CounterfoilHandler, *args: Any, run_id: Any, **kwargs: Any) -> Any:
            result = getattr(super(Acknowledging, self), name)(*args, run_id=run_id, **kwargs)
            root = kwargs.get("parent_run_id") is None
            if name in STARTS or (root and name == "on_chain_start"):
                acknowledge("started", run_id)
            elif name in ENDS:
                acknowledge("ended", run_id)
            elif name == "on_chain_end":  # much of it is no step
                acknowledge("over", run_id)
            return result

        return callback

    callbacks = {*STARTS, *ENDS, "on_chain_start", "on_chain_end"}
    Acknowledging = type(  # noqa: N806 -- it is a class
        "Acknowledging", (CounterfoilHandler,), {name: told(name) for name in callbacks}
    )
    return Acknowledging(db)


def work(db: str, fifo: str) -> None:
    """Run agents in two threads and in asyncio, for ever."""
    config = {"callbacks": [listening(db, acknowledging(db, fifo))]}
    numbers = itertools.count()
    # Made here: LangChain's @tool silences warnings for the whole process while it runs, one thread at a time.
    offices = [scripted_office() for _ in range(2)]
    office_in_tasks = scripted_office(in_tasks=True)

    def in_a_thread(office: Any) -> None:
        while True:
            office.invoke(case(next(numbers)), config)

    async def in_tasks() -> None:
        while True:
            await asyncio.gather(*(office_in_tasks.ainvoke(case(next(numbers)), config) for _ in range(2)))

    for office in offices:
        threading.Thread(target=in_a_thread, args=(office,), daemon=True).start()
    asyncio.run(in_tasks())
