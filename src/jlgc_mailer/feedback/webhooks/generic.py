"""The signed webhook for whatever else knows of bounces: docs/webhooks.md says what to post."""

from collections.abc import Iterator

from jlgc_mailer.feedback.webhooks import documents
from jlgc_mailer.feedback.webhooks.documents import listed, text
from jlgc_mailer.mail.reports.rules import Rules
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.states import FeedbackClass

_CLASSES = {each.value: each for each in FeedbackClass}


def read(document: object, _rules: Rules) -> Iterator[Signal]:
    """One signal for each member of the list, or for the one object; a class that is not known is unknown."""
    for each in listed({"signals": document}, "signals"):
        diagnosis, sender = text(each, "diagnosis"), text(each, "envelope_sender", limit=320)
        yield Signal(
            _CLASSES.get(text(each, "class").lower(), FeedbackClass.UNKNOWN),
            documents.address(each, "recipient"),
            documents.status_in(text(each, "status"), diagnosis),
            text(each, "remote_mta", limit=255) or None,
            diagnosis,
            "generic",
            senders=documents.senders_in(sender) or ((sender,) if sender else ()),
            message_ids=documents.message_ids_in(text(each, "message_id")),
            event_id=text(each, "event_id") or None,
        )
