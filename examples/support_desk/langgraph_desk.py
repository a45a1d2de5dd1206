"""The desk in LangGraph: triage asks a billing specialist, and hands over to a follow-up agent."""

from langchain.agents import create_agent
from langchain.agents.middleware import ToolCallRequest, ToolErrorMiddleware
from langchain.tools import ToolRuntime, tool
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.messages import ToolMessage
from langchain_core.prompts import PromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool, create_retriever_tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from support_desk.back_office import BackOffice, BackOfficeError
from support_desk.instructions import BILLING_SPECIALIST, FOLLOW_UP, TRIAGE
from support_desk.knowledge import KNOWLEDGE_BASES, KnowledgeBase
from support_desk.tickets import Ticket


class KnowledgeRetriever(BaseRetriever):
    base: KnowledgeBase

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 -- the base class's
    ) -> list[Document]:
        return [
            Document(
                id=hit.article.article_id,
                page_content=f"{hit.article.title}: {hit.article.text}",
                metadata={"article": hit.article.article_id, "source": self.base.name, "score": hit.score},
            )
            for hit in self.base.search(query)
        ]


def search_tool(base: KnowledgeBase) -> BaseTool:
    return create_retriever_tool(
        KnowledgeRetriever(base=base, name=base.name),
        name=f"search_{base.name}",
        description=f"Search the knowledge base on {base.description}.",
        document_prompt=PromptTemplate.from_template("[{article}] {page_content}"),
    )


@tool
def transfer_to_followup(reason: str, runtime: ToolRuntime) -> Command:
    """Hand the ticket over to the follow-up agent, who writes to the customer. Say why."""
    done = ToolMessage(f"The ticket is yours: {reason}", tool_call_id=runtime.tool_call_id)
    return Command(
        graph=Command.PARENT,
        goto="followup",
        update={"messages": [*runtime.state["messages"], done]},
    )


def tell_agent(error: Exception, _request: ToolCallRequest) -> str | None:
    """Let the agent read what the back office refused; anything else stops the run."""
    return str(error) if isinstance(error, BackOfficeError) else None


def build_desk(model: ChatOpenAI, office: BackOffice) -> CompiledStateGraph:
    """Give the desk as a graph that takes `{"messages": [("user", ticket.text)]}`."""
    refusals = ToolErrorMiddleware(on_error=tell_agent)
    specialist = create_agent(
        model,
        [tool(office.look_up_invoice), tool(office.issue_refund), tool(office.reissue_invoice)],
        system_prompt=BILLING_SPECIALIST,
        middleware=[refusals],
        name="billing_specialist",
    )

    @tool
    def ask_billing_specialist(question: str) -> str:
        """Ask the billing specialist, who sees payments and can refund. They know nothing of the ticket but this."""
        answer = specialist.invoke({"messages": [("user", question)]})
        return answer["messages"][-1].text

    triage = create_agent(
        model,
        [*map(search_tool, KNOWLEDGE_BASES.values()), ask_billing_specialist, transfer_to_followup],
        system_prompt=TRIAGE,
        name="triage",
    )
    followup = create_agent(
        model.model_copy(update={"streaming": True}),
        [tool(office.draft_email), tool(office.update_crm)],
        system_prompt=FOLLOW_UP,
        middleware=[refusals],
        name="followup",
    )

    desk = StateGraph(MessagesState)
    desk.add_node("triage", triage, destinations=("followup",))
    desk.add_node("followup", followup)
    desk.add_edge(START, "triage")
    return desk.compile(name="support desk")


def work(ticket: Ticket, office: BackOffice, model: str, **address: str) -> tuple[str, str]:
    """Let the desk work on one ticket; give who had the last word, and that word."""
    state = build_desk(ChatOpenAI(model=model, stream_usage=True, **address), office).invoke(
        {"messages": [("user", ticket.text)]},
        {
            "configurable": {"thread_id": f"ticket-{ticket.number}"},
            "tags": ["support"],
            "metadata": {"ticket": str(ticket.number), "customer": ticket.customer, "tier": ticket.tier},
        },
    )
    last = state["messages"][-1]
    return last.name, last.text
