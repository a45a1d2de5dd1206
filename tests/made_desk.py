"""Tickets that a made-up desk works on, recorded as adapters do: what makes triage ask the billing agent is planted."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from counterfoil.events import encode, message, text_part, tool_call_part, tool_response_part
from counterfoil.recorder import Recorder
from counterfoil.recorder import Step as Open
from counterfoil.snapshot import Taken
from counterfoil.store import ingest

__all__ = ["INSTRUCTIONS", "PLAIN", "Desk", "text_of"]

INSTRUCTIONS = "You sort tickets. If money is in question, ask the billing agent. Else answer."
OFFERS = [
    {"type": "function", "function": {"name": "search", "description": "Search the articles."}},
    {
        "type": "function",
        "function": {"name": "ask_billing", "description": "Ask the billing agent, who sees payments."},
    },
]
#: Words that mean nothing here.
PLAIN = [
    "parcel",
    "order",
    "machine",
    "beans",
    "late",
    "blue",
    "coffee",
    "letter",
    "address",
    "week",
    "cup",
    "grinder",
    "filter",
    "delivery",
    "colour",
    "size",
    "lid",
    "tank",
    "button",
    "light",
    "sticker",
    "box",
    "card",
    "street",
    "friend",
    "gift",
    "morning",
    "noise",
    "steam",
    "water",
]


def text_of(chance: random.Random, *more: str) -> str:
    """Give a customer's text: ten words by chance, with `more` among them."""
    said = [*chance.choices(PLAIN, k=10), *more]
    chance.shuffle(said)
    return " ".join(said)


class Desk:
    """Records tickets to the store at `db`; `drained` brings them in."""

    def __init__(self, db: Path, *, capture: str = "full") -> None:
        self.db = db
        self._recorder = Recorder(str(db))
        if capture == "metadata":
            self._recorder.restrict()
        self._calls = 0

    def drained(self) -> Path:
        """Bring all of it into the store, and give its path."""
        self._recorder.close()
        with ingest.Drainer(str(self.db)) as drainer:
            while drainer.drain(wait=60).left_bytes:
                pass
        return self.db

    def ticket(
        self,
        text: str,
        *,
        asks: bool,
        found: str = "Article A-1: we are happy to help.",
        searches: bool = True,
        fails: bool = False,
        again: bool = False,
        question: str = "Ticket 7: was invoice INV-2041 paid twice?",
        thought: str | None = None,
        framework: str = "python",
        model: str = "m-1",
        version: str | None = None,
        task: str | None = "ticket",
        labels: dict[str, str] | None = None,
        decision: str | None = None,
        over: bool = True,
    ) -> str:
        """Record a ticket; give its run's id.

        Triage searches and gets `found`, then, if it `asks`, asks billing the `question`; who searches `again`.
        """
        recorder = self._recorder
        root = recorder.start("workflow", "desk", framework=framework, input=text, task=task, labels=labels)
        triage = recorder.start("agent", "triage", framework=framework, parent=root, version=version)
        said: list[Any] = [message("system", [text_part(INSTRUCTIONS)]), message("user", [text_part(text)])]
        if searches:
            self._call(triage, said, model, [("search", {"query": "help"})])
            self._search(triage, said, found, fails=fails)
        if asks:
            self._call(
                triage,
                said,
                model,
                [("ask_billing", {"question": question})],
                "Only billing sees it.",
                thought,
            )
            tool = recorder.start(
                "tool", "ask_billing", framework=framework, parent=triage, call_id=self._last,
                input={"question": question},
            )  # fmt: skip
            if decision is not None:
                recorder.decision(tool, action="handoff", resource="billing", verdict="allow", rule=decision)
            self._billing(tool, question, model, again=again)
            recorder.end(tool, output="It was paid twice.")
            said.append(message("tool", [tool_response_part(self._asking, "It was paid twice.")]))
        self._call(triage, said, model, (), "Dear customer, all is well.")
        recorder.end(triage, output="all is well")
        if over:
            recorder.end(root, output="all is well")
        return root.run_id

    def _billing(self, tool: Open, question: str, model: str, *, again: bool) -> None:
        self._asking = self._last
        billing = self._recorder.start(
            "agent", "billing", framework=tool.framework, parent=tool, evidence="native"
        )
        said: list[Any] = [message("user", [text_part(question)])]
        if again:
            self._call(billing, said, model, [("search", {"query": "help"})])
            self._search(billing, said, "Article A-1: we are happy to help.")
        self._call(billing, said, model, (), "It was paid twice.")
        self._recorder.end(billing, output="It was paid twice.")

    def _search(self, agent: Open, said: list[Any], found: str, *, fails: bool = False) -> None:
        tool = self._recorder.start(
            "tool",
            "search",
            framework=agent.framework,
            parent=agent,
            call_id=self._last,
            input={"query": "help"},
        )
        if fails:
            self._recorder.fail(tool, TimeoutError("the articles did not answer"))
            found = "the articles did not answer"
        else:
            self._recorder.end(tool, output=found)
        said.append(message("tool", [tool_response_part(self._last, found)]))

    def _call(
        self,
        agent: Open,
        said: list[Any],
        model: str,
        tools: Sequence[tuple[str, Any]],
        text: str = "",
        thought: str | None = None,
    ) -> None:
        call = self._recorder.start(
            "llm", "chat", framework=agent.framework, parent=agent, messages=[Taken(encode(one)) for one in said],
            offers=OFFERS, request_model=model,
        )  # fmt: skip
        parts: list[Any] = [text_part(text)] if text else []
        if thought is not None:
            parts.append({"type": "reasoning", "content": thought})
        for name, arguments in tools:
            self._calls += 1
            self._last = f"call-{self._calls}"
            parts.append(tool_call_part(self._last, name, arguments))
        answer = message("assistant", parts)
        self._recorder.end(call, messages=[Taken(encode(answer))], model=model)
        said.append(answer)
