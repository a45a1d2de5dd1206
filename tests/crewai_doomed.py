"""A process that runs recorded crews until it is killed, and acknowledges each event once it is recorded (killed.py)."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

from crewai.events import crewai_event_bus

from counterfoil_crewai import CounterfoilListener
from crewai_office import case, crew_office
from doomed import Acknowledge, acknowledging

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


def listen(db: str, acknowledge: Acknowledge) -> None:
    """Record to the store `db`, and acknowledge what has been recorded."""
    CounterfoilListener(db)
    bus = type(crewai_event_bus)
    recorded = bus._prepare_event

    def acknowledged(self: Any, source: Any, event: Any) -> None:
        recorded(self, source, event)
        if event.type in STARTS:
            acknowledge("started", event.event_id)
        elif event.type in ENDS:
            acknowledge("ended", event.started_event_id)

    bus._prepare_event = acknowledged


def work(db: str, fifo: str) -> None:
    """Run crews in two threads and in asyncio, for ever."""
    listen(db, acknowledging(db, fifo))
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
