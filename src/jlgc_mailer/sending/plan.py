"""Planning: the audience of a send is resolved into deliveries and these into batches, once."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, case, func, insert, literal, select, update
from sqlalchemy.orm import Session, aliased

from jlgc_mailer.db.issues import CompiledArtefact
from jlgc_mailer.db.people import Subscriber, Subscription, Suppression
from jlgc_mailer.db.sending import Batch, Delivery, Send, SendList
from jlgc_mailer.states import (
    BatchStatus,
    DeliveryStatus,
    SendStatus,
    SkipReason,
    SubscriptionStatus,
    moves_into,
)


def due_sends(session: Session, now: datetime) -> Sequence[int]:
    """The sends whose time has come and which are not planned yet, in order of time."""
    due = select(Send.id).where(Send.status == SendStatus.SCHEDULED, Send.due_at <= now)
    return session.scalars(due.order_by(Send.due_at, Send.id)).all()


def plan(session: Session, send_id: int, now: datetime) -> int | None:
    """Resolve the audience of a due send, in one transaction; the number of batches.

    Idempotent: only the transaction that moves the send from scheduled to sending plans it, every other gets None.
    """
    started = session.execute(
        update(Send)
        .where(Send.id == send_id, Send.status == SendStatus.SCHEDULED, Send.due_at <= now)
        .values(status=SendStatus.SENDING, planned_at=now)
        .returning(Send.id)
    )
    if started.first() is None:
        return None
    send = session.get_one(Send, send_id, populate_existing=True)
    session.execute(
        insert(Delivery).from_select(
            ["send_id", "subscriber_id", "list_id", "compiled_id", "address", "status", "reason", "attempts"],
            _audience(session, send),
        )
    )
    batches = _cut_into_batches(session, send, now)
    finish_done(session, now)
    return batches


def finish_done(session: Session, now: datetime) -> None:
    """Every send under way of which no batch is left is finished.

    Call it after the commit that ended a batch: two workers that end the last two batches at the same moment do
    not see each other's before.
    """
    open_batch = select(Batch.id).where(Batch.send_id == Send.id, Batch.status != BatchStatus.DONE)
    session.execute(
        update(Send)
        .where(Send.status.in_(moves_into(SendStatus.FINISHED)), ~open_batch.exists())
        .values(status=SendStatus.FINISHED, finished_at=now)
    )


def _audience(session: Session, send: Send) -> Select[*tuple[object, ...]]:
    """Everybody confirmed on any list of the send, once; the suppressed are in it as skipped, so all add up."""
    own = aliased(CompiledArtefact)
    suppressed = select(Suppression.id).where(
        Suppression.address_key == Subscriber.address_key, Suppression.released_at.is_(None)
    )
    is_suppressed = suppressed.exists()
    return (
        select(
            literal(send.id),
            Subscriber.id,
            func.min(Subscription.list_id),
            func.coalesce(func.min(own.id), _fallback_artefact(session, send)),
            Subscriber.address,
            case((is_suppressed, DeliveryStatus.SKIPPED.value), else_=DeliveryStatus.PENDING.value),
            case((is_suppressed, SkipReason.SUPPRESSED.value)),
            literal(0),
        )
        .join(Subscription, Subscription.subscriber_id == Subscriber.id)
        .join(SendList, (SendList.list_id == Subscription.list_id) & (SendList.send_id == send.id))
        .outerjoin(
            own,
            (own.revision_id == send.revision_id) & (own.recipe == send.recipe) & (own.language == Subscriber.language),
        )
        .where(Subscription.status == SubscriptionStatus.CONFIRMED)
        .group_by(Subscriber.id, Subscriber.address, Subscriber.address_key)
        .order_by(Subscriber.id)
    )


def _fallback_artefact(session: Session, send: Send) -> int:
    """The first edition, for readers of a language that the issue has no edition in."""
    mine = select(CompiledArtefact.id).where(CompiledArtefact.revision_id == send.revision_id)
    by_language = mine.where(CompiledArtefact.recipe == send.recipe).order_by(CompiledArtefact.language)
    return session.scalars(by_language.limit(1)).one()


def _cut_into_batches(session: Session, send: Send, now: datetime) -> int:
    """Batches are ranges of delivery ids, written by one statement; the number of them."""
    numbered = (
        select(
            Delivery.id,
            ((func.row_number().over(order_by=Delivery.id) - 1) // send.batch_size).label("number"),
        )
        .where(Delivery.send_id == send.id, Delivery.status == DeliveryStatus.PENDING)
        .subquery()
    )
    ranges = select(
        literal(send.id),
        numbered.c.number + 1,
        func.min(numbered.c.id),
        func.max(numbered.c.id),
        literal(BatchStatus.READY.value),
        literal(now, Batch.due_at.type),
    ).group_by(numbered.c.number)
    session.execute(insert(Batch).from_select(["send_id", "number", "first_id", "last_id", "status", "due_at"], ranges))
    return session.scalar(select(func.count()).where(Batch.send_id == send.id)) or 0
