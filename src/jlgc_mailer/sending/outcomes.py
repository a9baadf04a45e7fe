"""What became of one SMTP transaction, as a value, and what follows from it for the delivery."""

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from jlgc_mailer.mail.replies import Reply, classify
from jlgc_mailer.states import DeliveryStatus, ReplyClass, Stage

# Why a delivery is deferred whose last attempt was uncertain. The reader may have it, whatever becomes of the next one:
# so it can end as uncertain, but not as skipped or given up.
IN_DOUBT = "uncertain"
# After so many attempts nothing uncertain is sent again unasked: who gets one message five times has had enough.
MOST_RESENDS = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: accepted, deferred, refused or uncertain, at which stage, with which reply."""

    status: DeliveryStatus
    stage: Stage
    reply: Reply | None
    at: datetime

    @property
    def reply_class(self) -> ReplyClass:
        """What the reply says about the recipient."""
        return classify(self.reply) if self.reply else ReplyClass.OTHER


@dataclass(frozen=True)
class RetryPolicy:
    """When to try again after a 4xx (STANDARDS S2)."""

    greylist_delay: timedelta = timedelta(minutes=5)
    first_delay: timedelta = timedelta(minutes=30)
    longest_delay: timedelta = timedelta(hours=8)
    give_up_after: timedelta = timedelta(days=4)


def next_attempt(
    policy: RetryPolicy, delivery_id: int, attempts: int, first_attempt_at: datetime, now: datetime
) -> datetime | None:
    """When to try a deferred delivery again; None when it is time to give up.

    The first retry is early, for greylisting; then delays double. A quarter of each is jitter, taken from the
    delivery's number, so that the deferred of one minute do not come back in one minute.
    """
    if now - first_attempt_at >= policy.give_up_after:
        return None
    if attempts <= 1:
        delay = policy.greylist_delay
    else:
        delay = min(policy.first_delay * 2 ** min(attempts - 2, 20), policy.longest_delay)
    jitter = zlib.crc32(f"{delivery_id} {attempts}".encode()) / 2**32 / 4
    return now + delay * (1 + jitter)
