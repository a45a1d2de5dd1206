"""A process that runs recorded teams until it is killed, and acknowledges each step once it is recorded (killed.py)."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading
from typing import Any

import counterfoil_autogen
from autogen_office import autogen_office, case
from counterfoil.lifecycle import Lifecycle
from counterfoil.tape import Tape


def listen(db: str, fd: int) -> None:
    """Record to the store `db`, and say on `fd` what has been recorded."""
    written, numbers = itertools.count(1), itertools.count(1)
    lines = 0
    write, start, end = Tape.write, Lifecycle.start, Lifecycle.end

    def counted(tape: Tape, *args: Any) -> bool:
        nonlocal lines
        taken = write(tape, *args)
        if taken:
            lines = max(lines, next(written))
        return taken

    def started(recorder: Lifecycle, *args: Any, **facts: Any) -> Any:
        if facts["framework"] == "autogen" and facts.get("native_id") is None:
            facts["native_id"] = f"number-{next(numbers)}"  # AutoGen has no id for a model call
        step = start(recorder, *args, **facts)
        if step.framework == "autogen":
            os.write(fd, f"started {step.native_id} {lines}\n".encode())
        return step

    def ended(recorder: Lifecycle, step: Any, *args: Any, **facts: Any) -> None:
        end(recorder, step, *args, **facts)
        if step.framework == "autogen":
            os.write(fd, f"ended {step.native_id} {lines}\n".encode())

    Tape.write, Lifecycle.start, Lifecycle.end = counted, started, ended
    counterfoil_autogen.install(db, quiet=True)


def work(db: str, fifo: str) -> None:
    """Run teams in two threads and in tasks, for ever."""
    signal.alarm(300)  # nobody may come to kill it
    os.environ["COUNTERFOIL_DB"] = db
    listen(db, os.open(fifo, os.O_WRONLY))
    numbers = itertools.count()

    async def one_by_one() -> None:
        while True:
            await autogen_office().run(task=case(next(numbers) % 100_000))

    async def side_by_side() -> None:
        await asyncio.gather(one_by_one(), one_by_one())

    threading.Thread(target=asyncio.run, args=(one_by_one(),), daemon=True).start()
    asyncio.run(side_by_side())
