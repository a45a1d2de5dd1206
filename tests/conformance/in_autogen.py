"""The scenarios in AutoGen."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import HandoffTermination, TextMessageTermination
from autogen_agentchat.messages import HandoffMessage
from autogen_agentchat.teams import Swarm
from autogen_agentchat.tools import AgentTool
from autogen_core.memory import ListMemory, MemoryContent, MemoryMimeType
from autogen_ext.models.openai import OpenAIChatCompletionClient
from openai import APIStatusError

import counterfoil
from conformance.cells import Stage
from conformance.tools import ANSWER, FACT, add, search
from counterfoil_autogen import record
from support_desk.endpoint import Reply, Request, call

TASK = "Tea?"
HUMAN = "user"


def in_its_words(reply: Reply, _: Request) -> Reply:
    """Handoff tools take no arguments: why it passes control, the model says beside the call."""
    calls = [_in_its_words(*one) for one in reply.calls]
    beside = [given.get("reason", given.get("question")) for name, given in reply.calls if name in _PASSING]
    return Reply(" ".join(beside), calls) if beside else Reply(reply.text, calls, delay=reply.delay)


_PASSING = {"passes", "asks_human"}


def _in_its_words(name: str, given: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    match name:
        case "passes":
            return call(f"transfer_to_{given['to']}")
        case "asks":
            return call(given["whom"], task=given["question"])
        case "asks_human":
            return call(f"transfer_to_{HUMAN}")
    return name, given


def agent(name: str, stage: Stage, *tools: Any, **options: Any) -> AssistantAgent:
    model = OpenAIChatCompletionClient(
        model="gpt-4.1-mini",
        base_url=stage.endpoint.url,
        api_key="offline",
        max_retries=0,
    )
    stage.closing.push_async_callback(model.close)
    return AssistantAgent(
        name,
        model,
        tools=list(tools),
        description=f"Knows as much as a {name} does.",
        system_message=f"You are {name}.",
        max_tool_iterations=5,
        **options,
    )


def asking(other: AssistantAgent) -> AgentTool:
    return AgentTool(other, return_value_as_last_message=True)


def helpline(stage: Stage) -> Swarm:
    """A team that stops where its agent asks the user."""
    clerk = agent("clerk", stage, handoffs=[HUMAN])
    return Swarm([clerk], termination_condition=HandoffTermination(HUMAN) | TextMessageTermination("clerk"))


async def two_tools(stage: Stage) -> None:
    await agent("clerk", stage, search, add).run(task=TASK)


async def transfer(stage: Stage) -> None:
    front = agent("front", stage, handoffs=["back"])
    await Swarm([front, agent("back", stage)], termination_condition=TextMessageTermination("back")).run(
        task=TASK
    )


async def two_transfers(stage: Stage) -> None:
    front = agent("front", stage, handoffs=["left", "right"])
    team = Swarm([front, agent("left", stage), agent("right", stage)], max_turns=2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Multiple handoffs", UserWarning)
        await team.run(task=TASK)


async def escalation(stage: Stage) -> None:
    await agent("clerk", stage, asking(agent("expert", stage))).run(task=TASK)


async def nested(stage: Stage) -> None:
    expert = agent("expert", stage, asking(agent("grower", stage)))
    await agent("clerk", stage, asking(expert)).run(task=TASK)


async def human(stage: Stage) -> None:
    team = helpline(stage)
    await team.run(task=TASK)
    await team.run(task=HandoffMessage(source=HUMAN, target="clerk", content=ANSWER))


async def streaming(stage: Stage) -> None:
    clerk = agent("clerk", stage, search, model_client_stream=True)
    async for _ in clerk.run_stream(task=TASK):
        pass


async def retrieval(stage: Stage) -> None:
    memory = ListMemory("facts")
    await memory.add(MemoryContent(content=FACT, mime_type=MemoryMimeType.TEXT))

    async def look_up(query: str) -> str:
        """Look something up."""
        return "\n".join(str(one.content) for one in (await memory.query(query)).results)

    await agent("clerk", stage, look_up).run(task=TASK)


async def model_error(stage: Stage) -> None:
    """AutoGen calls no model again: whoever called the agent lets it go on."""
    clerk = agent("clerk", stage)
    with counterfoil.run("tea", db=stage.db):
        try:
            await clerk.run(task=TASK)
        except APIStatusError:
            await clerk.run()


async def cancelled(stage: Stage) -> None:
    await stage.cancel(agent("clerk", stage).run(task=TASK))


async def resumed(stage: Stage) -> None:
    """A team is saved to a file, and another one of the same form goes on from it, in the session of the first."""
    file = stage.folder / "team.json"
    first = record(helpline(stage), stage.db, session="customer-7")
    await first.run(task=TASK)
    file.write_text(json.dumps(await first.save_state()))
    second = record(helpline(stage), stage.db, session="customer-7")
    await second.load_state(json.loads(file.read_text()))
    await second.run(task=HandoffMessage(source=HUMAN, target="clerk", content=ANSWER))


APPS = {
    "one agent with two tools": two_tools,
    "parallel tools": two_tools,
    "a tool that raises": two_tools,
    "an unknown tool": two_tools,
    "bad arguments": two_tools,
    "transfer": transfer,
    "two transfers at once": two_transfers,
    "escalation": escalation,
    "nested escalation": nested,
    "a human is asked": human,
    "streaming": streaming,
    "retrieval": retrieval,
    "model error with a retry": model_error,
    "cancelled run": cancelled,
    "pause and resume": resumed,
}
