"""A process that runs recorded agents until it is killed, and acknowledges each event once it is recorded (killed.py)."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading
from typing import Any

from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span_handlers import BaseSpanHandler

import counterfoil_llama_index
from counterfoil.tape import Tape
from llama_index_office import case, office

#: Spans that are steps, by the end of their labels, and the events that are.
SPANS = (".acall",)
STARTS, ENDS = {"LLMChatStartEvent"}, {"LLMChatEndEvent"}

_lines = 0


class AfterSpans(BaseSpanHandler[Any]):
    """Told after ours of every span."""

    fd: int = -1

    def span_enter(self, id_: str, **_: Any) -> None:
        if id_[:-37].endswith(SPANS):
            os.write(self.fd, f"started {id_} {_lines}\n".encode())

    def span_exit(self, id_: str, **_: Any) -> None:
        if id_[:-37].endswith(SPANS):
            os.write(self.fd, f"ended {id_} {_lines}\n".encode())

    def new_span(self, *_: Any, **__: Any) -> None:
        pass

    prepare_to_exit_span = prepare_to_drop_span = new_span


class AfterEvents(BaseEventHandler):
    """Told after ours of every event."""

    fd: int

    def handle(self, event: Any, **_: Any) -> None:
        kind = type(event).__name__
        if kind in STARTS:
            os.write(self.fd, f"started {event.span_id} {_lines}\n".encode())
        elif kind in ENDS:
            os.write(self.fd, f"ended {event.span_id} {_lines}\n".encode())


def listen(db: str, fd: int) -> None:
    """Record to the store `db`, and say on `fd` what has been recorded."""
    written = itertools.count(1)
    write = Tape.write

    def counted(tape: Tape, *args: Any) -> bool:
        global _lines
        taken = write(tape, *args)
        if taken:
            _lines = max(_lines, next(written))
        return taken

    Tape.write = counted
    counterfoil_llama_index.install(db, quiet=True)
    spans = AfterSpans()
    spans.fd = fd
    get_dispatcher().add_span_handler(spans)
    get_dispatcher().add_event_handler(AfterEvents(fd=fd))


def work(db: str, fifo: str) -> None:
    """Run agents in two threads, two at a time in each, for ever."""
    signal.alarm(300)  # nobody may come to kill it
    os.environ["COUNTERFOIL_DB"] = db
    listen(db, os.open(fifo, os.O_WRONLY))
    numbers = itertools.count()

    async def in_tasks() -> None:
        while True:
            await asyncio.gather(*(office().run(case(next(numbers))) for _ in range(2)))

    threading.Thread(target=asyncio.run, args=(in_tasks(),), daemon=True).start()
    asyncio.run(in_tasks())
