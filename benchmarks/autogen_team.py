"""What recording costs: one team of AutoGen (1 agent, 3 model calls, 2 tool calls), recorded in turn by

nothing, Counterfoil with redaction off and on, OpenInference's instrumentor with a batch processor. OpenInference records
the calls of AutoGen's own OpenAI client alone: here it tells of the team, the agent and the tools, not of the model.

    python benchmarks/autogen_team.py [--rounds 3] [--pairs 8] [--runs 25]

`pairs.py` says how they are compared.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from pairs import Benchmark, compare, text

if TYPE_CHECKING:
    from collections.abc import Callable


def make_team() -> Any:
    from autogen_agentchat.agents import AssistantAgent
    from autogen_agentchat.teams import RoundRobinGroupChat
    from autogen_core import FunctionCall
    from autogen_core.models import CreateResult, RequestUsage

    import autogen_office

    class Scripted(autogen_office.OfficeModel):
        async def create(self, messages: Any, **options: Any) -> CreateResult:
            done = sum(one.type == "FunctionExecutionResultMessage" for one in messages)
            said: Any = text(4)
            if done < 2:
                arguments = json.dumps({"query": text(2), "limit": 10 + done})
                said = [FunctionCall(id=f"call_{done}", name="search", arguments=arguments)]
            return CreateResult(
                finish_reason="function_calls" if done < 2 else "stop",
                content=said,
                usage=RequestUsage(prompt_tokens=800, completion_tokens=40),
                cached=False,
            )

    async def search(query: str, limit: int) -> str:
        """Search the knowledge base."""
        return text(8)

    agent = AssistantAgent(
        "support", Scripted(), tools=[search], system_message=text(6), max_tool_iterations=3
    )
    return RoundRobinGroupChat([agent], name="desk", max_turns=1)


def prepare(runs: int) -> Callable[[], object]:
    teams = [make_team() for _ in range(runs)]  # a team remembers what it was told before

    async def work() -> None:
        for team in teams:
            await team.run(task=text(3))

    return lambda: asyncio.run(work())


if __name__ == "__main__":
    compare(
        Benchmark(
            framework="autogen",
            script=__file__,
            prepare=prepare,
            instrumentor="openinference.instrumentation.autogen_agentchat:AutogenAgentChatInstrumentor",
        ),
        runs=25,
    )
