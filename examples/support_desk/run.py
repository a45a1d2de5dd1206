"""Answer a customer's ticket with three agents, in LangGraph and in CrewAI, and keep a record of what they did.

python examples/support_desk/run.py                      offline: a scripted model behind a real endpoint
python examples/support_desk/run.py --framework crewai   in one framework: langgraph or crewai
python examples/support_desk/run.py --ticket 3           another ticket, 1 to 4, or `all`
python examples/support_desk/run.py --live               OPENAI_API_KEY, and OPENAI_BASE_URL if it is not OpenAI
"""

import argparse
import os
import sys
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where `support_desk` is found

from support_desk.back_office import BackOffice
from support_desk.endpoint import Endpoint
from support_desk.script import answer
from support_desk.tickets import TICKETS, Ticket

ADAPTERS = {"langgraph": "counterfoil_langchain", "crewai": "counterfoil_crewai"}
PACKAGES = {"langgraph": "langchain langchain-openai", "crewai": "crewai"}


def desk_in(framework: str) -> ModuleType:
    try:
        return import_module(f"support_desk.{framework}_desk")
    except ModuleNotFoundError as missing:
        package, _, _ = missing.name.partition(".")
        sys.exit(f"The desk in {framework} needs {package}: pip install {PACKAGES[framework]}")


def record(framework: str, db: str | None) -> None:
    try:
        adapter = import_module(ADAPTERS[framework])
    except ModuleNotFoundError:
        sys.exit('A record needs counterfoil: pip install -e ".[langchain,crewai]", or say --no-record.')
    adapter.install(db, quiet=True)  # the one line


def work(ticket: Ticket, framework: str, desk: ModuleType, model: str, address: dict[str, str]) -> None:
    """Let the desk work on one ticket, and print what comes of it."""
    office = BackOffice()
    agent, said = desk.work(ticket, office, model, **address)
    print(f"\nTicket {ticket.number}, {ticket.name}: {ticket.subject} [{framework}]")
    for email in office.outbox:
        print(f"  e-mail to {email.to}: {email.subject}")
        print("    " + email.body.replace("\n", "\n    "))
    for customer, note in office.crm:
        print(f"  CRM {customer}: {note}")
    print(f"  {agent}: {said}")


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--framework", default="both", choices=[*ADAPTERS, "both"])
    options.add_argument("--ticket", default="1", choices=[*map(str, TICKETS), "all"])
    options.add_argument("--live", action="store_true", help="ask a real model")
    options.add_argument("--model", default="gpt-4.1-mini")
    options.add_argument("--db", help="the file to record to (else $COUNTERFOIL_DB, else counterfoil.db)")
    options.add_argument("--no-record", action="store_true")
    given = options.parse_args()
    if given.live and not os.environ.get("OPENAI_API_KEY"):
        sys.exit("--live needs OPENAI_API_KEY in the environment.")

    frameworks = list(ADAPTERS) if given.framework == "both" else [given.framework]
    desks = {framework: desk_in(framework) for framework in frameworks}
    if not given.no_record:
        for framework in frameworks:
            record(framework, given.db)

    from openai import OpenAIError  # noqa: PLC0415 -- it comes with either framework

    with nullcontext() if given.live else Endpoint(answer, strict=True) as endpoint:
        address = {"base_url": endpoint.url, "api_key": "offline"} if endpoint else {}
        try:
            for number in TICKETS if given.ticket == "all" else [int(given.ticket)]:
                for framework, desk in desks.items():
                    work(TICKETS[number], framework, desk, given.model, address)
        except (OpenAIError, ConnectionError) as error:  # CrewAI makes a ConnectionError of OpenAI's
            sys.exit(f"The model endpoint did not answer: {error}")
    if not given.no_record:
        print(f"\nRecorded. Now: counterfoil runs{f' --db {given.db}' if given.db else ''}")


if __name__ == "__main__":
    main()
