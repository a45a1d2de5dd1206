"""What the offline model says: for each ticket and each agent, its answers in turn.

`Endpoint(answer)` plays it, to the desk in any framework. The tools are real, so what they find, refund, draft and log
is real, too.
"""

import re
from dataclasses import replace

from support_desk.endpoint import Reply, Request, call, in_turn
from support_desk.instructions import BILLING_SPECIALIST, FOLLOW_UP, TRIAGE

# Ticket 1: a specialist is needed, then a letter.
DOUBLE_CHARGE = {
    TRIAGE: (
        Reply(
            calls=[
                call("search_billing", query="charge appears twice for one invoice"),
                call("search_shipping", query="when beans leave the roastery"),
                call("search_product_manual", query="subscription beans"),
                call("search_policy", query="refund to card, arrives when"),
            ]
        ),
        Reply(
            "BILL-1: a second charge for one invoice is our mistake, and only billing sees the payments.",
            calls=[
                call(
                    "ask_billing_specialist",
                    question="Ticket 1: customer C-204 was charged 38.00 EUR twice for invoice INV-2041, "
                    "on 3 and 4 March. Is that so, and can one be refunded?",
                )
            ],
            reasoning="The billing article tells a reservation from a second charge, but I cannot see payments. "
            "38 EUR is below the limit of POL-1, so a specialist can settle it alone.",
        ),
        Reply(
            calls=[
                call(
                    "transfer_to_followup",
                    reason="INV-2041 was paid twice and 38.00 EUR are refunded; the customer must be told.",
                )
            ]
        ),
    ),
    BILLING_SPECIALIST: (
        Reply(calls=[call("look_up_invoice", number="INV-2041")]),
        Reply(
            "Two payments for one invoice: the second is our mistake.",
            calls=[call("issue_refund", invoice_number="INV-2041", amount_eur=38.0)],
            reasoning="The invoice is over 38 EUR and was paid on 3 and on 4 March. The second goes back.",
        ),
        Reply("INV-2041 was paid on 3 and again on 4 March. I refunded the second 38.00 EUR to the card."),
    ),
    FOLLOW_UP: (
        Reply(
            calls=[
                call(
                    "draft_email",
                    to="ada@example.com",
                    subject="Your refund of 38.00 EUR",
                    body="Dear Ada,\nwe charged invoice INV-2041 twice, which was our mistake. 38.00 EUR are "
                    "on their way to your card and arrive within five working days.\nHarbour Coffee",
                )
            ]
        ),
        Reply(
            calls=[
                call(
                    "update_crm",
                    customer="C-204",
                    note="Ticket 1: INV-2041 charged twice; 38.00 EUR refunded.",
                )
            ]
        ),
        Reply("I drafted an e-mail to Ada Njoroge about her refund of 38.00 EUR and logged it in the CRM."),
    ),
}

# Ticket 2: the manual answers it.
ORANGE_LIGHT = {
    TRIAGE: (
        Reply(
            calls=[
                call("search_product_manual", query="steady orange light, coffee slow, descale"),
                call("search_policy", query="warranty limescale"),
            ]
        ),
        Reply(
            "Dear Bruno, your machine is not broken: a steady orange light means that it wants to be descaled. "
            "Pour one sachet of citric acid and 0.8 litres of water into the tank, hold the cup button for five "
            "seconds until the light blinks, and let it run for 20 minutes. Then rinse with one tank of fresh water."
        ),
    ),
}

# Ticket 3: the customer wrote the letter O for a zero, so the specialist's first look fails.
VAT_NUMBER = {
    TRIAGE: (
        Reply(
            calls=[
                call("search_billing", query="VAT number on invoice of business customer"),
                call("search_policy", query="how to write e-mails"),
            ]
        ),
        Reply(
            "BILL-2: a billing specialist issues the invoice again.",
            calls=[
                call(
                    "ask_billing_specialist",
                    question="Ticket 3: business customer C-118 needs invoice INV-2O77 with VAT number "
                    "IT00743110157. Please issue it again.",
                )
            ],
        ),
        Reply(
            calls=[
                call(
                    "transfer_to_followup",
                    reason="INV-2077 was issued again with the VAT number; the customer wants to have it.",
                )
            ]
        ),
    ),
    BILLING_SPECIALIST: (
        Reply(calls=[call("look_up_invoice", number="INV-2O77")]),
        Reply(
            "That number has the letter O in it; I try a zero.",
            calls=[call("look_up_invoice", number="INV-2077")],
            reasoning="INV-2O77 does not exist. Numbers have four digits, so the O must be a zero.",
        ),
        Reply(calls=[call("reissue_invoice", invoice_number="INV-2077", vat_number="IT00743110157")]),
        Reply("The number is INV-2077, with a zero. It is issued again with VAT number IT00743110157."),
    ),
    FOLLOW_UP: (
        Reply(
            calls=[
                call(
                    "draft_email",
                    to="chiara@example.com",
                    subject="Invoice INV-2077 with your VAT number",
                    body="Dear Chiara,\ninvoice INV-2077 now carries VAT number IT00743110157; you "
                    "find it in your account. Its number stays the same.\nHarbour Coffee",
                )
            ]
        ),
        Reply(
            calls=[
                call("update_crm", customer="C-118", note="Ticket 3: INV-2077 issued again with VAT number.")
            ]
        ),
        Reply("I drafted an e-mail to Chiara Bianchi with the new invoice and logged it in the CRM."),
    ),
}

# Ticket 4: policy is clear, so no specialist is asked.
LOST_PARCEL = {
    TRIAGE: (
        Reply(
            calls=[
                call("search_shipping", query="parcel tracking has not moved for days"),
                call("search_policy", query="replacement of a lost parcel"),
            ]
        ),
        Reply(
            "SHIP-2: nine days without a move counts as lost.",
            calls=[
                call(
                    "transfer_to_followup",
                    reason="HB-55120 counts as lost; by POL-3 a new parcel is sent without questions.",
                )
            ],
        ),
    ),
    FOLLOW_UP: (
        Reply(
            calls=[
                call(
                    "draft_email",
                    to="dmitri@example.com",
                    subject="A new parcel is on its way",
                    body="Dear Dmitri,\nyour parcel HB-55120 counts as lost. We send a new one today at our "
                    "cost; it takes two to four working days. If the old one comes after all, keep it.\n"
                    "Harbour Coffee",
                )
            ]
        ),
        Reply(
            calls=[
                call("update_crm", customer="C-087", note="Ticket 4: HB-55120 lost; replacement promised.")
            ]
        ),
        Reply("I drafted an e-mail to Dmitri Aho about his new parcel and logged it in the CRM."),
    ),
}

ANSWERS = {1: DOUBLE_CHARGE, 2: ORANGE_LIGHT, 3: VAT_NUMBER, 4: LOST_PARCEL}


def answer(request: Request) -> Reply | None:
    """Give the next answer of the agent whose instructions these are, on the ticket that the text names."""
    ticket = re.search(r"Ticket (\d+)", request.transcript)
    if ticket is None:
        return None
    for instructions, answers in ANSWERS.get(int(ticket[1]), {}).items():
        if instructions in request.system:
            return in_turn(*(_as_offered(reply, request.offered) for reply in answers))(request)
    return None


def _as_offered(reply: Reply, offered: list[str]) -> Reply:
    """Say the same in the words of the framework, which are the tools that it offers.

    CrewAI has one tool to ask any coworker, and the answer says whether a ticket is transferred. LlamaIndex has one
    tool to hand off to any agent. In AutoGen the specialist is itself the tool, and a transfer says nothing but the
    text beside it.
    """
    match [*reply.calls]:
        case [("ask_billing_specialist", {"question": question})]:
            if "ask_question_to_coworker" in offered:
                wish = question.rpartition(". ")[2]
                asked = {"question": wish, "context": question, "coworker": "billing_specialist"}
                return replace(reply, calls=[call("ask_question_to_coworker", **asked)])
            if "billing_specialist" in offered:
                return replace(reply, calls=[call("billing_specialist", task=question)])
        case [("transfer_to_followup", {"reason": reason})]:
            if "ask_question_to_coworker" in offered:
                return replace(reply, text=f"TRANSFER: {reason}", calls=())
            if "handoff" in offered:
                return replace(reply, calls=[call("handoff", to_agent="followup", reason=reason)])
            if "billing_specialist" in offered:
                return replace(reply, text=reason, calls=[call("transfer_to_followup")])
    return reply
