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
_WISHES = (FeedbackClass.UNSUBSCRIBE, FeedbackClass.COMPLAINT)


@dataclass(frozen=True)
class Policy:
    """How much evidence has consequences.

    `match_window` is how long after the last attempt a token is acted upon (F2). `bounce_delay` is how long servers
    may try before a bounce comes (S2): what was sent since has not succeeded yet.
    """

    match_window: timedelta = timedelta(days=30)
    bounce_delay: timedelta = timedelta(days=5)
    soft_sends: int = 3
    soft_span: timedelta = timedelta(days=30)
    hard_rate: float = 0.05
    hard_after: int = 200
    complaint_rate: float = 0.001
    complaint_after: int = 2000
    complaint_few: int = 3


@dataclass(frozen=True, slots=True)
class Event:
    """What judging has to know of an event. `send_id` and `sent_at` are those of the delivery that it is about.

    `joined_at` is when the reader last agreed to get what that delivery is of. What is said `by_hand` is a person's
    word, and as new as that.
    """

    feedback_class: FeedbackClass
    received_at: datetime
    believed: bool = True
    send_id: int | None = None
    sent_at: datetime | None = None
    joined_at: datetime | None = None
    by_hand: bool = False

    @property
    def is_outlived(self) -> bool:
        """Whether the reader agreed anew since."""
        return self.joined_at is not None and self.joined_at > self.received_at

    @property
    def speaks_of(self) -> datetime:
        """The moment that it is evidence of: a bounce speaks of its send, a complaint of when the reader complained."""
        is_bounce = self.feedback_class in {FeedbackClass.HARD, FeedbackClass.SOFT}
        return self.sent_at if is_bounce and self.sent_at and not self.by_hand else self.received_at


@dataclass(frozen=True, slots=True)
class History:
    """What is known about an address before an event.

    `failures` are the sends that came back as soft, with their times; `succeeded_at` is when the last one was sent
    that was accepted and did not come back in time; `released_at` is when staff last released the address.
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
    kind, void = event.feedback_class, _why_void(history, event)
    if void:
        return Decision(Verdict.NOTE, void)
    if kind is FeedbackClass.UNSUBSCRIBE:
        return Decision(Verdict.WITHDRAW, "the reader leaves")
    if kind in _ENOUGH:
        return Decision(Verdict.SUPPRESS, *_ENOUGH[kind])
    return _decide_soft(history, event, policy)


def _why_void(history: History, event: Event) -> str | None:
    """Why nothing can follow from an event, whatever came before it; what came after it may have mended it."""
    kind = event.feedback_class
    if not event.believed:
        return "there is no proof"
    if kind in _NOTED:
        return _NOTED[kind]
    if kind in _WISHES and event.is_outlived:
        return "the reader joined again since"
    if kind is FeedbackClass.UNSUBSCRIBE:
        return None
    if history.released_at and event.speaks_of <= history.released_at:
        return "the address was released since"
    has_healed = history.succeeded_at is not None and history.succeeded_at > event.received_at
    return "it has healed since" if kind is FeedbackClass.HARD and has_healed else None


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
