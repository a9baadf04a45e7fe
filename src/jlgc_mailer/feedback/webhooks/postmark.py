"""Postmark: bounces, spam complaints and changes of subscription (STANDARDS F10)."""

from collections.abc import Iterator

from jlgc_mailer.feedback.webhooks import documents
from jlgc_mailer.feedback.webhooks.documents import inside, text
from jlgc_mailer.feedback.webhooks.weighing import Heard, weigh
from jlgc_mailer.mail.reports.rules import Rules
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.states import FeedbackClass

# The bounce types of Postmark's Bounce API; types that are not named here are unknown.
_TYPES = {
    "HardBounce": FeedbackClass.HARD,
    "BadEmailAddress": FeedbackClass.HARD,
    "Transient": FeedbackClass.SOFT,
    "DnsError": FeedbackClass.SOFT,
    "SoftBounce": FeedbackClass.SOFT,
    "Unsubscribe": FeedbackClass.UNSUBSCRIBE,
    "AutoResponder": FeedbackClass.AUTO_REPLY,
    "AddressChange": FeedbackClass.AUTO_REPLY,
    "OpenRelayTest": FeedbackClass.AUTO_REPLY,
    "ChallengeVerification": FeedbackClass.CHALLENGE,
    "SpamNotification": FeedbackClass.BLOCK,
    "VirusNotification": FeedbackClass.BLOCK,
    "Blocked": FeedbackClass.BLOCK,
    "DMARCPolicy": FeedbackClass.BLOCK,
    "SMTPApiError": FeedbackClass.BLOCK,
    "ManuallyDeactivated": FeedbackClass.BLOCK,
    "Unconfirmed": FeedbackClass.BLOCK,
    "SpamComplaint": FeedbackClass.COMPLAINT,
}
_CONTENT = 64 * 1024  # of the bounce itself, if Postmark adds it: enough for the headers that name the delivery


def read(document: object, rules: Rules) -> Iterator[Signal]:
    """The signal of one post; deliveries, opens and clicks give none."""
    record, kind = text(document, "RecordType"), text(document, "Type", limit=40)
    if record in {"Bounce", "SpamComplaint"}:
        yield _bounce(document, kind or record, rules)
    elif record == "SubscriptionChange" and _is_by_the_reader(document):
        yield Signal(
            FeedbackClass.UNSUBSCRIBE,
            documents.address(document, "Recipient"),
            diagnosis="Unsubscribed at Postmark",
            rule="postmark.SubscriptionChange",
            event_id=":".join(text(document, key) for key in ("RecordType", "MessageID", "Recipient", "ChangedAt")),
        )


def _is_by_the_reader(document: object) -> bool:
    """Bounces and complaints change subscriptions too, and have posts of their own."""
    asked = text(document, "SuppressionReason") == "ManualSuppression" and text(document, "Origin") == "Recipient"
    return asked and inside(document, "SuppressSending") is True


def _bounce(document: object, kind: str, rules: Rules) -> Signal:
    diagnosis = text(document, "Details") or text(document, "Description")
    status = documents.status_in(diagnosis)
    stated = Heard(_TYPES.get(kind, FeedbackClass.UNKNOWN), f"postmark.{kind}")
    found = weigh(stated, status, diagnosis, rules) if stated.feedback_class is FeedbackClass.HARD else stated
    content = inside(document, "Content")
    lines = [line[:1000] for line in content[:_CONTENT].splitlines()] if isinstance(content, str) else []
    return Signal(
        found.feedback_class,
        documents.address(document, "Email"),
        status,
        diagnosis=diagnosis,
        rule=found.rule,
        senders=documents.senders_in(*lines),
        message_ids=documents.message_ids_in(*(line for line in lines if line.lower().startswith("message-id:"))),
        event_id=f"{text(document, 'RecordType')}:{text(document, 'ID')}" if text(document, "ID") else None,
    )
