"""Webhooks: what providers of mail post to us, read into signals (STANDARDS F10).

Whether a post is genuine is asked before it is stored (`guards`, `sns`); what it says, when it is read. Of a post that
is none of a provider's we know nothing but that a person has to look at it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from jlgc_mailer.feedback.webhooks import brevo, documents, generic, mailgun, postmark, sendgrid, ses
from jlgc_mailer.mail.reports.rules import Rules
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.states import FeedbackClass, ReportForm

_READERS: Mapping[ReportForm, Callable[[object, Rules], Iterator[Signal]]] = {
    ReportForm.SES: ses.read,
    ReportForm.SENDGRID: sendgrid.read,
    ReportForm.MAILGUN: mailgun.read,
    ReportForm.POSTMARK: postmark.read,
    ReportForm.BREVO: brevo.read,
    ReportForm.GENERIC: generic.read,
}
_ID_LENGTH = 255


def read_webhook(form: ReportForm, body: bytes, rules: Rules) -> Iterator[Signal]:
    """What a post says, a signal for each recipient, one after the other; any octets give an answer.

    Events that say nothing of a failure or a wish, such as deliveries and opens, give no signal.
    """
    document = documents.parse(body)
    if not isinstance(document, dict | list):
        yield Signal(FeedbackClass.UNKNOWN, diagnosis="It is no JSON object or list", rule=f"{form}.unreadable")
        return
    for signal in _READERS[form](document, rules):
        yield _named(form, signal)


def _named(form: ReportForm, signal: Signal) -> Signal:
    """The same event has the same id whenever it comes, and no event of another provider has it."""
    if signal.event_id is None:
        return signal
    event_id = f"{form}:{signal.event_id}"
    if len(event_id) > _ID_LENGTH:
        event_id = f"{form}:{hashlib.sha256(event_id.encode()).hexdigest()}"
    return replace(signal, event_id=event_id)
