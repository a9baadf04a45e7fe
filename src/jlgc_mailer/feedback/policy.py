"""What follows from one event about an address (STANDARDS F6, F7, F9): values in, a decision out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from jlgc_mailer.states import FeedbackClass, SuppressionReason, Verdict

_NOTED = {
    FeedbackClass.BLOCK: "it is about us, not about the reader",
    FeedbackClass.AUTO_REPLY: "an automatic reply",
    FeedbackClass.CHALLENGE: "a request to confirm ourselves",
    FeedbackClass.UNKNOWN: "nothing is known from it",
}
_ENOUGH = {
    FeedbackClass.HARD: ("there is no such mailbox", SuppressionReason.UNKNOWN_USER),
    FeedbackClass.COMPLAINT: ("the reader complained", SuppressionReason.COMPLAINT),
}


@dataclass(frozen=True)
class Policy:
    """How much evidence has consequences.

    `match_window` is how long after the last attempt a token is acted upon (F2). `address_confidence` is what a report
    needs that names nothing but an address.
    """

    match_window: timedelta = timedelta(days=30)
    address_confidence: float = 0.9
    soft_sends: int = 3
    soft_span: timedelta = timedelta(days=30)
    hard_rate: float = 0.05
    hard_after: int = 200
    complaint_rate: float = 0.001
    complaint_after: int = 2000


@dataclass(frozen=True, slots=True)
class Event:
    """What judging has to know of an event. `send_id` and `sent_at` are those of the delivery that it is about."""

    feedback_class: FeedbackClass
    received_at: datetime
    believed: bool = True
    send_id: int | None = None
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What is known about an address before an event.

    `failures` are the sends that came back as soft, with their times; `succeeded_at` is when the last one was sent
    that was accepted and did not come back; `released_at` is when staff last released the address.
    """

    failures: Mapping[int, datetime] = field(default_factory=dict)
    succeeded_at: datetime | None = None
    released_at: datetime | None = None

    def with_failure(self, send_id: int, sent_at: datetime) -> "History":
        """The same, and that send came back."""
        return replace(self, failures={**self.failures, send_id: sent_at})


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, why, and for what reason the address is barred, if it is."""

    verdict: Verdict
    why: str
    reason: SuppressionReason | None = None


def decide(history: History, event: Event, policy: Policy) -> Decision:
    """What follows from an event. The more bounces are known, the more follows: their order makes no difference."""
    kind = event.feedback_class
    if not event.believed:
        return Decision(Verdict.NOTE, "there is no proof")
    if kind is FeedbackClass.UNSUBSCRIBE:
        return Decision(Verdict.WITHDRAW, "the reader leaves")
    if kind in _NOTED:
        return Decision(Verdict.NOTE, _NOTED[kind])
    if history.released_at and event.received_at <= history.released_at:
        return Decision(Verdict.NOTE, "the address was released since")
    if kind in _ENOUGH:
        return Decision(Verdict.SUPPRESS, *_ENOUGH[kind])
    return _decide_soft(history, event, policy)


def _decide_soft(history: History, event: Event, policy: Policy) -> Decision:
    """One full mailbox is no reason; sends that fail for weeks with none that succeeds between them are."""
    if event.send_id is not None and event.sent_at is not None:
        history = history.with_failure(event.send_id, event.sent_at)
    since = max(filter(None, (history.succeeded_at, history.released_at)), default=None)
    failed = sorted(at for at in history.failures.values() if since is None or at > since)
    is_long = bool(failed) and failed[-1] - failed[0] >= policy.soft_span
    if len(failed) >= policy.soft_sends and is_long:
        return Decision(Verdict.SUPPRESS, "sends fail for weeks, and none succeeds", SuppressionReason.UNREACHABLE)
    return Decision(Verdict.NOTE, "it may be a passing trouble")
