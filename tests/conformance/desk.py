"""The support desk as a scenario: all four tickets, as the examples answer them in each framework."""

from __future__ import annotations

from importlib import import_module

from conformance.scenario import Scenario, Variance
from support_desk.back_office import BackOffice
from support_desk.endpoint import Endpoint
from support_desk.tickets import TICKETS

__all__ = ["SUPPORT_DESK", "answer_tickets"]


def answer_tickets(framework: str, endpoint: Endpoint) -> None:
    """Let the desk that is built on this framework answer every ticket."""
    desk = import_module(f"support_desk.{framework}_desk")
    for ticket in TICKETS.values():
        desk.work(ticket, BackOffice(), "gpt-4.1-mini", base_url=endpoint.url, api_key="offline")


SUPPORT_DESK = Scenario(
    "support desk",
    {},
    """\
task ok
  agent triage
    llm
    tool search_billing {"query": "charge appears twice for one invoice"} = [BILL-1] A charge that appears twice: Banks sometimes show a ... (467 characters, 06ba23b4)
      retrieval
    tool search_policy {"query": "refund to card, arrives when"} = [POL-1] Refunds: A refund goes to the card or account that p ... (145 characters, b51617fb)
      retrieval
    tool search_product_manual {"query": "subscription beans"} = [MAN-3] Which beans: Medium roasts give the best result. Oily dark roasts clog the grinder.
      retrieval
    tool search_shipping {"query": "when beans leave the roastery"} = [SHIP-1] How long a parcel takes: Beans leave the roastery o ... (248 characters, 9acf3f1e)
      retrieval
    llm
    tool that asks billing_specialist
      agent billing_specialist
        llm
        tool look_up_invoice {"number": "INV-2041"} = INV-2041: customer C-204, 38.00 EUR, paid on 3 March and on 4 March
        llm
        tool issue_refund {"amount_eur": 38.0, "invoice_number": "INV-2041"} = refunded 38.00 EUR of INV-2041
        llm
    llm
    tool that passes to followup
  agent followup
    llm, streamed
    tool draft_email {"body": "Dear Ada,\\nwe charged invoice INV-2041 twice, whic ... (237 characters, 65d4a7d3) = draft 1 to ada@example.com is in the outbox
    llm, streamed
    tool update_crm {"customer": "C-204", "note": "Ticket 1: INV-2041 charged twice; 38.00 EUR refunded."} = logged for C-204
    llm, streamed
triage -> billing_specialist escalation returned: Ticket 1: customer C-204 was charged 38.00 EUR twice for inv ... (129 characters, 893239fb)
triage -> followup transfer accepted: INV-2041 was paid twice and 38.00 EUR are refunded; the customer must be told.
triage read of charge appears twice for one invoice
triage read of refund to card, arrives when
triage read of subscription beans
triage read of when beans leave the roastery
task ok
  agent triage
    llm
    tool search_policy {"query": "warranty limescale"} = [POL-2] Warranty: The machine has a warranty of three years. Limescale is not covered.
      retrieval
    tool search_product_manual {"query": "steady orange light, coffee slow, descale"} = [MAN-1] The lights: A steady white light: ready. A blinking  ... (444 characters, f686d916)
      retrieval
    llm
triage read of steady orange light, coffee slow, descale
triage read of warranty limescale
task ok
  agent triage
    llm
    tool search_billing {"query": "VAT number on invoice of business customer"} = [BILL-2] VAT number on an invoice: Business customers can ha ... (299 characters, a775e094)
      retrieval
    tool search_policy {"query": "how to write e-mails"} = [POL-4] How we write: We write short e-mails, say what happe ... (141 characters, 26089b2e)
      retrieval
    llm
    tool that asks billing_specialist
      agent billing_specialist
        llm
        tool look_up_invoice {"number": "INV-2O77"} error
        llm
        tool look_up_invoice {"number": "INV-2077"} = INV-2077: customer C-118, 412.00 EUR, paid on 11 March
        llm
        tool reissue_invoice {"invoice_number": "INV-2077", "vat_number": "IT00743110157"} = INV-2077 issued again with VAT number IT00743110157
        llm
    llm
    tool that passes to followup
  agent followup
    llm, streamed
    tool draft_email {"body": "Dear Chiara,\\ninvoice INV-2077 now carries VAT num ... (232 characters, 1fa74287) = draft 1 to chiara@example.com is in the outbox
    llm, streamed
    tool update_crm {"customer": "C-118", "note": "Ticket 3: INV-2077 issued again with VAT number."} = logged for C-118
    llm, streamed
triage -> billing_specialist escalation returned: Ticket 3: business customer C-118 needs invoice INV-2O77 with VAT number IT00743110157. Please issue it again.
triage -> followup transfer accepted: INV-2077 was issued again with the VAT number; the customer wants to have it.
triage read of VAT number on invoice of business customer
triage read of how to write e-mails
task ok
  agent triage
    llm
    tool search_policy {"query": "replacement of a lost parcel"} = [POL-3] Replacement of lost parcels: A lost parcel is replac ... (134 characters, 7c65ce50)
      retrieval
    tool search_shipping {"query": "parcel tracking has not moved for days"} = [SHIP-2] A parcel that does not move: A parcel whose trackin ... (324 characters, acdfc4f8)
      retrieval
    llm
    tool that passes to followup
  agent followup
    llm, streamed
    tool draft_email {"body": "Dear Dmitri,\\nyour parcel HB-55120 counts as lost. ... (260 characters, 03267ad4) = draft 1 to dmitri@example.com is in the outbox
    llm, streamed
    tool update_crm {"customer": "C-087", "note": "Ticket 4: HB-55120 lost; replacement promised."} = logged for C-087
    llm, streamed
triage -> followup transfer accepted: HB-55120 counts as lost; by POL-3 a new parcel is sent without questions.
triage read of parcel tracking has not moved for days
triage read of replacement of a lost parcel""",
    permitted=(
        Variance(
            ("crewai", "autogen"),
            "a knowledge base is a plain tool, which says itself what it reads",
            {"      retrieval": None},
        ),
        Variance(
            ("crewai",),
            "a knowledge base is a plain tool, which says itself what it reads; a ticket goes on to the next task's agent",
            {
                "    tool that passes to followup": None,
                "triage -> followup transfer accepted: INV-2041 was paid twice and 38.00 EUR are refunded; the customer must be told.": "triage -> followup route accepted: Tell the customer what was done, and log it. ... (257 characters, 9c952288)",
                "triage -> followup transfer accepted: INV-2077 was issued again with the VAT number; the customer wants to have it.": "triage -> followup route accepted: Tell the customer what was done, and log it. ... (238 characters, a49dce69)",
                "triage -> followup transfer accepted: HB-55120 counts as lost; by POL-3 a new parcel is sent without questions.": "triage -> followup route accepted: Tell the customer what was done, and log it. ... (249 characters, 1a63705f)",
            },
        ),
    ),
)
