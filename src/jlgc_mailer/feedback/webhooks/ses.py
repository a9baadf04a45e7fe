"""Amazon SES: notifications and published events, in the envelope of Amazon SNS or bare (STANDARDS F10)."""

from collections.abc import Iterator, Mapping

from jlgc_mailer.feedback.webhooks import documents
from jlgc_mailer.feedback.webhooks.documents import inside, listed, text
from jlgc_mailer.feedback.webhooks.weighing import Heard, weigh
from jlgc_mailer.mail.reports.rules import Rules
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.states import FeedbackClass

# What Amazon's documentation of notification contents says of each bounceType and bounceSubType.
_BOUNCES: Mapping[tuple[str, str], FeedbackClass] = {
    ("Permanent", "General"): FeedbackClass.HARD,
    ("Permanent", "NoEmail"): FeedbackClass.HARD,
    ("Permanent", "Suppressed"): FeedbackClass.HARD,
    ("Permanent", "OnAccountSuppressionList"): FeedbackClass.BLOCK,
    ("Permanent", "UnsubscribedRecipient"): FeedbackClass.UNSUBSCRIBE,
    ("Transient", "General"): FeedbackClass.SOFT,
    ("Transient", "MailboxFull"): FeedbackClass.SOFT,
    ("Transient", "MessageTooLarge"): FeedbackClass.BLOCK,
    ("Transient", "ContentRejected"): FeedbackClass.BLOCK,
    ("Transient", "AttachmentRejected"): FeedbackClass.BLOCK,
}
_DELAYED = "ses.delayed"
# NoEmail is Amazon's reading of a reply, which may speak of something else; the other subtypes are no such reading.
_WORDED = {"General", "Undetermined", "NoEmail"}
_EXPLAINED = {
    "Suppressed": "Amazon does not send to this address: it bounced hard for others lately",
    "OnAccountSuppressionList": "On the suppression list of the Amazon account: nothing was sent, this is nothing new",
}
# Types of RFC 5965 that are no wish to be left alone (F7).
_NO_COMPLAINT = {
    "not-spam": FeedbackClass.UNKNOWN,
    "auth-failure": FeedbackClass.BLOCK,
    "virus": FeedbackClass.BLOCK,
}


def read(document: object, rules: Rules) -> Iterator[Signal]:
    """The signals of one post; deliveries, opens, clicks and the handshake of SNS give none."""
    if text(document, "Type") and inside(document, "Message") is not None:
        message = inside(document, "Message")
        document = documents.parse(message.encode("utf-8", "replace")) if isinstance(message, str) else None
    kind = text(document, "notificationType") or text(document, "eventType")
    readers = {"Bounce": _bounces, "Complaint": _complaints, "DeliveryDelay": _delays, "Reject": _rejected}
    if kind in readers:
        yield from readers[kind](document, rules)


def _bounces(document: object, rules: Rules) -> Iterator[Signal]:
    kind, subtype = (text(document, "bounce", key, limit=40) for key in ("bounceType", "bounceSubType"))
    stated = Heard(_BOUNCES.get((kind, subtype), FeedbackClass.UNKNOWN), f"ses.{kind}.{subtype}"[:80])
    for each in listed(document, "bounce", "bouncedRecipients"):
        diagnosis = text(each, "diagnosticCode")
        status = documents.status_in(text(each, "status"), diagnosis)
        found = weigh(stated, status, diagnosis, rules) if subtype in _WORDED else stated
        if stated.feedback_class is FeedbackClass.HARD and text(each, "action").lower() == "delayed":
            found = Heard(FeedbackClass.SOFT, _DELAYED)
        yield _signal(
            document,
            "bounce",
            each,
            found.feedback_class,
            status=status,
            diagnosis=". ".join(filter(None, (_EXPLAINED.get(subtype), diagnosis))),
            rule=found.rule,
        )


def _complaints(document: object, _rules: Rules) -> Iterator[Signal]:
    kind = text(document, "complaint", "complaintFeedbackType", limit=40).lower()
    found, subtype = _NO_COMPLAINT.get(kind, FeedbackClass.COMPLAINT), text(document, "complaint", "complaintSubType")
    diagnosis = f"Complaint of type {kind}" if kind else "Complaint"
    if subtype == "OnAccountSuppressionList":
        found, diagnosis, kind = FeedbackClass.BLOCK, _EXPLAINED[subtype], subtype
    for each in listed(document, "complaint", "complainedRecipients"):
        yield _signal(document, "complaint", each, found, diagnosis=diagnosis, rule=f"ses.complaint.{kind or 'abuse'}")


def _delays(document: object, _rules: Rules) -> Iterator[Signal]:
    for each in listed(document, "deliveryDelay", "delayedRecipients"):
        diagnosis = text(each, "diagnosticCode") or text(document, "deliveryDelay", "delayType")
        status = documents.status_in(text(each, "status"), diagnosis)
        yield _signal(
            document, "deliveryDelay", each, FeedbackClass.SOFT, status=status, diagnosis=diagnosis, rule=_DELAYED
        )


def _rejected(document: object, _rules: Rules) -> Iterator[Signal]:
    diagnosis = text(document, "reject", "reason") or "Amazon refused the message"
    yield _signal(document, "reject", None, FeedbackClass.BLOCK, diagnosis=diagnosis, rule="ses.rejected")


def _signal(
    document: object,
    part: str,
    recipient: object,
    found: FeedbackClass,
    *,
    diagnosis: str,
    rule: str,
    status: str | None = None,
) -> Signal:
    who = documents.address(recipient, "emailAddress")
    feedback_id = text(document, part, "feedbackId") or text(document, "mail", "messageId")
    reporter = text(document, part, "reportingMTA", limit=255).rpartition(";")[2].strip()
    headers = [
        (text(each, "name").lower(), text(each, "value", limit=2000)) for each in listed(document, "mail", "headers")
    ]
    return Signal(
        found,
        who,
        status,
        reporter or None,
        diagnosis,
        rule,
        senders=documents.senders_in(text(document, "mail", "source"), *(value for _, value in headers)),
        message_ids=documents.message_ids_in(
            *(value for name, value in headers if name == "message-id"),
            text(document, "mail", "commonHeaders", "messageId"),
        ),
        event_id=":".join((part, feedback_id, text(document, part, "timestamp"), who or "")) if feedback_id else None,
    )
