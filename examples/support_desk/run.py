"""Answer a customer's ticket with three agents, in each of four frameworks, and keep a record of what they did.

python examples/support_desk/run.py                      offline: a scripted model behind a real endpoint
python examples/support_desk/run.py --framework crewai   in one: langgraph, crewai, llama_index or autogen
python examples/support_desk/run.py --ticket 3           another ticket, 1 to 4, or `all`
python examples/support_desk/run.py --live               OPENAI_API_KEY, and OPENAI_BASE_URL if it is not OpenAI
"""

import argparse
import os
import sys
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where `support_desk` is found

from support_desk.back_office import BackOffice
from support_desk.endpoint import Endpoint
from support_desk.script import answer
from support_desk.tickets import TICKETS, Ticket

MODEL = "gpt-4.1-mini"
ADAPTERS = {
    "langgraph": "counterfoil_langchain",
    "crewai": "counterfoil_crewai",
    "llama_index": "counterfoil_llama_index",
    "autogen": "counterfoil_autogen",
}
PACKAGES = {
    "langgraph": "langchain langchain-openai",
    "crewai": "crewai",
    "llama_index": "llama-index-core llama-index-llms-openai",
    "autogen": '"autogen-agentchat>=0.7.2" "autogen-ext[openai]>=0.7.2"',
}
OURS = '-e ".[all]"'


def desk_in(framework: str) -> ModuleType | str:
    """Give the desk, or a sentence on what to install for it."""
    try:
        return import_module(f"support_desk.{framework}_desk")
    except ModuleNotFoundError as missing:
        package, _, _ = missing.name.partition(".")
        install = OURS if package == "counterfoil" else PACKAGES[framework]
        return f"The desk in {framework} needs {package}: pip install {install}"


def desks_in(framework: str) -> dict[str, ModuleType]:
    """Give the desk in a framework; or, for `all`, those that are installed, and say which are left out."""
    found = {name: desk_in(name) for name in (ADAPTERS if framework == "all" else [framework])}
    desks = {name: desk for name, desk in found.items() if isinstance(desk, ModuleType)}
    missing = [sentence for sentence in found.values() if isinstance(sentence, str)]
    if not desks:
        sys.exit("\n".join(missing))
    for sentence in missing:
        print(f"Left out. {sentence}")
    return desks


def record(framework: str, db: str | None) -> None:
    try:
        adapter = import_module(ADAPTERS[framework])
    except ModuleNotFoundError:
        sys.exit(f"A record needs counterfoil: pip install {OURS}, or say --no-record.")
    adapter.install(db, quiet=True)  # the one line


def work_recorded(framework: str, desk: ModuleType, ticket: Ticket, db: str | None, **given: object):
    """Let the desk work on one ticket, under a name for the conversation.

    LangGraph has a thread for that, and a crew nothing; LlamaIndex and AutoGen have no name either, so their adapters
    are told one.
    """
    adapter, session = import_module(ADAPTERS[framework]), f"ticket-{ticket.number}"
    if framework == "llama_index":
        with adapter.record(db, session=session, labels={"customer": ticket.customer, "tier": ticket.tier}):
            return desk.work(ticket, **given)
    if framework == "autogen":
        return desk.work(ticket, recorded=partial(adapter.record, db=db, session=session), **given)
    return desk.work(ticket, **given)


def outcome(office: BackOffice, agent: str, said: str) -> str:
    """Give what comes of a ticket, as it is printed."""
    lines = []
    for email in office.outbox:
        lines += [
            f"e-mail to {email.to}: {email.subject}",
            *(f"  {line}" for line in email.body.splitlines()),
        ]
    lines += [f"CRM {customer}: {note}" for customer, note in office.crm]
    return "\n".join(f"  {line}" for line in (*lines, f"{agent}: {said}"))


def answer_tickets(desks: dict[str, ModuleType], given: argparse.Namespace, address: dict[str, str]) -> None:
    """Let every desk work on the tickets asked for, and print what comes of each; what is the same, once."""
    from openai import OpenAIError  # noqa: PLC0415 -- it comes with each of the four

    for number in TICKETS if given.ticket == "all" else [int(given.ticket)]:
        ticket, outcomes = TICKETS[number], {}
        for framework, desk in desks.items():
            work = desk.work if given.no_record else partial(work_recorded, framework, desk, db=given.db)
            office = BackOffice()
            try:
                agent, said = work(ticket, office=office, model=given.model, **address)
            except (OpenAIError, ConnectionError) as error:  # some make a ConnectionError of OpenAI's
                sys.exit(f"The model endpoint did not answer: {error}")
            except ValueError as error:  # so say LlamaIndex and AutoGen where a model is not OpenAI's
                if given.model == MODEL:
                    raise
                sys.exit(f"The desk in {framework} has no use for {given.model}: {str(error).split('. ')[0]}")
            outcomes.setdefault(outcome(office, agent, said), []).append(framework)
        for came, frameworks in outcomes.items():
            print(f"\nTicket {number}, {ticket.name}: {ticket.subject} [{', '.join(frameworks)}]\n{came}")


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--framework", default="all", choices=[*ADAPTERS, "all"])
    options.add_argument("--ticket", default="1", choices=[*map(str, TICKETS), "all"])
    options.add_argument("--live", action="store_true", help="ask a real model")
    options.add_argument("--model", default=MODEL)
    options.add_argument("--db", help="the file to record to (else $COUNTERFOIL_DB, else counterfoil.db)")
    options.add_argument("--no-record", action="store_true")
    given = options.parse_args()
    if given.live and not os.environ.get("OPENAI_API_KEY"):
        sys.exit("--live needs OPENAI_API_KEY in the environment.")

    desks = desks_in(given.framework)
    if not given.no_record:
        for framework in desks:
            record(framework, given.db)
    with nullcontext() if given.live else Endpoint(answer, strict=True) as endpoint:
        answer_tickets(desks, given, {"base_url": endpoint.url, "api_key": "offline"} if endpoint else {})
    if not given.no_record:
        print(f"\nRecorded. Now: counterfoil runs{f' --db {given.db}' if given.db else ''}")


if __name__ == "__main__":
    main()
