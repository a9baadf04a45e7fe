"""Mailgun: one event of a webhook (STANDARDS F10)."""

from collections.abc import Iterator

from jlgc_mailer.feedback.webhooks import documents
from jlgc_mailer.feedback.webhooks.documents import inside, text
from jlgc_mailer.feedback.webhooks.weighing import Heard, heard_in
from jlgc_mailer.mail.reports.rules import Rules
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.states import FeedbackClass

_EVENTS = {
    "complained": FeedbackClass.COMPLAINT,
    "unsubscribed": FeedbackClass.UNSUBSCRIBE,
    "rejected": FeedbackClass.BLOCK,
}
# What Mailgun keeps back by its own lists of bounces and complaints is nothing new; an unsubscription may be.
_REASONS = {
    "suppress-bounce": FeedbackClass.BLOCK,
    "suppress-complaint": FeedbackClass.BLOCK,
    "suppress-unsubscribe": FeedbackClass.UNSUBSCRIBE,
    "espblock": FeedbackClass.BLOCK,
    "old": FeedbackClass.SOFT,
}


def read(document: object, rules: Rules) -> Iterator[Signal]:
    """The signal of one post; accepted, delivered, opened and clicked give none."""
    event = inside(document, "event-data")
    kind = text(event, "event").lower()
    if kind == "failed":
        yield _signal(event, _failure(event, rules))
    elif kind in _EVENTS:
        yield _signal(event, Heard(_EVENTS[kind], f"mailgun.{kind}"))


def _failure(event: object, rules: Rules) -> Heard:
    """Mailgun calls permanent whatever was refused with 5xx, so only the reply itself can prove a hard bounce (F5)."""
    reason, severity = text(event, "reason", limit=30).lower(), text(event, "severity", limit=20).lower()
    if reason in _REASONS:
        return Heard(_REASONS[reason], f"mailgun.{reason}")
    if severity != "permanent":
        return Heard(FeedbackClass.SOFT, f"mailgun.failed.{severity}")
    heard = heard_in(_status(event), _diagnosis(event), rules)
    return heard or Heard(FeedbackClass.UNKNOWN, "mailgun.failed.permanent")


def _signal(event: object, found: Heard) -> Signal:
    return Signal(
        found.feedback_class,
        documents.address(event, "recipient"),
        _status(event),
        text(event, "delivery-status", "mx-host", limit=255) or None,
        _diagnosis(event),
        found.rule,
        senders=documents.senders_in(text(event, "envelope", "sender")),
        message_ids=documents.message_ids_in(text(event, "message", "headers", "message-id")),
        event_id=text(event, "id") or None,
    )


def _diagnosis(event: object) -> str:
    said = text(event, "delivery-status", "message") or text(event, "delivery-status", "description")
    return said or text(event, "reject", "reason")


def _status(event: object) -> str | None:
    return documents.status_in(text(event, "delivery-status", "enhanced-code"), _diagnosis(event))
