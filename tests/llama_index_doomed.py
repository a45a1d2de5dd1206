"""A process that runs recorded agents until it is killed, and acknowledges each event once it is recorded (killed.py)."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any, ClassVar

from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span_handlers import BaseSpanHandler

import counterfoil_llama_index
from doomed import Acknowledge, acknowledging
from llama_index_office import case, office

#: Spans that are steps, by the end of their labels, and the events that are.
SPANS = (".acall",)
STARTS, ENDS = {"LLMChatStartEvent"}, {"LLMChatEndEvent"}


class AfterSpans(BaseSpanHandler[Any]):
    """Told after ours of every span."""

    acknowledge: ClassVar[Acknowledge]

    def span_enter(self, id_: str, **_: Any) -> None:
        if id_[:-37].endswith(SPANS):
            self.acknowledge("started", id_)

    def span_exit(self, id_: str, **_: Any) -> None:
        if id_[:-37].endswith(SPANS):
            self.acknowledge("ended", id_)

    def new_span(self, *_: Any, **__: Any) -> None:
        pass

    prepare_to_exit_span = prepare_to_drop_span = new_span


class AfterEvents(BaseEventHandler):
    """Told after ours of every event."""

    acknowledge: ClassVar[Acknowledge]

    def handle(self, event: Any, **_: Any) -> None:
        kind = type(event).__name__
        if kind in STARTS:
            self.acknowledge("started", event.span_id)
        elif kind in ENDS:
            self.acknowledge("ended", event.span_id)


def listen(db: str, acknowledge: Acknowledge) -> None:
    """Record to the store `db`, and acknowledge what has been recorded."""
    counterfoil_llama_index.install(db, quiet=True)
    AfterSpans.acknowledge = staticmethod(acknowledge)
    AfterEvents.acknowledge = staticmethod(acknowledge)
    get_dispatcher().add_span_handler(AfterSpans())
    get_dispatcher().add_event_handler(AfterEvents())


def work(db: str, fifo: str) -> None:
    """Run agents in two threads, two at a time in each, for ever."""
    listen(db, acknowledging(db, fifo))
    numbers = itertools.count()

    async def in_tasks() -> None:
        while True:
            await asyncio.gather(*(office().run(case(next(numbers))) for _ in range(2)))

    threading.Thread(target=asyncio.run, args=(in_tasks(),), daemon=True).start()
    asyncio.run(in_tasks())
