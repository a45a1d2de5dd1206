"""Answer a customer's ticket with three agents, and keep a record of what they did.

python examples/support_desk/run.py                 offline: a scripted model behind a real endpoint
python examples/support_desk/run.py --ticket 3      another ticket, 1 to 4, or `all`
python examples/support_desk/run.py --live          OPENAI_API_KEY, and OPENAI_BASE_URL if it is not OpenAI
"""

import argparse
import os
import sys
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where `support_desk` is found

from langchain_openai import ChatOpenAI
from openai import OpenAIError

from support_desk.back_office import BackOffice
from support_desk.endpoint import Endpoint
from support_desk.langgraph_desk import build_desk
from support_desk.script import answer
from support_desk.tickets import TICKETS, Ticket


def work(ticket: Ticket, model: ChatOpenAI, callbacks: list) -> None:
    """Let the desk work on one ticket, and print what comes of it."""
    office = BackOffice()
    state = build_desk(model, office).invoke(
        {"messages": [("user", ticket.text)]},
        {
            "callbacks": callbacks,
            "configurable": {"thread_id": f"ticket-{ticket.number}"},
            "tags": ["support"],
            "metadata": {"ticket": str(ticket.number), "customer": ticket.customer, "tier": ticket.tier},
        },
    )
    print(f"\nTicket {ticket.number}, {ticket.name}: {ticket.subject}")
    for email in office.outbox:
        print(f"  e-mail to {email.to}: {email.subject}")
        print("    " + email.body.replace("\n", "\n    "))
    for customer, note in office.crm:
        print(f"  CRM {customer}: {note}")
    print(f"  {state['messages'][-1].name}: {state['messages'][-1].text}")


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--ticket", default="1", choices=[*map(str, TICKETS), "all"])
    options.add_argument("--live", action="store_true", help="ask a real model")
    options.add_argument("--model", default="gpt-4.1-mini")
    options.add_argument("--db", help="the file to record to (else $COUNTERFOIL_DB, else counterfoil.db)")
    options.add_argument("--no-record", action="store_true")
    given = options.parse_args()
    if given.live and not os.environ.get("OPENAI_API_KEY"):
        sys.exit("--live needs OPENAI_API_KEY in the environment.")

    callbacks = []
    if not given.no_record:
        from counterfoil_langchain import CounterfoilHandler  # noqa: PLC0415 -- the desk runs without it

        callbacks = [CounterfoilHandler(given.db)]  # the one line

    with nullcontext() if given.live else Endpoint(answer, strict=True) as endpoint:
        address = {"base_url": endpoint.url, "api_key": "offline"} if endpoint else {}
        model = ChatOpenAI(model=given.model, stream_usage=True, **address)
        try:
            for number in TICKETS if given.ticket == "all" else [int(given.ticket)]:
                work(TICKETS[number], model, callbacks)
        except OpenAIError as error:
            sys.exit(f"The model endpoint did not answer: {error}")
    if callbacks:
        print(f"\nRecorded. Now: counterfoil show last{f' --db {given.db}' if given.db else ''}")


if __name__ == "__main__":
    main()
