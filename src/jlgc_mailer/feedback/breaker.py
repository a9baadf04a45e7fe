"""The breaker: a send under way that comes back too often pauses itself and says so (STANDARDS F9)."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from jlgc_mailer.db.feedback import FeedbackEvent, Trip
from jlgc_mailer.db.sending import Delivery, Send
from jlgc_mailer.feedback.policy import Policy
from jlgc_mailer.sending.schedule import pause
from jlgc_mailer.states import BreakerRule, DeliveryStatus, FeedbackClass, SendStatus

log = logging.getLogger("jlgc_mailer.feedback")
# Staff who resume know the numbers. One more bounce is no news to them; half as many again is.
_WORSE = 1.5
_CLASSES = {FeedbackClass.HARD: BreakerRule.HARD, FeedbackClass.COMPLAINT: BreakerRule.COMPLAINTS}
_COUNTED = {
    BreakerRule.HARD: (DeliveryStatus.ACCEPTED, DeliveryStatus.REFUSED),
    BreakerRule.COMPLAINTS: (DeliveryStatus.ACCEPTED,),
}


@dataclass(frozen=True, slots=True)
class Level:
    """So many of so many."""

    bad: int
    total: int

    @property
    def rate(self) -> float:
        """The part that is bad."""
        return self.bad / self.total if self.total else 0.0


def trips(rule: BreakerRule, level: Level, tolerated: Level | None, policy: Policy) -> bool:
    """Whether a send at that level has to stop; `tolerated` is the level at which staff resumed it, if they did."""
    if tolerated and level.rate <= tolerated.rate * _WORSE:
        return False
    if rule is BreakerRule.HARD:
        return level.total >= policy.hard_after and level.rate > policy.hard_rate
    return level.total >= policy.complaint_after and level.rate >= policy.complaint_rate


def trip_breakers(session: Session, now: datetime, policy: Policy) -> int:
    """Pause the sends that have to stop; how many. Of one that has stopped, the numbers are kept up to date."""
    tripped = 0
    for send_id, rule, bad in _bad(session):
        level = Level(bad, _total(session, send_id, rule, bad, policy))
        if trips(rule, level, None, policy):
            tripped += _trip(session, send_id, rule, level, now, policy)
    return tripped


def _bad(session: Session) -> Iterator[tuple[int, BreakerRule, int]]:
    """For each send that is under way or paused by itself: who came back, each once, however often it is reported."""
    standing = select(Trip.send_id).where(Trip.send_id == Send.id, ~Trip.resumed).exists()
    counted = (
        select(Delivery.send_id, FeedbackEvent.feedback_class, func.count(Delivery.id.distinct()))
        .join(Delivery, Delivery.id == FeedbackEvent.delivery_id)
        .join(Send, Send.id == Delivery.send_id)
        .where(or_(Send.status == SendStatus.SENDING, (Send.status == SendStatus.PAUSED) & standing))
        .where(FeedbackEvent.feedback_class.in_(_CLASSES), FeedbackEvent.believed, FeedbackEvent.judged_at.is_not(None))
        .group_by(Delivery.send_id, FeedbackEvent.feedback_class)
    )
    for send_id, kind, bad in session.execute(counted.order_by(Delivery.send_id)).all():
        yield send_id, _CLASSES[kind], bad


def _total(session: Session, send_id: int, rule: BreakerRule, bad: int, policy: Policy) -> int:
    """Of how many these are; counting ends where they are too few to matter, so that a long send costs no more."""
    rate = policy.hard_rate if rule is BreakerRule.HARD else policy.complaint_rate
    enough = math.ceil(bad / rate) + 1 if rate else None
    mine = select(Delivery.id).where(Delivery.send_id == send_id, Delivery.status.in_(_COUNTED[rule])).limit(enough)
    return session.scalar(select(func.count()).select_from(mine.subquery())) or 0


def _trip(session: Session, send_id: int, rule: BreakerRule, level: Level, now: datetime, policy: Policy) -> bool:
    """Whether it was paused now; the send is locked, so that staff and other workers come before or after."""
    send = session.get_one(Send, send_id, populate_existing=True, with_for_update=True)
    before = session.get(Trip, (send_id, rule), populate_existing=True)
    is_under_way = send.status is SendStatus.SENDING
    tolerated = Level(before.bad, before.total) if before and is_under_way else None
    if send.status not in (SendStatus.SENDING, SendStatus.PAUSED) or not trips(rule, level, tolerated, policy):
        return False
    session.merge(Trip(send_id=send_id, rule=rule, at=now, bad=level.bad, total=level.total, resumed=False))
    if is_under_way:
        pause(session, send_id)
        log.warning("send %d paused itself: %s, %d of %d", send_id, rule, level.bad, level.total)
    return is_under_way
