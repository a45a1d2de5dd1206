"""Months of made-up tasks, in bulk: what differs between groups of them is planted, the rest is chance."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from counterfoil.events import Text
from counterfoil.store import ingest
from handmade_tape import SECOND, T0, Tape, run_id, step_id

__all__ = ["FRAMEWORKS", "HOUR", "KINDS", "Month", "month"]

FRAMEWORKS = ("langchain", "crewai", "llama_index", "autogen")
#: Kinds of task, with how much more of everything they take.
KINDS = {"refund": 1.0, "delivery": 1.6, "complaint": 2.5}
HOUR = 3_600 * SECOND


class Month:
    """Writes tasks to one tape; `store` brings them in. The same `seed` gives the same tasks."""

    def __init__(self, db: Path, seed: int = 0) -> None:
        self.db = db
        self.chance = random.Random(seed)
        self._tape = Tape(db)
        self._lines: list[bytes] = []
        self._runs = self._steps = 0

    def add(
        self,
        *,
        framework: str = "python",
        agent: str = "desk",
        version: str | None = None,
        model: str = "m",
        task: str | None = "refund",
        status: str = "ok",
        cost_nano: int | None = 1_000_000,
        calls: int = 1,
        tools: int = 0,
        errors: int = 0,
        seconds: float = 2.0,
        waited: tuple[tuple[float, float], ...] = (),
        labels: dict[str, str] | None = None,
        scores: dict[str, float] | None = None,
        session: str | None = None,
        resuming: bool = False,
        asking: bool = False,
    ) -> str:
        """Record a task: `calls` of a model, that cost `cost_nano` together; `waited` is from and to, in seconds.

        One that is `asking` ends with a question that nobody has answered.
        """
        self._runs += 1
        run, root = run_id(self._runs), self._step()
        at = T0 + self._runs * HOUR
        end = at + int(seconds * SECOND)
        self._start(run, root, t=at, framework=framework, agent=agent, name=agent, version=version, task=task,
            labels=labels, session=session, resuming=resuming or None)  # fmt: skip
        for n in range(calls):
            call = self._step()
            cost = None if cost_nano is None else cost_nano // calls + (cost_nano % calls if not n else 0)
            given = {} if cost is None else {"cost_nano": cost}
            self._start(
                run, call, t=at + 1, kind="llm", parent=root, framework=framework, agent=agent, model=model
            )
            self._end(run, call, t=at + 2, model=model, input_tokens=1_000, output_tokens=50, **given)
        for n in range(tools):
            tool = self._step()
            self._start(
                run, tool, t=at + 3, kind="tool", parent=root, framework=framework, agent=agent, name=f"t{n}"
            )
            wrong = {"status": "error", "error_type": "TimeoutError"} if n < errors else {}
            self._end(run, tool, t=at + 4, **wrong)
        for since, until in waited:
            question = self._step()
            self._start(
                run, question, t=at + int(since * SECOND), kind="human", parent=root, framework=framework
            )
            self._end(run, question, t=at + int(until * SECOND))
        if asking:
            self._start(run, self._step(), t=end, kind="human", parent=root, framework=framework)
        for name, value in (scores or {}).items():
            score = self._tape.line("score", t=end, run=run, step=root, value=value, text=Text(name=name))
            self._lines.append(score)
        self._end(run, root, t=end, status="waiting" if asking else status)
        return run

    def store(self) -> Path:
        """Bring all of it into the store, and give its path."""
        self._tape.raw(b"".join(self._lines))
        self._tape.let_go()
        with ingest.Drainer(str(self.db)) as drainer:
            while drainer.drain(wait=60).left_bytes:
                pass
        return self.db

    def _step(self) -> str:
        self._steps += 1
        return step_id(self._steps)

    def _start(self, run: str, step: str, **given: Any) -> None:
        self._through(self._tape.start, run, step, given)

    def _end(self, run: str, step: str, **given: Any) -> None:
        self._through(self._tape.end, run, step, given)

    def _through(self, write: Callable[..., None], run: str, step: str, given: dict[str, Any]) -> None:
        """Have `write` make its line, and keep it for the one write of all."""
        raw, self._tape.raw = self._tape.raw, self._lines.append  # type: ignore[method-assign]  # one write is faster
        try:
            write(run, step, **{key: value for key, value in given.items() if value is not None})
        finally:
            self._tape.raw = raw  # type: ignore[method-assign]  # as it was


def month(
    db: Path, *, tasks: int, seed: int, planted: Callable[[dict[str, Any], random.Random], None] | None = None
) -> Path:
    """Give the store of a month of `tasks` in four frameworks; `planted` changes what is recorded of each."""
    made = Month(db, seed)
    chance = made.chance
    for _ in range(tasks):
        kind = chance.choices(list(KINDS), weights=(5, 3, 2))[0]
        size = KINDS[kind]
        calls = chance.choices((1, 2, 3, 6), weights=(4, 3, 2, 1))[0]
        tools = chance.randrange(4)
        given: dict[str, Any] = {
            "framework": chance.choice(FRAMEWORKS),
            "agent": chance.choice(("desk", "office")),
            "version": chance.choice(("1", "2")),
            "model": chance.choice(("gpt-4.1", "gpt-4.1-mini")),
            "task": kind,
            "calls": calls,
            "tools": tools,
            "errors": int(tools > 0 and chance.random() < 0.06),
            "status": "ok" if chance.random() < 0.93 else "error",
            "cost_nano": int(size * calls * chance.lognormvariate(0, 0.6) * 2_000_000),
            "seconds": size * chance.lognormvariate(1.5, 0.7),
            "labels": {"tier": chance.choice(("free", "gold"))},
        }
        if chance.random() < 0.4:
            given["scores"] = {"helpful": chance.choice((0.0, 0.5, 1.0, 1.0))}
        if planted is not None:
            planted(given, chance)
        made.add(**given)
    return made.store()
