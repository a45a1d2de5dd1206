"""An office of three agents in CrewAI whose runs all have the same shape, each with a token of its own in every text."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from itertools import count
from typing import Any

from crewai import Agent, Crew, Task
from crewai.events.types.llm_events import LLMCallType
from crewai.llms.base_llm import BaseLLM, llm_call_context
from crewai.tools import tool

import counterfoil

__all__ = [
    "AGENTS",
    "LLM_CALLS",
    "STEPS",
    "TOKEN",
    "TOOL_CALLS",
    "WHOLE",
    "Gate",
    "OfficeModel",
    "case",
    "crew_office",
    "token_of",
]

TOKEN = re.compile(r"token-\d{5}")

#: What each run holds: the front asks the expert, who looks three things up; then the clerk closes the case.
AGENTS = {"front", "expert", "clerk"}
LLM_CALLS = 2 + 3 + 2
TOOL_CALLS = 1 + 3 + 1
STEPS = {
    ("workflow", None): 1,
    ("task", None): 2,
    ("agent", "front"): 1,
    ("agent", "expert"): 1,
    ("agent", "clerk"): 1,
    ("llm", "front"): 2,
    ("llm", "expert"): 3,
    ("llm", "clerk"): 2,
    ("tool", "front"): 1,
    ("tool", "expert"): 3,
    ("tool", "clerk"): 1,
    ("other", "expert"): 3,  # counterfoil.step inside of the tool
}
#: The same as `office.shapes` gives it.
WHOLE = {(kind, agent, "ok"): number for (kind, agent), number in STEPS.items()}

_numbers = count(1)


def case(number: int) -> dict[str, str]:
    """Give the input of a run."""
    return {"case": f"token-{number:05}"}


def token_of(text: str) -> str:
    return TOKEN.search(text)[0]


class Gate:
    """Holds runs at their first model call until so many are under way."""

    def __init__(self, runs: int) -> None:
        self._awaited = runs
        self._lock = threading.Lock()
        self._open = threading.Event()

    def wait(self) -> None:
        """Count one more, and wait for those that are missing."""
        with self._lock:
            self._awaited -= 1
            if self._awaited <= 0:
                self._open.set()
        assert self._open.wait(60)


class OfficeModel(BaseLLM):
    """Answers by the conversation alone, and reports as CrewAI's own clients do; usage is counted in characters."""

    gate: Gate

    def supports_function_calling(self) -> bool:
        return True

    def get_input_tokens_count(self, messages: Any, tools: Any = None, response_model: Any = None) -> int:
        return len(str(messages)) // 4  # CrewAI's own way of counting warns at every call

    def call(self, messages: Any, tools: Any = None, **told: Any) -> Any:
        self.gate.wait()
        who = {"from_task": told.get("from_task"), "from_agent": told.get("from_agent")}
        with llm_call_context():
            self._emit_call_started_event(messages, tools=tools, **who)
            said = office_says(messages)
            given, made = len(str(messages)), max(1, len(str(said)))
            self._emit_call_completed_event(
                said,
                LLMCallType.TOOL_CALL if isinstance(said, list) else LLMCallType.LLM_CALL,
                messages=messages,
                usage={"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made},
                **who,
            )
        return said


def office_says(messages: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    told = messages[0]["content"]
    token = token_of(messages[1]["content"])
    results = sum(message["role"] == "tool" for message in messages)
    if "You are front" in told:
        if results == 0:
            asked = {"question": f"what of {token}?", "context": f"asked for {token}", "coworker": "expert"}
            return [_call("ask_question_to_coworker", asked)]
        return f"known of {token}"
    if "You are expert" in told:
        if results == 0:
            return [
                _call("look_up", {"fact": f"a of {token}"}),
                _call("look_up", {"fact": f"b of {token}"}),
            ]
        return [_call("look_up", {"fact": f"c of {token}"})] if results == 2 else f"all is known of {token}"
    return [_call("close", {"note": f"done with {token}"})] if results == 0 else f"good bye, {token}"


def _call(name: str, arguments: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": f"call_{next(_numbers)}",
        "type": "function",
        "function": {"name": name, "arguments": dict(arguments)},
    }


def crew_office(gate: Gate | None = None) -> Crew:
    """Give the office, for one run: `crew_office().kickoff(case(1))`."""
    model = OfficeModel(model="office-1", gate=gate or Gate(1))

    @tool("look_up")
    def look_up(fact: str) -> str:
        """Look a fact up."""
        counterfoil.access("facts", query=fact)
        with counterfoil.step("digest", input=fact):
            return f"known of {fact}"

    @tool("close")
    def close(note: str) -> str:
        """Close the case."""
        return f"closed: {note}"

    def agent(role: str, **options: Any) -> Agent:
        return Agent(role=role, goal="done", backstory="known", llm=model, **options)

    front = agent("front", allow_delegation=True)
    expert, clerk = agent("expert", tools=[look_up]), agent("clerk", tools=[close])
    known = Task(name="know", description="case {case}", expected_output="what is known", agent=front)
    closed = Task(
        name="close", description="close {case}", expected_output="a note", agent=clerk, context=[known]
    )
    return Crew(name="office", agents=[front, expert, clerk], tasks=[known, closed])
