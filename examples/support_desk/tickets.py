"""The tickets on the desk of Harbour Coffee, which sells one machine and beans by subscription."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ticket:
    number: int
    customer: str
    name: str
    email: str
    tier: str
    subject: str
    body: str

    @property
    def text(self) -> str:
        """The ticket as the agents read it."""
        return (
            f"Ticket {self.number} from {self.name} <{self.email}>, customer {self.customer}, {self.tier}\n"
            f"Subject: {self.subject}\n\n{self.body}"
        )


TICKETS = {
    ticket.number: ticket
    for ticket in (
        Ticket(
            number=1,
            customer="C-204",
            name="Ada Njoroge",
            email="ada@example.com",
            tier="gold",
            subject="Charged twice in March",
            body="You took 38.00 EUR for my beans twice, on 3 and 4 March. The invoice is INV-2041. "
            "I would like one of them back.",
        ),
        Ticket(
            number=2,
            customer="C-311",
            name="Bruno Keller",
            email="bruno@example.com",
            tier="standard",
            subject="Orange light after three months",
            body="My Harbour One shows a steady orange light and the coffee comes slowly. Is it broken?",
        ),
        Ticket(
            number=3,
            customer="C-118",
            name="Chiara Bianchi",
            email="chiara@example.com",
            tier="business",
            subject="Invoice with our VAT number",
            body="Our accountant needs invoice INV-2O77 with our VAT number IT00743110157 on it.",
        ),
        Ticket(
            number=4,
            customer="C-087",
            name="Dmitri Aho",
            email="dmitri@example.com",
            tier="standard",
            subject="Parcel has not moved for nine days",
            body="Parcel HB-55120 with my beans has been in Rotterdam since the 2nd. Will it still come?",
        ),
    )
}
