"""Brevo: events of transactional and marketing webhooks, alone or batched (STANDARDS F10)."""

from collections.abc import Iterator

from jlgc_mailer.feedback.webhooks import documents
from jlgc_mailer.feedback.webhooks.documents import listed, text
from jlgc_mailer.feedback.webhooks.weighing import Heard, weigh
from jlgc_mailer.mail.reports.rules import Rules
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.states import FeedbackClass

# Blocked is what Brevo keeps back by its own list, error what went wrong between it and us: both concern the sender.
_EVENTS = {
    "hardbounce": FeedbackClass.HARD,
    "invalidemail": FeedbackClass.HARD,
    "invalid": FeedbackClass.HARD,
    "softbounce": FeedbackClass.SOFT,
    "deferred": FeedbackClass.SOFT,
    "blocked": FeedbackClass.BLOCK,
    "error": FeedbackClass.BLOCK,
    "spam": FeedbackClass.COMPLAINT,
    "complaint": FeedbackClass.COMPLAINT,
    "unsubscribed": FeedbackClass.UNSUBSCRIBE,
    "unsubscribe": FeedbackClass.UNSUBSCRIBE,
}


def read(document: object, rules: Rules) -> Iterator[Signal]:
    """The signals of one post; request, delivered, opened and click give none."""
    for event in listed({"events": document}, "events"):
        kind = text(event, "event", limit=40).lower().replace("_", "")
        if kind in _EVENTS:
            yield _signal(event, kind, rules)


def _signal(event: object, kind: str, rules: Rules) -> Signal:
    reason = text(event, "reason")
    status = documents.status_in(reason)
    stated = Heard(_EVENTS[kind], f"brevo.{kind}")
    found = weigh(stated, status, reason, rules) if stated.feedback_class is FeedbackClass.HARD else stated
    return Signal(
        found.feedback_class,
        documents.address(event, "email"),
        status,
        diagnosis=reason,
        rule=found.rule,
        message_ids=documents.message_ids_in(text(event, "message-id")),
        event_id=_event_id(event),
    )


def _event_id(event: object) -> str:
    """Brevo gives none (its `id` is that of the webhook), so it is what makes an event the same one."""
    when = text(event, "ts_event") or text(event, "ts_epoch") or text(event, "ts") or text(event, "date")
    return ":".join((text(event, "event"), text(event, "message-id"), text(event, "email"), when))
