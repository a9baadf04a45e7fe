"""Twilio SendGrid: the Event Webhook, a list of events (STANDARDS F10)."""

from collections.abc import Iterator

from jlgc_mailer.feedback.webhooks import documents
from jlgc_mailer.feedback.webhooks.documents import listed, text
from jlgc_mailer.feedback.webhooks.weighing import Heard, heard_in, weigh
from jlgc_mailer.mail.reports.rules import Rules
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.states import FeedbackClass

_EVENTS = {
    "deferred": FeedbackClass.SOFT,
    "spamreport": FeedbackClass.COMPLAINT,
    "unsubscribe": FeedbackClass.UNSUBSCRIBE,
    "group_unsubscribe": FeedbackClass.UNSUBSCRIBE,
}
_CLASSIFICATIONS = {
    "invalid address": FeedbackClass.HARD,
    "mailbox unavailable": FeedbackClass.SOFT,
    "technical": FeedbackClass.SOFT,
    "reputation": FeedbackClass.BLOCK,
    "content": FeedbackClass.BLOCK,
    "frequency/volume": FeedbackClass.BLOCK,
    "frequency or volume too high": FeedbackClass.BLOCK,
}
# Of what SendGrid drops by its own lists only an unsubscription is news: bounces and complaints were told before.
_DROPPED = {"unsubscribed address": FeedbackClass.UNSUBSCRIBE, "invalid": FeedbackClass.HARD}


def read(document: object, rules: Rules) -> Iterator[Signal]:
    """The signals of one post; processed, delivered, open and click give none."""
    for event in listed({"events": document}, "events"):
        kind = text(event, "event", limit=20).lower()
        if kind == "bounce":
            yield _signal(event, kind, _bounce(event, rules))
        elif kind == "dropped":
            found = _DROPPED.get(text(event, "reason").lower(), FeedbackClass.BLOCK)
            yield _signal(event, kind, Heard(found, "sendgrid.dropped"))
        elif kind in _EVENTS:
            yield _signal(event, kind, Heard(_EVENTS[kind], f"sendgrid.{kind}"))


def _bounce(event: object, rules: Rules) -> Heard:
    classified = text(event, "bounce_classification", limit=40).lower()
    kind = "blocked" if text(event, "type").lower() == "blocked" else "bounce"
    status, reason = _status(event), text(event, "reason")
    if classified in _CLASSIFICATIONS:
        stated = Heard(_CLASSIFICATIONS[classified], f"sendgrid.{classified}")
        return weigh(stated, status, reason, rules) if stated.feedback_class is FeedbackClass.HARD else stated
    if kind == "bounce" and not reason and heard_in(status, "", rules) is None:
        return Heard(FeedbackClass.UNKNOWN, f"sendgrid.{kind}")
    stated = Heard(FeedbackClass.BLOCK if kind == "blocked" else FeedbackClass.HARD, f"sendgrid.{kind}")
    return weigh(stated, status, reason, rules)


def _signal(event: object, kind: str, found: Heard) -> Signal:
    reason = text(event, "reason") or text(event, "response")
    return Signal(
        found.feedback_class,
        documents.address(event, "email"),
        _status(event),
        diagnosis=f"SendGrid did not send: {reason}" if kind == "dropped" else reason,
        rule=found.rule,
        message_ids=documents.message_ids_in(text(event, "smtp-id")),
        event_id=text(event, "sg_event_id") or None,
    )


def _status(event: object) -> str | None:
    return documents.status_in(text(event, "status"), text(event, "reason"), text(event, "response"))
