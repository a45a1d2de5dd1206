"""The desk in LlamaIndex: triage asks a billing specialist through a tool, and hands off to a follow-up agent."""

import asyncio

from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from openai import AsyncOpenAI

from support_desk.back_office import BackOffice
from support_desk.instructions import BILLING_SPECIALIST, FOLLOW_UP, TRIAGE
from support_desk.knowledge import KNOWLEDGE_BASES, KnowledgeBase
from support_desk.tickets import Ticket


class KnowledgeRetriever(BaseRetriever):
    def __init__(self, base: KnowledgeBase) -> None:
        super().__init__()
        self.base = base

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [
            NodeWithScore(
                node=TextNode(
                    id_=hit.article.article_id,
                    text=f"{hit.article.title}: {hit.article.text}",
                    metadata={"article": hit.article.article_id, "source": self.base.name},
                    excluded_llm_metadata_keys=["source"],
                    metadata_template="[{value}]",
                    text_template="{metadata_str} {content}",
                ),
                score=hit.score,
            )
            for hit in self.base.search(query_bundle.query_str)
        ]


def search_tool(base: KnowledgeBase) -> FunctionTool:
    retriever = KnowledgeRetriever(base)

    async def search(query: str) -> str:
        found = await retriever.aretrieve(query)
        return "\n\n".join(one.get_content(MetadataMode.LLM) for one in found)

    return FunctionTool.from_defaults(
        async_fn=search,
        name=f"search_{base.name}",
        description=f"Search the knowledge base on {base.description}.",
    )


def build_desk(model: OpenAI, office: BackOffice) -> AgentWorkflow:
    """Give the desk as a workflow: `await build_desk(model, office).run(ticket.text)`."""
    specialist = FunctionAgent(
        name="billing_specialist",
        description="Sees payments, refunds, and issues invoices again.",
        system_prompt=BILLING_SPECIALIST,
        tools=[office.look_up_invoice, office.issue_refund, office.reissue_invoice],
        llm=model,
        streaming=False,
    )

    async def ask_billing_specialist(question: str) -> str:
        """Ask the billing specialist, who sees payments and can refund. They know nothing of the ticket but this."""
        return str(await specialist.run(question))

    triage = FunctionAgent(
        name="triage",
        description="Reads a ticket first.",
        system_prompt=TRIAGE,
        tools=[*map(search_tool, KNOWLEDGE_BASES.values()), ask_billing_specialist],
        can_handoff_to=["followup"],
        llm=model,
        streaming=False,
    )
    followup = FunctionAgent(
        name="followup",
        description="Writes to the customer, and logs what was done.",
        system_prompt=FOLLOW_UP,
        tools=[office.draft_email, office.update_crm],
        can_handoff_to=[],
        # An agent streams by default; OpenAI tells what a stream used only if asked.
        llm=model.model_copy(update={"additional_kwargs": {"stream_options": {"include_usage": True}}}),
    )
    return AgentWorkflow(
        agents=[triage, followup], root_agent="triage", workflow_name="support desk", timeout=None
    )


async def answer(ticket: Ticket, office: BackOffice, model: str, **address: str) -> tuple[str, str]:
    async with AsyncOpenAI(**address) as client:  # LlamaIndex itself leaves its connections open
        desk = build_desk(OpenAI(model=model, max_retries=0, async_openai_client=client), office)
        last = await desk.run(ticket.text)
    return last.current_agent_name, str(last)


def work(ticket: Ticket, office: BackOffice, model: str, **address: str) -> tuple[str, str]:
    """Let the desk work on one ticket; give who had the last word, and that word."""
    return asyncio.run(answer(ticket, office, model, **address))
