"""A process that runs recorded agents until it is killed, and acknowledges each callback once it has returned.

It writes a line `<callback> <run id> <root or -> <lines of tape written>` to a fifo after each callback of its handler.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading
from typing import Any

from counterfoil.tape import Tape
from counterfoil_langchain import CounterfoilHandler
from office import case, scripted_office


def acknowledging(db: str, fd: int) -> CounterfoilHandler:
    """Give a handler for the store `db` that says on `fd` what it has recorded."""
    written = itertools.count(1)
    lines = 0
    write = Tape.write

    def counted(tape: Tape, *args: Any) -> bool:
        nonlocal lines
        taken = write(tape, *args)
        if taken:
            lines = max(lines, next(written))
        return taken

    Tape.write = counted

    def acknowledged(name: str) -> Any:
        def callback(self: CounterfoilHandler, *args: Any, run_id: Any, **kwargs: Any) -> Any:
            result = getattr(super(Acknowledging, self), name)(*args, run_id=run_id, **kwargs)
            root = "root" if kwargs.get("parent_run_id") is None else "-"
            os.write(fd, f"{name} {run_id} {root} {lines}\n".encode())
            return result

        return callback

    callbacks = [
        f"on_{what}_{when}" for what in ("chain", "tool", "retriever") for when in ("start", "end", "error")
    ]
    callbacks += ["on_chat_model_start", "on_llm_end", "on_llm_error"]
    Acknowledging = type(  # noqa: N806 -- it is a class
        "Acknowledging", (CounterfoilHandler,), {name: acknowledged(name) for name in callbacks}
    )
    return Acknowledging(db)


def work(db: str, fifo: str) -> None:
    """Run agents in two threads and in asyncio, for ever."""
    signal.alarm(300)  # nobody may come to kill it
    os.environ["COUNTERFOIL_DB"] = db
    fd = os.open(fifo, os.O_WRONLY)
    config = {"callbacks": [acknowledging(db, fd)]}
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
