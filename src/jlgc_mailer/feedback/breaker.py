"""The breaker: a send under way that comes back too often pauses itself and says so (STANDARDS F9)."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from jlgc_mailer.db.feedback import FeedbackEvent, Trip
from jlgc_mailer.db.sending import Delivery, Send
from jlgc_mailer.feedback.policy import Policy
from jlgc_mailer.sending.schedule import pause
from jlgc_mailer.states import BreakerRule, DeliveryStatus, FeedbackClass, SendStatus

log = logging.getLogger("jlgc_mailer.feedback")
# Staff who resume know the numbers. One more bounce is no news to them; half as many again is, and most of all is.
_WORSE, _MOST = 1.5, 0.5
_CLASSES = {BreakerRule.HARD: FeedbackClass.HARD, BreakerRule.COMPLAINTS: FeedbackClass.COMPLAINT}
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
    """Whether a send at that level has to stop.

    Where staff resumed it, `tolerated` is the level at which they did, and `level` that of the recipients since then.
    """
    after = policy.hard_after if rule is BreakerRule.HARD else policy.complaint_after
    if tolerated and tolerated.total >= after and level.rate <= min(tolerated.rate * _WORSE, _MOST):
        return False
    if rule is BreakerRule.HARD:
        return level.total >= after and level.rate > policy.hard_rate
    return level.rate >= policy.complaint_rate if level.total >= after else level.bad >= policy.complaint_few


def trip_breakers(session: Session, now: datetime, policy: Policy) -> int:
    """Pause the sends that have to stop; how many. Of one that has stopped, the numbers are kept up to date."""
    pairs = [(send_id, rule) for send_id in _watched(session) for rule in BreakerRule]
    return sum(_trip(session, *pair, now, policy) for pair in pairs if _has_to_stop(session, *pair, policy))


def standing(session: Session) -> Sequence[int]:
    """The sends that have paused themselves and were not resumed."""
    stand = select(Send.id).where(Send.status == SendStatus.PAUSED, _stands())
    return session.scalars(stand.order_by(Send.id)).all()


def _stands() -> ColumnElement[bool]:
    return select(Trip.send_id).where(Trip.send_id == Send.id, ~Trip.resumed).exists()


def _watched(session: Session) -> Sequence[int]:
    """The sends that are under way or paused by themselves."""
    watched = or_(Send.status == SendStatus.SENDING, and_(Send.status == SendStatus.PAUSED, _stands()))
    return session.scalars(select(Send.id).where(watched).order_by(Send.id)).all()


def _has_to_stop(session: Session, send_id: int, rule: BreakerRule, policy: Policy) -> bool:
    trip = session.get(Trip, (send_id, rule), populate_existing=True)
    resumed = trip if trip and trip.resumed else None
    since = resumed.at if resumed else None
    bad = _bad(session, send_id, rule, since)
    if not bad:
        return False
    level = Level(bad, _total(session, send_id, rule, since, _enough(rule, bad, policy)))
    return trips(rule, level, Level(resumed.bad, resumed.total) if resumed else None, policy)


def _enough(rule: BreakerRule, bad: int, policy: Policy) -> int | None:
    """Of more than so many, these are too few to matter: counting ends there, so that a long send costs no more."""
    if rule is BreakerRule.HARD:
        return math.ceil(bad / policy.hard_rate) + 1 if policy.hard_rate else None
    rate = policy.complaint_rate
    return max(math.ceil(bad / rate) + 1, policy.complaint_after) if rate else None


def _bad(session: Session, send_id: int, rule: BreakerRule, since: datetime | None) -> int:
    """Who came back, each once, however often it is reported; with `since`, of those first tried after it."""
    counted = (
        select(func.count(Delivery.id.distinct()))
        .join(FeedbackEvent, FeedbackEvent.delivery_id == Delivery.id)
        .where(FeedbackEvent.feedback_class == _CLASSES[rule], FeedbackEvent.believed)
        .where(FeedbackEvent.judged_at.is_not(None), *_of(send_id, since))
    )
    return session.scalar(counted) or 0


def _total(session: Session, send_id: int, rule: BreakerRule, since: datetime | None, enough: int | None) -> int:
    """Of how many these are."""
    mine = select(Delivery.id).where(Delivery.status.in_(_COUNTED[rule]), *_of(send_id, since)).limit(enough)
    return session.scalar(select(func.count()).select_from(mine.subquery())) or 0


def _of(send_id: int, since: datetime | None) -> list[ColumnElement[bool]]:
    return [Delivery.send_id == send_id, *([Delivery.first_attempt_at > since] if since else [])]


def _trip(session: Session, send_id: int, rule: BreakerRule, now: datetime, policy: Policy) -> bool:
    """Whether it was paused now; the send is locked, so that staff and other workers come before or after."""
    send = session.get_one(Send, send_id, populate_existing=True, with_for_update=True)
    if send.status not in (SendStatus.SENDING, SendStatus.PAUSED) or not _has_to_stop(session, send_id, rule, policy):
        return False
    before, bad = session.get(Trip, (send_id, rule)), _bad(session, send_id, rule, None)
    if before and not before.resumed and before.bad == bad:
        return False
    total = _total(session, send_id, rule, None, None)
    session.merge(Trip(send_id=send_id, rule=rule, at=now, bad=bad, total=total, resumed=False))
    is_under_way = send.status is SendStatus.SENDING
    if is_under_way:
        pause(session, send_id)
        log.warning("send %d paused itself: %s, %d of %d", send_id, rule, bad, total)
    return is_under_way
