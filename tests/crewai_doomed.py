"""A process that runs recorded crews until it is killed, and acknowledges each event once it is recorded (killed.py)."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading
from typing import Any

from crewai.events import crewai_event_bus

from counterfoil.tape import Tape
from counterfoil_crewai import CounterfoilListener
from crewai_office import case, crew_office

#: Events after which a step must be there, and those after which the step that they name must have ended.
STARTS = {
    "crew_kickoff_started",
    "task_started",
    "agent_execution_started",
    "llm_call_started",
    "tool_usage_started",
}
ENDS = {
    "crew_kickoff_completed",
    "task_completed",
    "agent_execution_completed",
    "llm_call_completed",
    "tool_usage_finished",
}


def listen(db: str, fd: int) -> None:
    """Record to the store `db`, and say on `fd` what has been recorded."""
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
    CounterfoilListener(db)
    bus = type(crewai_event_bus)
    recorded = bus._prepare_event

    def acknowledged(self: Any, source: Any, event: Any) -> None:
        recorded(self, source, event)
        if event.type in STARTS:
            os.write(fd, f"started {event.event_id} {lines}\n".encode())
        elif event.type in ENDS:
            os.write(fd, f"ended {event.started_event_id} {lines}\n".encode())

    bus._prepare_event = acknowledged


def work(db: str, fifo: str) -> None:
    """Run crews in two threads and in asyncio, for ever."""
    signal.alarm(300)  # nobody may come to kill it
    os.environ["COUNTERFOIL_DB"] = db
    listen(db, os.open(fifo, os.O_WRONLY))
    numbers = itertools.count()

    def in_a_thread() -> None:
        while True:
            crew_office().kickoff(case(next(numbers)))

    async def in_tasks() -> None:
        while True:
            await asyncio.gather(*(crew_office().akickoff(case(next(numbers))) for _ in range(2)))

    for _ in range(2):
        threading.Thread(target=in_a_thread, daemon=True).start()
    asyncio.run(in_tasks())
