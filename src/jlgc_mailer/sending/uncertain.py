"""Deliveries that a vanished worker may have left on the wire: uncertain, each with an attempt that says so.

Nobody can know whether the relay took them (RFC 1047, STANDARDS S4); the send's policy says what follows.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func, insert, update
from sqlalchemy.orm import Session

from jlgc_mailer.db.sending import Attempt, Delivery, Send
from jlgc_mailer.sending.outcomes import IN_DOUBT, MOST_RESENDS
from jlgc_mailer.sending.record import LOST
from jlgc_mailer.states import DeliveryStatus, SendStatus, Stage, UncertainPolicy, moves_into


def give_up(session: Session, send_id: int, delivery_ids: Collection[int], now: datetime) -> None:
    """Whatever of these is not recorded yet is uncertain."""
    if not delivery_ids:
        return
    abandoned = session.execute(
        update(Delivery)
        .where(Delivery.id.in_(delivery_ids), Delivery.status.in_(moves_into(DeliveryStatus.UNCERTAIN)))
        .values(
            status=DeliveryStatus.UNCERTAIN,
            reason=None,
            attempts=Delivery.attempts + 1,
            first_attempt_at=func.coalesce(Delivery.first_attempt_at, now),
            next_attempt_at=None,
        )
        .returning(Delivery.id, Delivery.attempts)
    ).all()
    if not abandoned:
        return
    session.execute(insert(Attempt), [_lost_attempt(delivery_id, number, now) for delivery_id, number in abandoned])
    send = session.get_one(Send, send_id)
    if send.on_uncertain is UncertainPolicy.RESEND and send.status is SendStatus.SENDING:
        _queue_again(session, [delivery_id for delivery_id, number in abandoned if number <= MOST_RESENDS], now)


def _queue_again(session: Session, delivery_ids: Sequence[int], now: datetime) -> None:
    session.execute(
        update(Delivery)
        .where(Delivery.id.in_(delivery_ids))
        .values(status=DeliveryStatus.DEFERRED, reason=IN_DOUBT, next_attempt_at=now)
    )


def _lost_attempt(delivery_id: int, number: int, now: datetime) -> dict[str, object]:
    return {
        "delivery_id": delivery_id,
        "number": number,
        "at": now,
        "outcome": DeliveryStatus.UNCERTAIN,
        "stage": Stage.CONTENT,
        "text": LOST,
        "transport": "",
    }
