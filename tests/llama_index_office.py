"""An office of three agents in LlamaIndex whose runs all have the same shape, each with a token of its own in every text.

LlamaIndex reads the annotations of a tool when it is made: they are no strings here.
"""

import asyncio
import re
from itertools import count
from typing import Any

from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, LLMMetadata
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection

import counterfoil

__all__ = [
    "AGENTS",
    "LLM_CALLS",
    "STEPS",
    "TOKEN",
    "TOOL_CALLS",
    "WHOLE",
    "Gate",
    "case",
    "office",
    "token_of",
]

TOKEN = re.compile(r"token-\d{5}")

#: What each run holds: the front asks the expert, who looks three things up, and passes the case to the clerk.
AGENTS = {"front", "expert", "clerk"}
LLM_CALLS = 2 + 3 + 2
TOOL_CALLS = 2 + 3 + 1
STEPS = {
    ("workflow", None): 1,
    ("agent", "front"): 1,
    ("agent", "expert"): 1,
    ("agent", "clerk"): 1,
    ("llm", "front"): 2,
    ("llm", "expert"): 3,
    ("llm", "clerk"): 2,
    ("tool", "front"): 2,
    ("tool", "expert"): 3,
    ("tool", "clerk"): 1,
    ("other", "expert"): 3,  # counterfoil.step inside of the tool
}
#: The same as `office.shapes` gives it.
WHOLE = {(kind, agent, "ok"): number for (kind, agent), number in STEPS.items()}

_numbers = count(1)


def case(number: int) -> str:
    """Give the input of a run."""
    return f"token-{number:05}"


def token_of(text: str) -> str:
    return TOKEN.search(text)[0]


class Gate:
    """Holds runs at their first model call until so many are under way in this loop."""

    def __init__(self, runs: int) -> None:
        self._awaited = runs
        self._open = asyncio.Event()

    async def wait(self) -> None:
        """Count one more, and wait for those that are missing."""
        self._awaited -= 1
        if self._awaited <= 0:
            self._open.set()
        await asyncio.wait_for(self._open.wait(), 60)


class OfficeModel(FunctionCallingLLM):
    """Answers by the conversation alone; usage is counted in characters."""

    gate: Any = None

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_function_calling_model=True, is_chat_model=True, model_name="office-1")

    @llm_chat_callback()
    async def achat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        if self.gate is not None:
            await self.gate.wait()
        return self._answer(messages)

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        return self._answer(messages)

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @llm_chat_callback()
    async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        raise NotImplementedError

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        raise NotImplementedError

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    def _answer(self, messages: list[ChatMessage]) -> ChatResponse:
        said = office_says(messages)
        asked = said if isinstance(said, list) else []
        calls = [{"id": f"call_{next(_numbers)}", "name": name, "args": given} for name, given in asked]
        text = said if isinstance(said, str) else ""
        extra = {"tool_calls": calls} if calls else {}
        given, made = len(str(messages)), max(1, len(str(said)))
        return ChatResponse(
            message=ChatMessage(role="assistant", content=text, additional_kwargs=extra),
            raw={"usage": {"prompt_tokens": given, "completion_tokens": made}},
        )

    def _prepare_chat_with_tools(
        self, tools: Any, user_msg: Any = None, chat_history: Any = None, **_: Any
    ) -> dict:
        return {"messages": [*(chat_history or ()), *([user_msg] if user_msg else ())]}

    def get_tool_calls_from_response(self, response: ChatResponse, **_: Any) -> list[ToolSelection]:
        calls = response.message.additional_kwargs.get("tool_calls", [])
        return [
            ToolSelection(tool_id=one["id"], tool_name=one["name"], tool_kwargs=one["args"]) for one in calls
        ]


def office_says(messages: list[ChatMessage]) -> str | list[tuple[str, dict[str, str]]]:
    told = str(messages[0].content)
    token = token_of(next(str(one.content) for one in messages if one.role == "user"))
    results = sum(str(one.role.value) == "tool" for one in messages)
    if "You are front" in told:
        if results == 0:
            return [("ask_expert", {"question": f"what of {token}?"})]
        return [("handoff", {"to_agent": "clerk", "reason": f"known of {token}"})]
    if "You are expert" in told:
        if results == 0:
            return [("look_up", {"fact": f"a of {token}"}), ("look_up", {"fact": f"b of {token}"})]
        return [("look_up", {"fact": f"c of {token}"})] if results == 2 else f"all is known of {token}"
    return [("close", {"note": f"done with {token}"})] if results == 2 else f"good bye, {token}"


def office(gate: Gate | None = None) -> AgentWorkflow:
    """Give the office, for one run: `await office().run(case(1))`."""
    model = OfficeModel(gate=gate)

    def agent(name: str, *tools: Any, **options: Any) -> FunctionAgent:
        given = {"description": name, "system_prompt": f"You are {name}.", "streaming": False}
        return FunctionAgent(name=name, llm=model, tools=list(tools), **given | options)

    def look_up(fact: str) -> str:
        """Look a fact up."""
        counterfoil.access("facts", query=fact)
        with counterfoil.step("digest", input=fact):
            return f"known of {fact}"

    async def close(note: str) -> str:
        """Close the case."""
        return f"closed: {note}"

    expert = agent("expert", look_up)

    async def ask_expert(question: str) -> str:
        """Ask the expert."""
        return str(await expert.run(question))

    return AgentWorkflow(agents=[agent("front", ask_expert), agent("clerk", close)], root_agent="front")
