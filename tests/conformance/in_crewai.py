"""The scenarios in CrewAI."""

from __future__ import annotations

import crewai_home  # noqa: F401  # before CrewAI, which reads it

# isort: split
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from crewai import Agent, Crew, Task
from crewai.flow.async_feedback import HumanFeedbackPending
from crewai.flow.flow import Flow, listen, start
from crewai.flow.human_feedback import HumanFeedbackResult, human_feedback
from crewai.flow.persistence import SQLiteFlowPersistence
from crewai.memory.unified_memory import Memory
from crewai.tools import tool
from crewai.tools.agent_tools.agent_tools import AgentTools
from openai import OpenAI

import crewai_apps
from conformance import tools
from conformance.cells import Stage
from conformance.tools import ANSWER, FACT
from support_desk.endpoint import Reply, Request, call

__all__ = ["APPS", "TELLS_TEXT_BESIDE_CALLS", "in_its_words"]

#: CrewAI drops the text that a model says beside a tool call.
TELLS_TEXT_BESIDE_CALLS = False

# CrewAI 1.15 warns at every call that it estimates tokens where the server is not OpenAI's own.
logging.getLogger("crewai.llms.base_llm").setLevel(logging.ERROR)

search = tool("search")(tools.search)
add = tool("add")(tools.add)


def in_its_words(reply: Reply, request: Request) -> Reply | None:
    """Ask a coworker by CrewAI's own tool, and a human by a tool, or where there is none, by an answer to be judged."""
    if reply.delay:
        # An answer under way is waited for at the end, as CrewAI's thread does: it is to be late, and no more.
        return replace(reply, delay=2.0)
    match reply.calls:
        case [("asks", {"whom": whom, "question": question})]:
            # What CrewAI calls the context is why somebody is asked.
            asked = call("ask_question_to_coworker", coworker=whom, question=question, context=question)
            return Reply(calls=[asked])
        case [("asks_human", {"question": question})] if "ask_human" in request.offered:
            return Reply(calls=[call("ask_human", question=question)])
        case [("asks_human", {"question": question})]:
            return None if ANSWER in request.user else Reply(question)
    return reply


def agent(name: str, stage: Stage, *given: Any, stream: bool = False, **options: Any) -> Agent:
    return crewai_apps.agent(name, crewai_apps.model(stage.endpoint, stream=stream), *given, **options)


async def work(*agents: Agent) -> None:
    """Let the first agent answer, who may ask the others."""
    task = Task(description="How much tea?", expected_output="One line", agent=agents[0])
    await Crew(agents=list(agents), tasks=[task]).akickoff()


async def two_tools(stage: Stage) -> None:
    await work(agent("clerk", stage, search, add))


async def escalation(stage: Stage) -> None:
    await work(agent("clerk", stage, allow_delegation=True), agent("expert", stage))


async def nested(stage: Stage) -> None:
    # Only whoever has a task of a crew is given the tools to ask coworkers by `allow_delegation`.
    coworkers = AgentTools(agents=[agent("grower", stage)]).tools()
    await work(agent("clerk", stage, allow_delegation=True), agent("expert", stage, *coworkers))


class Person:
    """Answers at once."""

    def request_input(self, message: str, flow: Flow, metadata: dict[str, Any] | None = None) -> str:
        return ANSWER


async def human(stage: Stage) -> None:
    class Order(Flow):
        input_provider = Person()

        @start()
        async def order(self) -> None:
            @tool("ask_human")
            def ask_human(question: str) -> str:
                """Ask a human."""
                return str(self.ask(question))

            await work(agent("clerk", stage, ask_human))

    await Order().kickoff_async()


class Later:
    """Asks where the answer comes by another road: the flow stops."""

    def request_feedback(self, context: Any, flow: Flow) -> str:
        raise HumanFeedbackPending(context=context)


async def resumed(stage: Stage) -> None:
    class Order(Flow):
        @start()
        @human_feedback(message="Which?", provider=Later())
        async def ask(self) -> str:
            return str(await agent("clerk", stage).kickoff_async("Which tea?"))

        @listen(ask)
        async def order(self, judged: HumanFeedbackResult) -> str:
            return str(await agent("clerk", stage).kickoff_async(f"They want {judged.feedback} tea."))

    flows = SQLiteFlowPersistence(str(stage.folder / "flows.db"))
    pending = await Order(persistence=flows).kickoff_async()
    await Order.from_pending(pending.context.flow_id, flows).resume_async(ANSWER)


async def streamed(stage: Stage) -> None:
    await work(agent("clerk", stage, search, stream=True))


async def retrieval(stage: Stage) -> None:
    client = OpenAI(base_url=stage.endpoint.url, api_key="offline")
    stage.closing.callback(client.close)

    def embed(texts: list[str]) -> list[list[float]]:
        found = client.embeddings.create(model="text-embedding-3-small", input=texts)
        return [one.embedding for one in found.data]

    memory = Memory(
        llm=crewai_apps.model(stage.endpoint), embedder=embed, storage=str(stage.folder / "memory")
    )
    memory.remember(FACT, scope="/", categories=["tea"], importance=0.5)

    @tool("look_up")
    def look_up(query: str) -> str:
        """Look something up."""
        return "\n".join(match.record.content for match in memory.recall(query, depth="shallow"))

    await work(agent("clerk", stage, look_up))


async def plain(stage: Stage) -> None:
    await work(agent("clerk", stage))


async def cancelled(stage: Stage) -> None:
    await stage.cancel(plain(stage))


APPS: dict[str, Callable[[Stage], Awaitable[None]]] = {
    "one agent with two tools": two_tools,
    "parallel tools": two_tools,
    "a tool that raises": two_tools,
    "an unknown tool": two_tools,
    "bad arguments": two_tools,
    "escalation": escalation,
    "nested escalation": nested,
    "a human is asked": human,
    "streaming": streamed,
    "retrieval": retrieval,
    "model error with a retry": plain,
    "cancelled run": cancelled,
    "pause and resume": resumed,
}
