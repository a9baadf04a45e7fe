"""A report that comes in as a message, by whichever way, as it is stored (STANDARDS F8)."""

from jlgc_mailer.feedback.store import Inbound
from jlgc_mailer.mail.reports.envelope import envelope_recipient
from jlgc_mailer.states import ReportForm

LIMIT = 10 * 1024 * 1024  # octets of a message that are kept: a report says what it has to say long before


def inbound(source: str, body: bytes, bounce_domain: str, envelope_to: str = "", envelope_from: str = "") -> Inbound:
    """What is stored of `body`; where it is too long, `source` tells that it was cut.

    Without an envelope, its recipient is read from the header.
    """
    return Inbound(
        source=f"{source}, cut" if len(body) > LIMIT else source,
        form=ReportForm.MESSAGE,
        body=body[:LIMIT],
        envelope_from=_plain(envelope_from),
        envelope_to=_plain(envelope_to) or envelope_recipient(body, bounce_domain),
    )


def _plain(text: str) -> str:
    """Without what a database does not take: octets that were no UTF-8, and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")
