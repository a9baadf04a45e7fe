"""Claiming a batch under a lease: a guarded UPDATE, so that each batch has one worker (promise 4)."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, insert, or_, select, update
from sqlalchemy.orm import Session

from jlgc_mailer.db.sending import Attempt, Batch, Delivery, Send
from jlgc_mailer.states import BatchStatus, DeliveryStatus, SendStatus, Stage, UncertainPolicy

_NUDGE_AGAIN_AFTER = timedelta(seconds=15)
_NUDGES_AT_ONCE = 500


@dataclass(frozen=True)
class Claim:
    """A batch that is ours until the lease ends."""

    batch_id: int
    send_id: int
    first_id: int
    last_id: int
    mark: int


def claim_next(session: Session, now: datetime, lease: timedelta) -> Claim | None:
    """Claim the batch that has waited longest, of any send that is under way; None when nothing waits.

    A batch whose lease ran out is claimed like a new one. What its worker had on the wire becomes uncertain,
    and is sent again only if the send's policy says so (STANDARDS S4).
    """
    waiting = _claimable(now).order_by(Batch.due_at, Batch.id).limit(1).with_for_update(skip_locked=True, of=Batch)
    mark = secrets.randbits(62)
    row = session.execute(
        update(Batch)
        .where(Batch.id == waiting.scalar_subquery())
        .values(status=BatchStatus.CLAIMED, claim=mark, lease_until=now + lease, nudged_at=None, hold=None)
        .returning(Batch.id, Batch.send_id, Batch.first_id, Batch.last_id)
    ).first()
    if row is None:
        return None
    claim = Claim(*row, mark=mark)
    _settle_abandoned(session, claim, now)
    return claim


def renew(session: Session, claim: Claim, now: datetime, lease: timedelta) -> bool:
    """Prolong the lease; False when it was lost to another worker."""
    renewed = session.execute(update(Batch).where(_mine(claim)).values(lease_until=now + lease).returning(Batch.id))
    return renewed.first() is not None


def release(session: Session, claim: Claim, due_at: datetime | None, hold: str | None) -> None:
    """Give the batch back until `due_at`, or mark it done when that is None."""
    session.execute(
        update(Batch)
        .where(_mine(claim))
        .values(
            status=BatchStatus.DONE if due_at is None else BatchStatus.READY,
            due_at=due_at or Batch.due_at,
            nudged_at=None,
            claim=None,
            lease_until=None,
            hold=hold,
        )
    )


def take_nudges(session: Session, now: datetime) -> int:
    """How many messages to put on the queue now: one for each claimable batch that had none lately.

    A lost message costs a quarter of a minute; a surplus one finds nothing to claim.
    """
    unannounced = or_(Batch.nudged_at.is_(None), Batch.nudged_at <= now - _NUDGE_AGAIN_AFTER)
    waiting = _claimable(now).where(unannounced).order_by(Batch.due_at, Batch.id).limit(_NUDGES_AT_ONCE)
    nudged = session.execute(
        update(Batch).where(Batch.id.in_(waiting.scalar_subquery())).values(nudged_at=now).returning(Batch.id)
    )
    return len(nudged.all())


def forget_nudges(session: Session) -> None:
    """For a broker that has just begun with an empty queue: nothing is announced."""
    session.execute(update(Batch).where(Batch.status != BatchStatus.DONE).values(nudged_at=None))


def _claimable(now: datetime) -> Select[int]:
    ready = and_(Batch.status == BatchStatus.READY, Batch.due_at <= now)
    abandoned = and_(Batch.status == BatchStatus.CLAIMED, Batch.lease_until < now)
    under_way = and_(Send.status == SendStatus.SENDING, or_(ready, abandoned))
    to_settle = and_(Send.status == SendStatus.CANCELLED, abandoned)
    return select(Batch.id).join(Send, Send.id == Batch.send_id).where(or_(under_way, to_settle))


def _mine(claim: Claim) -> ColumnElement[bool]:
    return and_(Batch.id == claim.batch_id, Batch.claim == claim.mark)


def _settle_abandoned(session: Session, claim: Claim, now: datetime) -> None:
    """Deliveries that a vanished worker left on the wire: uncertain, by address, each with an attempt that says so."""
    left = and_(
        Delivery.send_id == claim.send_id,
        Delivery.id.between(claim.first_id, claim.last_id),
        Delivery.status == DeliveryStatus.SENDING,
    )
    abandoned = session.execute(
        update(Delivery)
        .where(left)
        .values(status=DeliveryStatus.UNCERTAIN, reason=None)
        .returning(Delivery.id, Delivery.attempts)
    ).all()
    if not abandoned:
        return
    session.execute(insert(Attempt), [_lost_attempt(delivery_id, number, now) for delivery_id, number in abandoned])
    send = session.get_one(Send, claim.send_id)
    if send.on_uncertain is UncertainPolicy.RESEND and send.status is SendStatus.SENDING:
        _queue_again(session, [delivery_id for delivery_id, _ in abandoned], now)


def _queue_again(session: Session, delivery_ids: Sequence[int], now: datetime) -> None:
    session.execute(
        update(Delivery)
        .where(Delivery.id.in_(delivery_ids))
        .values(status=DeliveryStatus.DEFERRED, next_attempt_at=now)
    )


def _lost_attempt(delivery_id: int, number: int, now: datetime) -> dict[str, object]:
    return {
        "delivery_id": delivery_id,
        "number": number,
        "at": now,
        "outcome": DeliveryStatus.UNCERTAIN,
        "stage": Stage.CONTENT,
        "text": "the worker ended before the outcome was recorded",
        "transport": "",
    }
