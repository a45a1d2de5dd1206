"""What a process that is to be killed says of what it has recorded: acknowledgements, which killed.py reads."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from typing import Any

from counterfoil.tape import Tape

__all__ = ["acknowledging"]

Acknowledge = Callable[[str, object], None]


def acknowledging(db: str, fifo: str) -> Acknowledge:
    """Make `db` the default store, and give what writes an acknowledgement: its word, and a step's native id.

    A line of it is `<started, ended or over> <native id> <lines of tape>`. `over`: where that is a step, it has ended.
    """
    signal.alarm(300)  # nobody may come to kill it
    os.environ["COUNTERFOIL_DB"] = db
    fd = os.open(fifo, os.O_WRONLY)
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

    def acknowledge(word: str, native_id: object) -> None:
        os.write(fd, f"{word} {native_id} {lines}\n".encode())

    return acknowledge
