"""What the desk works with: invoices and refunds, the outbox, the CRM. Each public method is one tool."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Invoice:
    number: str
    customer: str
    amount_eur: float
    payments: tuple[str, ...]  # the day of each


@dataclass(frozen=True)
class Email:
    to: str
    subject: str
    body: str


INVOICES = (
    Invoice("INV-2041", "C-204", 38.00, ("3 March", "4 March")),
    Invoice("INV-2077", "C-118", 412.00, ("11 March",)),
)


class BackOfficeError(Exception):
    """Something that cannot be done, in words that an agent can act on."""


@dataclass
class BackOffice:
    invoices: dict[str, Invoice] = field(default_factory=lambda: {i.number: i for i in INVOICES})
    refunds: list[tuple[str, float]] = field(default_factory=list)
    reissued: list[tuple[str, str]] = field(default_factory=list)
    outbox: list[Email] = field(default_factory=list)
    crm: list[tuple[str, str]] = field(default_factory=list)

    def look_up_invoice(self, number: str) -> str:
        """Look up an invoice by its number, for example INV-1234: whose it is, its amount, its payments."""
        invoice = self._invoice(number)
        return (
            f"{invoice.number}: customer {invoice.customer}, {invoice.amount_eur:.2f} EUR, "
            f"paid on {' and on '.join(invoice.payments)}"
        )

    def issue_refund(self, invoice_number: str, amount_eur: float) -> str:
        """Refund an amount of a paid invoice to the card that paid."""
        invoice = self._invoice(invoice_number)
        paid = invoice.amount_eur * len(invoice.payments)
        back = sum(amount for number, amount in self.refunds if number == invoice_number)
        if not 0 < amount_eur <= paid - back:
            raise BackOfficeError(
                f"{paid - back:.2f} EUR of {invoice_number} can be refunded, not {amount_eur:.2f}"
            )
        self.refunds.append((invoice_number, amount_eur))
        return f"refunded {amount_eur:.2f} EUR of {invoice_number}"

    def reissue_invoice(self, invoice_number: str, vat_number: str) -> str:
        """Issue an invoice again under its number, with the customer's VAT number on it."""
        invoice = self._invoice(invoice_number)
        self.reissued.append((invoice.number, vat_number))
        return f"{invoice.number} issued again with VAT number {vat_number}"

    def draft_email(self, to: str, subject: str, body: str) -> str:
        """Put an e-mail to a customer into the outbox, where a person sends it."""
        self.outbox.append(Email(to, subject, body))
        return f"draft {len(self.outbox)} to {to} is in the outbox"

    def update_crm(self, customer: str, note: str) -> str:
        """Log what was done for a customer (for example C-123) in the CRM."""
        self.crm.append((customer, note))
        return f"logged for {customer}"

    def _invoice(self, number: str) -> Invoice:
        if number not in self.invoices:
            raise BackOfficeError(f"there is no invoice {number}; numbers are INV- and four digits")
        return self.invoices[number]
