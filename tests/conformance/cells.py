"""A cell of the page: a scenario played in a framework, and what its record is, held against the expectation."""

from __future__ import annotations

import asyncio
import difflib
import importlib
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import counterfoil
from conformance.desk import SUPPORT_DESK, answer_tickets
from conformance.meaning import meaning
from conformance.scenario import FRAMEWORKS, Scenario, Variance
from counterfoil.store.read import Store
from ledger import agree
from support_desk.endpoint import Endpoint, Reply, Request, Script
from support_desk.script import answer
from support_desk.scripting import decoded

__all__ = ["ADAPTERS", "Cell", "Stage", "play"]

#: The adapter that records each framework.
ADAPTERS: Mapping[str, str] = {"langgraph": "langchain"} | {one: one for one in FRAMEWORKS[1:]}


@dataclass(frozen=True)
class Stage:
    """Where an application is played: the endpoint to ask, a folder of its own, and what is closed at its end."""

    endpoint: Endpoint
    folder: Path
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def db(self) -> Path:
        """The store, for what an application records itself."""
        return self.folder / "counterfoil.db"

    async def cancel(self, work: Coroutine[Any, Any, Any]) -> None:
        """Begin this, and cancel it when its model has been asked."""
        task = asyncio.ensure_future(work)
        while not self.endpoint.ledger and not task.done():  # noqa: ASYNC110  # threads of the endpoint's fill it
            await asyncio.sleep(0.01)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@dataclass(frozen=True)
class Cell:
    """`same`, `differs` or `impossible`; `told` says which variance is permitted, how it differs, or why it cannot be."""

    verdict: str
    told: str = ""

    def __str__(self) -> str:
        return f"{self.verdict}: {self.told}" if self.told else self.verdict


def play(scenario: Scenario, framework: str, folder: Path) -> Cell:
    """Run the application of this scenario, and read what was recorded of it."""
    if framework in scenario.impossible:
        return Cell("impossible", scenario.impossible[framework])
    apps = importlib.import_module(f"conformance.in_{framework}")
    db = folder / "counterfoil.db"
    counterfoil.install(db, only=[ADAPTERS[framework]], quiet=True)
    try:
        with Endpoint(_script(scenario, apps)) as endpoint:
            if scenario is SUPPORT_DESK:
                answer_tickets(framework, endpoint)
            else:
                asyncio.run(_act(apps.APPS[scenario.name], Stage(endpoint, folder)))
    finally:
        counterfoil.uninstall()
    with counterfoil.open(db) as store:
        agree(store, endpoint, beside=getattr(apps, "TELLS_TEXT_BESIDE_CALLS", True))
        if scenario.says:
            _told_who_they_are(store)
        return _verdict(scenario, framework, meaning(store))


def _script(scenario: Scenario, apps: ModuleType) -> Script:
    return answer if scenario is SUPPORT_DESK else _Script(scenario, apps)


def _told_who_they_are(store: Store) -> None:
    """Assert that each model call stands under the agent that its instructions name."""
    for call in store.llm_calls():
        told = [str(one["parts"]) for one in store.messages(call).input if one["role"] == "system"]
        assert f"You are {call.agent}." in "".join(told)


async def _act(app: Callable[[Stage], Awaitable[None]], stage: Stage) -> None:
    async with stage.closing:
        await app(stage)


def _verdict(scenario: Scenario, framework: str, recorded: str) -> Cell:
    allowed, why = [scenario.expected], ""
    for variance in scenario.permitted:
        if framework in variance.frameworks:
            varied = [_varied(one, variance) for one in allowed]
            allowed, why = (allowed + varied if variance.either else varied), variance.why
    if recorded in allowed:
        return Cell("same", why)
    return Cell("differs", "\n" + "\n".join(difflib.ndiff(allowed[0].splitlines(), recorded.splitlines())))


def _varied(expected: str, variance: Variance) -> str:
    lines = (variance.lines.get(line, line) for line in expected.splitlines())
    return "\n".join(line for line in lines if line is not None)


@dataclass
class _Script:
    """Gives each agent its answers in turn, in the words of the framework."""

    scenario: Scenario
    apps: ModuleType
    _refused: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Request) -> Reply | None:
        with self._lock:
            if self._refused < self.scenario.failures:
                self._refused += 1
                return Reply(error=503)
        agent = next(one for one in self.scenario.says if f"You are {one}" in request.system)
        answered = list(request.answered)
        say: Callable[[Reply, Request], Reply | None] = self.apps.in_its_words
        for reply in (say(one, request) for one in self.scenario.says[agent]):
            if reply is not None and not _done(reply, answered):
                return reply
        return None


def _done(reply: Reply, answered: list[tuple[str, Any]]) -> bool:
    """Say whether every call of this reply has its result, and take those out of `answered`."""
    asked = [(tool, decoded(arguments)) for tool, arguments in reply.calls]
    if not asked or any(one not in answered for one in asked):
        return False
    for one in asked:
        answered.remove(one)
    return True
