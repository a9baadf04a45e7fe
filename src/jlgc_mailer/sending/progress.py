"""How far a send is: counts that add up to all of its recipients."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from jlgc_mailer.db.feedback import FeedbackEvent, Trip
from jlgc_mailer.db.sending import Attempt, Batch, Delivery, Send
from jlgc_mailer.states import BatchStatus, BreakerRule, DeliveryStatus, FeedbackClass, FeedbackKind, SendStatus


@dataclass(frozen=True)
class Line:
    """One line of the account: a status, its reason if it has one, and how many."""

    status: DeliveryStatus
    reason: str | None
    count: int


@dataclass(frozen=True)
class Stop:
    """Why a send paused itself: so many of so many were bad."""

    rule: BreakerRule
    bad: int
    total: int

    @property
    def percent(self) -> str:
        """The bad part as people write it: a complaint in a thousand has to show, too."""
        places = 1 if self.rule is BreakerRule.HARD else 2
        return f"{100 * self.bad / self.total:.{places}f} %"

    def __str__(self) -> str:
        told = "recipients do not exist" if self.rule is BreakerRule.HARD else "readers complained"
        return f"paused by itself: {self.percent} of {self.total:,} {told}"


@dataclass(frozen=True)
class Account:
    """A send in numbers; the counts of `lines` add up to `total`.

    `feedback` counts the recipients about whom something came back later, by what it says. `stops` tell why it paused
    itself, while it stands still for that.
    """

    send_id: int
    status: SendStatus
    total: int
    lines: tuple[Line, ...]
    feedback: Mapping[FeedbackClass, int]
    stops: tuple[Stop, ...]
    holds: tuple[str, ...]
    planned_at: datetime | None
    finished_at: datetime | None

    def count(self, *statuses: DeliveryStatus) -> int:
        """How many deliveries stand in these statuses."""
        return sum(line.count for line in self.lines if line.status in statuses)

    @property
    def complaints(self) -> int:
        """How many of its readers complained."""
        return self.feedback.get(FeedbackClass.COMPLAINT, 0)

    @property
    def settled(self) -> int:
        """Those of whom no more will be heard at sending."""
        return self.total - self.count(DeliveryStatus.PENDING, DeliveryStatus.DEFERRED)


def account(session: Session, send: Send) -> Account:
    """Count a send's deliveries by status and reason, in the order of statuses."""
    grouped = (
        select(Delivery.status, Delivery.reason, func.count())
        .where(Delivery.send_id == send.id)
        .group_by(Delivery.status, Delivery.reason)
    )
    lines = tuple(Line(*row) for row in session.execute(grouped))
    order = list(DeliveryStatus)
    return Account(
        send_id=send.id,
        status=send.status,
        total=sum(line.count for line in lines),
        lines=tuple(sorted(lines, key=lambda line: (order.index(line.status), -line.count, line.reason or ""))),
        feedback=_feedback(session, send.id),
        stops=_stops(session, send),
        holds=_holds(session, send.id),
        planned_at=send.planned_at,
        finished_at=send.finished_at,
    )


def uncertain(session: Session, send_id: int) -> list[str]:
    """The addresses of whom nobody knows whether they got it."""
    mine = select(Delivery.address).where(Delivery.send_id == send_id, Delivery.status == DeliveryStatus.UNCERTAIN)
    return list(session.scalars(mine.order_by(Delivery.id)))


def recent_attempts(session: Session, send_id: int, since: datetime) -> int:
    """Attempts that ended after `since`: the rate of a send."""
    mine = select(func.count()).select_from(Attempt).join(Delivery, Delivery.id == Attempt.delivery_id)
    return session.scalar(mine.where(Delivery.send_id == send_id, Attempt.at >= since)) or 0


def next_wave(session: Session, send: Send, now: datetime) -> datetime | None:
    """When the next zone gets a send by local time; None when all have begun."""
    waits = select(Delivery.id).where(
        Delivery.id.between(Batch.first_id, Batch.last_id),
        Delivery.send_id == send.id,
        Delivery.status == DeliveryStatus.PENDING,
    )
    waves = select(Batch.due_at).where(
        Batch.send_id == send.id, Batch.status == BatchStatus.READY, Batch.hold.is_(None), Batch.due_at > now
    )
    if not send.is_by_local_time or send.planned_at is None:
        return None
    return session.scalar(waves.where(waits.exists()).order_by(Batch.due_at).limit(1))


def _feedback(session: Session, send_id: int) -> dict[FeedbackClass, int]:
    """Each recipient once, however often a report comes; refusals are in the lines already."""
    came_back = (
        select(FeedbackEvent.feedback_class, func.count(Delivery.id.distinct()))
        .join(Delivery, Delivery.id == FeedbackEvent.delivery_id)
        .where(Delivery.send_id == send_id, FeedbackEvent.kind == FeedbackKind.REPORT, FeedbackEvent.believed)
    )
    return dict(iter(session.execute(came_back.group_by(FeedbackEvent.feedback_class))))


def _stops(session: Session, send: Send) -> tuple[Stop, ...]:
    if send.status is not SendStatus.PAUSED:
        return ()
    standing = select(Trip.rule, Trip.bad, Trip.total).where(Trip.send_id == send.id, ~Trip.resumed)
    return tuple(Stop(*row) for row in session.execute(standing.order_by(Trip.rule)))


def _holds(session: Session, send_id: int) -> tuple[str, ...]:
    return tuple(
        session.scalars(select(Batch.hold).where(Batch.send_id == send_id, Batch.hold.is_not(None)).distinct())
    )
