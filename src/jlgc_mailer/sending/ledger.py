"""The ledger: what is about to be attempted is written down before, and what became of it after.

Recipients are taken in small windows. Taking one commits the intent (status `sending`), so after a crash the
uncertain are at most the window that was on the wire (promise 1).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, case, func, insert, or_, select, update
from sqlalchemy.orm import Session

from jlgc_mailer.content.issues import artefacts_of, compiled_value
from jlgc_mailer.db.feedback import FeedbackEvent
from jlgc_mailer.db.people import Subscriber, Subscription, Suppression
from jlgc_mailer.db.sending import Attempt, Delivery, Send, SendList
from jlgc_mailer.mail.address import key_of
from jlgc_mailer.sending.claim import Claim
from jlgc_mailer.sending.letters import Identity, ListFace, Recipient, Stationery
from jlgc_mailer.sending.outcomes import Outcome, RetryPolicy, next_attempt
from jlgc_mailer.states import (
    DeliveryStatus,
    FeedbackKind,
    Language,
    ReplyClass,
    SendStatus,
    SkipReason,
    SubscriptionStatus,
    UncertainPolicy,
    moves_into,
)

_SETTLED = (DeliveryStatus.ACCEPTED, DeliveryStatus.REFUSED, DeliveryStatus.SKIPPED)
_DUE = (DeliveryStatus.PENDING, DeliveryStatus.DEFERRED)


def stationery(session: Session, send_id: int, identity: Identity) -> Stationery:
    """What all letters of a send share. Its date is the planning's, so that every copy of a letter is the same."""
    send = session.get_one(Send, send_id)
    artefacts = artefacts_of(session, send.revision_id, send.recipe)
    return Stationery(
        identity,
        send_id,
        send.planned_at or send.due_at,
        {artefact.id: compiled_value(artefact) for artefact in artefacts},
        {
            each.id: ListFace(each.name, {language: each.title(language) for language in Language})
            for each in send.lists
        },
    )


def take_window(session: Session, claim: Claim, size: int, now: datetime) -> list[Recipient]:
    """The next recipients of a batch, at most `size`, written down as being on the wire; empty when none is due.

    Those who left or were suppressed since planning are skipped here, with the reason (promise 2).
    """
    taken: list[Recipient] = []
    while not taken:
        rows = _due_rows(session, claim, size, now)
        if not rows:
            break
        left = [row for row in rows if row.is_suppressed or not row.is_confirmed]
        _skip(session, left)
        taken = [_recipient(row, now) for row in rows if row not in left]
    _mark_sending(session, taken)
    return taken


def _due_rows(session: Session, claim: Claim, size: int, now: datetime) -> Sequence[Row[*tuple[Any, ...]]]:
    confirmed = (
        select(Subscription.id)
        .join(SendList, (SendList.list_id == Subscription.list_id) & (SendList.send_id == claim.send_id))
        .where(Subscription.subscriber_id == Subscriber.id, Subscription.status == SubscriptionStatus.CONFIRMED)
    )
    suppressed = select(Suppression.id).where(
        Suppression.address_key == Subscriber.address_key, Suppression.released_at.is_(None)
    )
    return session.execute(
        select(
            Delivery.id,
            Delivery.attempts,
            Delivery.first_attempt_at,
            Delivery.subscriber_id,
            Delivery.address,
            Delivery.list_id,
            Delivery.compiled_id,
            Subscriber.name,
            confirmed.exists().label("is_confirmed"),
            suppressed.exists().label("is_suppressed"),
        )
        .outerjoin(Subscriber, Subscriber.id == Delivery.subscriber_id)
        .where(_of(claim), _due(now))
        .order_by(Delivery.id)
        .limit(size)
    ).all()


def _of(claim: Claim) -> ColumnElement[bool]:
    return and_(Delivery.send_id == claim.send_id, Delivery.id.between(claim.first_id, claim.last_id))


def _due(now: datetime) -> ColumnElement[bool]:
    retry = and_(Delivery.status == DeliveryStatus.DEFERRED, Delivery.next_attempt_at <= now)
    return or_(Delivery.status == DeliveryStatus.PENDING, retry)


def _skip(session: Session, rows: Sequence[Row[*tuple[Any, ...]]]) -> None:
    for reason, is_suppressed in ((SkipReason.SUPPRESSED, True), (SkipReason.UNSUBSCRIBED, False)):
        ids = [row.id for row in rows if bool(row.is_suppressed) is is_suppressed]
        if ids:
            session.execute(
                update(Delivery)
                .where(Delivery.id.in_(ids), Delivery.status.in_(_DUE))
                .values(status=DeliveryStatus.SKIPPED, reason=reason, next_attempt_at=None)
            )


def _recipient(row: Row[*tuple[Any, ...]], now: datetime) -> Recipient:
    return Recipient(
        delivery_id=row.id,
        attempts=row.attempts + 1,
        first_attempt_at=row.first_attempt_at or now,
        subscriber_id=row.subscriber_id,
        address=row.address,
        name=row.name,
        list_id=row.list_id,
        compiled_id=row.compiled_id,
    )


def _mark_sending(session: Session, recipients: Sequence[Recipient]) -> None:
    if recipients:
        session.execute(
            update(Delivery)
            .where(Delivery.id.in_([each.delivery_id for each in recipients]), Delivery.status.in_(_DUE))
            .values(
                status=DeliveryStatus.SENDING,
                attempts=Delivery.attempts + 1,
                first_attempt_at=func.coalesce(Delivery.first_attempt_at, recipients[0].first_attempt_at),
                next_attempt_at=None,
            )
        )


def skip_cancelled(session: Session, send_id: int) -> None:
    """If the send is cancelled, whoever waits is skipped, because it was; otherwise nothing happens."""
    cancelled = select(Send.id).where(Send.id == send_id, Send.status == SendStatus.CANCELLED)
    session.execute(
        update(Delivery)
        .where(Delivery.send_id.in_(cancelled), Delivery.status.in_(moves_into(DeliveryStatus.SKIPPED)))
        .values(status=DeliveryStatus.SKIPPED, reason=SkipReason.CANCELLED, next_attempt_at=None)
    )


def put_back(session: Session, recipients: Sequence[Recipient]) -> None:
    """Recipients who were not attempted after all are as they were: pending, and charged nothing (S3).

    One whom another worker has taken since, because the lease was lost, is left to that worker.
    """
    if recipients:
        session.connection().execute(
            update(Delivery)
            .where(Delivery.id == bindparam("delivery_id"), Delivery.attempts == bindparam("attempt"))
            .where(Delivery.status == DeliveryStatus.SENDING)
            .values(
                status=DeliveryStatus.PENDING,
                reason=None,
                attempts=Delivery.attempts - 1,
                first_attempt_at=case((Delivery.attempts > 1, Delivery.first_attempt_at)),
            ),
            [{"delivery_id": each.delivery_id, "attempt": each.attempts} for each in recipients],
        )


def record(
    session: Session,
    send_id: int,
    results: Sequence[tuple[Recipient, Outcome]],
    transport: str,
    retry: RetryPolicy,
) -> None:
    """Write down what became of attempted recipients; refusals are feedback too (promise 6).

    What the server said for good is the truth as long as no later attempt was begun, even when the lease was lost
    meanwhile. What is open still, deferred or uncertain, counts only while the delivery is ours: its batch may be done.
    """
    if not results:
        return
    policy = session.get_one(Send, send_id).on_uncertain
    rows = [_settled(recipient, outcome, policy, retry) for recipient, outcome in results]
    final = [row for row in rows if row["new_status"] in _SETTLED]
    _write(session, final, *(Delivery.status != settled for settled in _SETTLED))
    _write(session, [row for row in rows if row not in final], Delivery.status == DeliveryStatus.SENDING)
    session.execute(insert(Attempt), [_attempt(recipient, outcome, transport) for recipient, outcome in results])
    refused = [each for each, row in zip(results, rows, strict=True) if row["new_status"] is DeliveryStatus.REFUSED]
    if refused:
        session.execute(insert(FeedbackEvent), [_refusal(*each) for each in refused])


def _write(session: Session, rows: Sequence[dict[str, object]], *guard: ColumnElement[bool]) -> None:
    if rows:
        session.connection().execute(
            update(Delivery)
            .where(Delivery.id == bindparam("delivery_id"), Delivery.attempts == bindparam("attempt"), *guard)
            .values(
                status=bindparam("new_status"),
                reason=bindparam("new_reason"),
                next_attempt_at=bindparam("next_attempt"),
            ),
            rows,
        )


def _settled(recipient: Recipient, outcome: Outcome, policy: UncertainPolicy, retry: RetryPolicy) -> dict[str, object]:
    status, reason, again = outcome.status, outcome.reply_class, None
    if status is DeliveryStatus.UNCERTAIN and policy is UncertainPolicy.RESEND:
        status = DeliveryStatus.DEFERRED
    if status is DeliveryStatus.DEFERRED:
        again = next_attempt(retry, recipient.delivery_id, recipient.attempts, recipient.first_attempt_at, outcome.at)
        if again is None:
            status, reason = DeliveryStatus.REFUSED, ReplyClass.EXPIRED
    return {
        "delivery_id": recipient.delivery_id,
        "attempt": recipient.attempts,
        "new_status": status,
        "new_reason": None if status in (DeliveryStatus.ACCEPTED, DeliveryStatus.UNCERTAIN) else reason.value,
        "next_attempt": again,
    }


def _attempt(recipient: Recipient, outcome: Outcome, transport: str) -> dict[str, object]:
    reply = outcome.reply
    return {
        "delivery_id": recipient.delivery_id,
        "number": recipient.attempts,
        "at": outcome.at,
        "outcome": outcome.status,
        "stage": outcome.stage,
        "code": reply.code if reply else None,
        "status": reply.status if reply else None,
        "text": reply.text if reply else "the connection was lost after the message and before its reply",
        "transport": transport,
    }


def _refusal(recipient: Recipient, outcome: Outcome) -> dict[str, object]:
    return {
        "received_at": outcome.at,
        "source": f"smtp {outcome.stage}",
        "kind": FeedbackKind.REFUSAL,
        "delivery_id": recipient.delivery_id,
        "address_key": key_of(recipient.address),
        "reply_class": outcome.reply_class,
        "diagnosis": str(outcome.reply),
    }


def next_due(session: Session, claim: Claim, now: datetime) -> datetime | None:
    """When the batch has work: now for pending ones, else at its earliest retry; None when all are settled."""
    pending = select(Delivery.id).where(_of(claim), Delivery.status == DeliveryStatus.PENDING).limit(1)
    if session.scalar(pending):
        return now
    retries = select(func.min(Delivery.next_attempt_at)).where(_of(claim), Delivery.status == DeliveryStatus.DEFERRED)
    return session.scalar(retries)
