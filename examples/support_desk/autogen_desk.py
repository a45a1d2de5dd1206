"""The desk in AutoGen: a swarm in which triage asks an agent that is its tool, and hands off to a follow-up agent."""

import asyncio
import logging
import warnings
from collections.abc import Callable

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import TextMessageTermination
from autogen_agentchat.teams import Swarm
from autogen_agentchat.tools import AgentTool
from autogen_core.tools import FunctionTool
from autogen_ext.models.openai import OpenAIChatCompletionClient

import counterfoil
from support_desk.back_office import BackOffice
from support_desk.instructions import BILLING_SPECIALIST, FOLLOW_UP, TRIAGE
from support_desk.knowledge import KNOWLEDGE_BASES, KnowledgeBase
from support_desk.tickets import Ticket

# AutoGen 0.7 takes `gpt-4.1-mini` for a dated model, and warns at each answer that does not say the date.
warnings.filterwarnings("ignore", "Resolved model mismatch", UserWarning)
# What an agent raises, AutoGen 0.7 raises, too; beside that, each other agent of the team logs a traceback.
logging.getLogger("autogen_core").setLevel(logging.CRITICAL)


def search_tool(base: KnowledgeBase) -> FunctionTool:
    def search(query: str) -> str:
        hits = base.search(query)
        # AutoGen has no retrievers: what a tool reads, it says itself.
        found = [counterfoil.Item(h.article.article_id, h.score) for h in hits]
        counterfoil.access(base.name, query=query, items=found)
        return "\n\n".join(f"[{h.article.article_id}] {h.article.title}: {h.article.text}" for h in hits)

    return FunctionTool(
        search, name=f"search_{base.name}", description=f"Search the knowledge base on {base.description}."
    )


def build_desk(
    model: OpenAIChatCompletionClient, streaming: OpenAIChatCompletionClient, office: BackOffice
) -> Swarm:
    """Give the desk as a team: `await build_desk(...).run(task=ticket.text)`. The follow-up agent streams."""

    def agent(name: str, description: str, told: str, *tools: object, **options: object) -> AssistantAgent:
        given = {"model_client": model, "max_tool_iterations": 10, **options}
        return AssistantAgent(name, description=description, system_message=told, tools=list(tools), **given)

    specialist = agent(
        "billing_specialist",
        "Ask the billing specialist, who sees payments and can refund. They know nothing of the ticket but this.",
        BILLING_SPECIALIST,
        office.look_up_invoice,
        office.issue_refund,
        office.reissue_invoice,
    )
    triage = agent(
        "triage",
        "Reads a ticket first.",
        TRIAGE,
        *map(search_tool, KNOWLEDGE_BASES.values()),
        # One question at a time: an agent cannot run twice at once. AutoGen would have parallel calls switched off for
        # that; here they stay, for the searches.
        AgentTool(specialist, return_value_as_last_message=True),
        handoffs=["followup"],
    )
    followup = agent(
        "followup",
        "Writes to the customer, and logs what was done.",
        FOLLOW_UP,
        office.draft_email,
        office.update_crm,
        model_client=streaming,
        model_client_stream=True,
    )
    answered = TextMessageTermination("triage") | TextMessageTermination("followup")
    return Swarm([triage, followup], name="support desk", termination_condition=answered)


async def answer(
    ticket: Ticket, office: BackOffice, model: str, recorded: Callable[[Swarm], Swarm], **address: str
) -> tuple[str, str]:
    plain = OpenAIChatCompletionClient(model=model, **address)
    # OpenAI tells what a stream used only if asked, and takes the question with a stream alone.
    streaming = OpenAIChatCompletionClient(model=model, stream_options={"include_usage": True}, **address)
    try:
        done = await recorded(build_desk(plain, streaming, office)).run(task=ticket.text)
    except RuntimeError as error:  # AutoGen 0.7 makes a text of what an agent raised, its traceback included
        told, _, trace = str(error).partition("\nTraceback:\n")
        if "openai." in trace:
            raise ConnectionError(told) from None
        raise
    finally:
        await plain.close()
        await streaming.close()
    last = done.messages[-1]
    return last.source, last.to_text()


def as_it_is(team: Swarm) -> Swarm:
    return team


def work(
    ticket: Ticket,
    office: BackOffice,
    model: str,
    recorded: Callable[[Swarm], Swarm] = as_it_is,
    **address: str,
) -> tuple[str, str]:
    """Let the desk, `recorded`, work on one ticket; give who had the last word, and that word."""
    return asyncio.run(answer(ticket, office, model, recorded, **address))
