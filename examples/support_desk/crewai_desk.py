"""The desk in CrewAI: triage asks a coworker, the billing specialist; a second task, where needed, is the follow-up's."""

import logging
import os

# CrewAI 1.15 sends telemetry, which delays the end of an offline process by 11 s, and asks on a terminal for 20 s
# whether to share a trace. What the user has set stays; CrewAI reads both when it is imported.
os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")
os.environ.setdefault("CREWAI_TRACING_ENABLED", "false")

from crewai import LLM, Agent, Crew, Task
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tasks.task_output import TaskOutput
from crewai.tools import BaseTool, tool

import counterfoil
from support_desk.back_office import BackOffice
from support_desk.instructions import BILLING_SPECIALIST, FOLLOW_UP, TRIAGE
from support_desk.knowledge import KNOWLEDGE_BASES, KnowledgeBase
from support_desk.tickets import Ticket

TRANSFER = "TRANSFER:"

# CrewAI 1.15 warns at every call that it estimates tokens where the server is not OpenAI's own.
logging.getLogger("crewai.llms.base_llm").setLevel(logging.ERROR)


def search_tool(base: KnowledgeBase) -> BaseTool:
    def search(query: str) -> str:
        hits = base.search(query)
        # CrewAI's own knowledge needs embeddings: what a plain tool reads, it says itself.
        found = [counterfoil.Item(h.article.article_id, h.score) for h in hits]
        counterfoil.access(base.name, query=query, items=found)
        return "\n\n".join(f"[{h.article.article_id}] {h.article.title}: {h.article.text}" for h in hits)

    search.__doc__ = f"Search the knowledge base on {base.description}."
    return tool(f"search_{base.name}")(search)


def is_transferred(finding: TaskOutput) -> bool:
    return finding.raw.startswith(TRANSFER)


def build_desk(model: LLM, office: BackOffice) -> Crew:
    """Give the desk as a crew whose input is `{"ticket": ticket.text}`."""

    def agent(role: str, goal: str, backstory: str, *tools: BaseTool, **options: object) -> Agent:
        return Agent(
            role=role, goal=goal, backstory=backstory, tools=list(tools), **{"llm": model, **options}
        )

    triage = agent(
        "triage",
        "Every ticket is answered, or with the colleague who can settle it",
        TRIAGE,
        *map(search_tool, KNOWLEDGE_BASES.values()),
        allow_delegation=True,
    )
    specialist = agent(
        "billing_specialist",
        "Every invoice is right, and no customer has paid too much",
        BILLING_SPECIALIST,
        tool("look_up_invoice")(office.look_up_invoice),
        tool("issue_refund")(office.issue_refund),
        tool("reissue_invoice")(office.reissue_invoice),
    )
    followup = agent(
        "followup",
        "The customer knows what was done, and so does the CRM",
        FOLLOW_UP,
        tool("draft_email")(office.draft_email),
        tool("update_crm")(office.update_crm),
        llm=model.model_copy(update={"stream": True}),
    )
    finding = Task(
        name="triage",
        description="{ticket}",
        expected_output=f"The answer to the customer; or, to transfer the ticket, `{TRANSFER}` and the reason.",
        agent=triage,
    )
    letter = ConditionalTask(
        name="follow up",
        description="Tell the customer what was done, and log it.\n\n{ticket}",
        expected_output="One sentence on what you did.",
        agent=followup,
        context=[finding],
        condition=is_transferred,
    )
    return Crew(name="support desk", agents=[triage, specialist, followup], tasks=[finding, letter])


def work(ticket: Ticket, office: BackOffice, model: str, **address: str) -> tuple[str, str]:
    """Let the desk work on one ticket; give who had the last word, and that word."""
    done = build_desk(LLM(model=f"openai/{model}", **address), office).kickoff({"ticket": ticket.text})
    last = [output for output in done.tasks_output if output.raw][-1]
    return last.agent, last.raw
