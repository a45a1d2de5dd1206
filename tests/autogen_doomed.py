"""A process that runs recorded teams until it is killed, and acknowledges each step once it is recorded (killed.py)."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

import counterfoil_autogen
from autogen_office import autogen_office, case
from counterfoil.lifecycle import Lifecycle
from doomed import Acknowledge, acknowledging


def listen(db: str, acknowledge: Acknowledge) -> None:
    """Record to the store `db`, and acknowledge what has been recorded."""
    numbers = itertools.count(1)
    start, end = Lifecycle.start, Lifecycle.end

    def started(recorder: Lifecycle, *args: Any, **facts: Any) -> Any:
        if facts["framework"] == "autogen" and facts.get("native_id") is None:
            facts["native_id"] = f"number-{next(numbers)}"  # AutoGen has no id for a model call
        step = start(recorder, *args, **facts)
        if step.framework == "autogen":
            acknowledge("started", step.native_id)
        return step

    def ended(recorder: Lifecycle, step: Any, *args: Any, **facts: Any) -> None:
        end(recorder, step, *args, **facts)
        if step.framework == "autogen":
            acknowledge("ended", step.native_id)

    Lifecycle.start, Lifecycle.end = started, ended
    counterfoil_autogen.install(db, quiet=True)


def work(db: str, fifo: str) -> None:
    """Run teams in two threads and in tasks, for ever."""
    listen(db, acknowledging(db, fifo))
    numbers = itertools.count()

    async def one_by_one() -> None:
        while True:
            await autogen_office().run(task=case(next(numbers) % 100_000))

    async def side_by_side() -> None:
        await asyncio.gather(one_by_one(), one_by_one())

    threading.Thread(target=asyncio.run, args=(one_by_one(),), daemon=True).start()
    asyncio.run(side_by_side())
