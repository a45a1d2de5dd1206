"""Tapes written by hand, line by line, as the format says: for tests of the store alone."""

from __future__ import annotations

import fcntl
import itertools
import os
from pathlib import Path
from typing import Any

from counterfoil.events import FORMAT, Head, Text, encode
from counterfoil.store import tapes

T0 = 1_700_000_000_000_000_000
SECOND = 1_000_000_000

_writers = itertools.count(1)


def run_id(n: int) -> str:
    return f"{n:032x}"


def step_id(n: int) -> str:
    return f"{n:016x}"


class Tape:
    """One writer's tape in the folder of the store at `db`. Locked, as long as it is not `let_go`."""

    def __init__(
        self, db: Path, *, boot: str | None = "here", host: str | None = None, machine: str | None = None
    ):
        here = tapes.origin()
        self.folder = Path(tapes.folder_of(str(db)))
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.writer = f"{next(_writers):016x}-{os.getpid()}-abcdef"
        self.boot = here.boot if boot == "here" else boot
        self.host = here.host if host is None else host
        self.machine = here.machine if machine is None else machine
        self.segment = 0
        self.q = 0
        self.fd = -1
        self._refs: dict[bytes, int] = {}
        self.rotate()

    @property
    def path(self) -> Path:
        return self.folder / f"{self.writer}.{self.segment:06d}.tape"

    def rotate(self) -> None:
        self.segment += 1
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = fd
        origin = Text(
            writer=self.writer,
            host=self.host,
            boot=self.boot,
            machine=self.machine,
            versions={"counterfoil": "test"},
        )
        self.event("open", t=T0, text=origin, format=FORMAT, pid=os.getpid(), segment=self.segment)

    def raw(self, data: bytes) -> None:
        os.write(self.fd, data)

    def line(
        self,
        k: str,
        /,
        *,
        t: int,
        text: Text | None = None,
        bodies: dict[str, Any] | None = None,
        **head: Any,
    ):
        self.q += 1
        named: dict[str, bytes] = {}
        if text is not None:
            named["text"] = encode(text)
        named |= {name: encode(body) for name, body in (bodies or {}).items()}
        messages = head.pop("messages", None)
        if messages is not None:
            numbers = []
            for message in messages:
                body = encode(message)
                if body not in self._refs:
                    self._refs[body] = len(self._refs) + 1
                    named[f"m{self._refs[body]}"] = body
                numbers.append(self._refs[body])
            head["refs"] = tuple(numbers)
        made = Head(k=k, t=t, q=self.q, parts=tuple(named), **head)
        return b"\t".join([encode(made), *named.values()]) + b"\n"

    def event(self, k: str, /, **given: Any) -> None:
        self.raw(self.line(k, **given))

    def start(
        self, run: str, step: str, *, t: int, kind: str = "agent", parent: str | None = None, **given: Any
    ):
        text_fields = {key: given.pop(key) for key in list(given) if key in Text.__struct_fields__}
        text_fields.setdefault("framework", "python")
        body = {"input": given.pop("input")} if "input" in given else None
        self.event(
            "start", t=t, run=run, step=step, kind=kind, parent=parent, evidence="native",
            text=Text(**text_fields), bodies=body, **given,
        )  # fmt: skip

    def end(self, run: str, step: str, *, t: int, status: str = "ok", **given: Any):
        text_fields = {key: given.pop(key) for key in list(given) if key in Text.__struct_fields__}
        body = {"output": given.pop("output")} if "output" in given else None
        text = Text(**text_fields) if text_fields else None
        self.event("end", t=t, run=run, step=step, status=status, text=text, bodies=body, **given)

    def exit(self, *, t: int) -> None:
        self.event("exit", t=t)
        self.let_go()

    def let_go(self) -> None:
        """What the kernel does when the process is gone."""
        os.close(self.fd)
        self.fd = -1
