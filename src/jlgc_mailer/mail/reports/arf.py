"""Feedback reports (ARF): somebody complained, or a receiver's check failed (RFC 5965, RFC 6591, STANDARDS F7)."""

from dataclasses import dataclass

from jlgc_mailer.mail.reports.addresses import read_address
from jlgc_mailer.mail.reports.headers import Headers, read_fields
from jlgc_mailer.states import FeedbackClass

MEDIA = "message/feedback-report"
_CLASSES = {
    "abuse": FeedbackClass.COMPLAINT,
    "opt-out": FeedbackClass.COMPLAINT,
    "opt-out-list": FeedbackClass.COMPLAINT,
    "fraud": FeedbackClass.COMPLAINT,
    "virus": FeedbackClass.BLOCK,
    "auth-failure": FeedbackClass.BLOCK,  # RFC 6591: about our authentication, for operators
    "dmarc": FeedbackClass.BLOCK,
    "not-spam": FeedbackClass.UNKNOWN,  # the opposite of a complaint; nobody is ever suppressed for it
}


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a feedback report says: its type, its class, and whom it names (most providers hide that)."""

    kind: str
    feedback_class: FeedbackClass
    recipients: tuple[str, ...]
    source: str | None


def read_complaint(text: str) -> Complaint:
    """The fields of a message/feedback-report part. `other` and a missing type are complaints (RFC 5965 7.3)."""
    fields = read_fields(text.lstrip("\n"))
    kind = fields.first("feedback-type").strip().lower() or "abuse"
    named = [*fields.every("original-rcpt-to"), *fields.every("removal-recipient")]
    recipients = tuple(dict.fromkeys(filter(None, map(read_address, named))))
    return Complaint(kind, _CLASSES.get(kind, FeedbackClass.COMPLAINT), recipients, _source(fields))


def _source(fields: Headers) -> str | None:
    reporter = fields.first("reporting-mta").partition(";")[2].strip() or fields.first("user-agent")
    return reporter[:255] or None
