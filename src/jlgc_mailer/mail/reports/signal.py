"""A signal: what one report says about one recipient, as a value."""

from dataclasses import dataclass

from jlgc_mailer.states import FeedbackClass


@dataclass(frozen=True, slots=True)
class Signal:
    """What a report says about one recipient, and whatever in it may name a delivery of ours.

    `recipient` is the address as the report writes it, None when it names none; `behind` is the one that it went on to,
    where a notification tells both. `status` is an enhanced status
    (RFC 3463). `diagnosis` is one sentence for people. `rule` names what decided the class, `confidence` is from 0
    to 1. `senders` are envelope senders that may be ours, `message_ids` those of returned messages, without brackets.
    `event_id` is the provider's own, by which the same signal is known when it comes twice.
    """

    feedback_class: FeedbackClass
    recipient: str | None = None
    status: str | None = None
    remote_mta: str | None = None
    diagnosis: str = ""
    rule: str = ""
    confidence: float = 1.0
    senders: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()
    event_id: str | None = None
    behind: str | None = None
