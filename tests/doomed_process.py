"""Processes that run recorded agents until they are killed, and acknowledge each callback once it has returned.

    python doomed_process.py    reads lines `<store> <fifo>` from stdin, and forks a process for each

Such a process writes its pid to the fifo, then a line `<callback> <run id> <root or -> <events recorded>` after each
callback of its handler. The one that forks them records nothing itself: it only saves the time of the imports.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import threading
from typing import Any

from counterfoil.recorder import Recorder, recorder_at
from counterfoil_langchain import CounterfoilHandler
from office import case, scripted_office


def acknowledging(db: str, fd: int) -> CounterfoilHandler:
    """Give a handler for the store `db` that says on `fd` what it has recorded."""
    recorder: Recorder = recorder_at(db)

    def acknowledged(name: str) -> Any:
        def callback(self: CounterfoilHandler, *args: Any, run_id: Any, **kwargs: Any) -> Any:
            result = getattr(super(Acknowledging, self), name)(*args, run_id=run_id, **kwargs)
            root = "root" if kwargs.get("parent_run_id") is None else "-"
            os.write(fd, f"{name} {run_id} {root} {recorder.events}\n".encode())
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
    os.environ["COUNTERFOIL_DB"] = db
    fd = os.open(fifo, os.O_WRONLY)
    os.write(fd, f"{os.getpid()}\n".encode())
    config = {"callbacks": [acknowledging(db, fd)]}
    numbers = itertools.count()

    def in_a_thread() -> None:
        office = scripted_office()
        while True:
            office.invoke(case(next(numbers)), config)

    async def in_tasks() -> None:
        office = scripted_office(in_tasks=True)
        while True:
            await asyncio.gather(*(office.ainvoke(case(next(numbers)), config) for _ in range(2)))

    for _ in range(2):
        threading.Thread(target=in_a_thread, daemon=True).start()
    asyncio.run(in_tasks())


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel takes the dead away
    for line in sys.stdin:
        db, fifo = line.split()
        if os.fork() == 0:
            try:
                work(db, fifo)
            finally:
                os._exit(1)  # it was to be killed


if __name__ == "__main__":
    main()
