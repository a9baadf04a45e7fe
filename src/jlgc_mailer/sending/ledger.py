"""The ledger read: whom a batch is due to write to now, who has left meanwhile, and when it has work again."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, case, func, or_, select, update
from sqlalchemy.orm import Session

from jlgc_mailer.content.artefacts import artefacts_of, compiled_value
from jlgc_mailer.db.base import UtcDateTime
from jlgc_mailer.db.sending import Batch, Delivery, Send
from jlgc_mailer.sending.claim import Claim
from jlgc_mailer.sending.letters import Identity, ListFace, Recipient, Signer, Stationery
from jlgc_mailer.sending.outcomes import IN_DOUBT
from jlgc_mailer.sending.readers import Readers
from jlgc_mailer.states import (
    BatchStatus,
    DeliveryStatus,
    Language,
    SendStatus,
    SkipReason,
    moves_into,
)

# The sum keeps PostgreSQL on the primary key: the index on sends has a million entries of the same send.
_IN_BATCH = and_(Delivery.id.between(bindparam("first"), bindparam("last")), Delivery.send_id + 0 == bindparam("send"))
_IS_PENDING = Delivery.status == DeliveryStatus.PENDING
_IS_DEFERRED = Delivery.status == DeliveryStatus.DEFERRED
_DUE = (
    select(
        Delivery.id,
        Delivery.attempts + 1,
        Delivery.first_attempt_at,
        func.coalesce(Delivery.subscriber_id, 0),
        Delivery.address,
        Delivery.name,
        Delivery.list_id,
        Delivery.compiled_id,
    )
    .where(_IN_BATCH, Delivery.id > bindparam("after"))
    .where(or_(_IS_PENDING, and_(_IS_DEFERRED, Delivery.next_attempt_at <= bindparam("now"))))
    .order_by(Delivery.id)
    .limit(bindparam("size"))
)
_LEFT = select(
    func.count(case((_IS_PENDING, 1))), func.min(case((_IS_DEFERRED, Delivery.next_attempt_at)), type_=UtcDateTime)
).where(_IN_BATCH)
_SKIPPABLE = moves_into(DeliveryStatus.SKIPPED)


class Due(NamedTuple):
    """Recipients to write to, in order of their ids, and the last id that was looked at; None: the range is through."""

    recipients: Sequence[Recipient]
    looked_at: int | None


def stationery(session: Session, send_id: int, identity: Identity, signer: Signer | None) -> Stationery:
    """What all letters of a send share. Its date is the planning's: all copies of a letter are the same (M12)."""
    send = session.get_one(Send, send_id)
    artefacts = artefacts_of(session, send.revision_id, send.recipe)
    return Stationery(
        replace(identity, keyring=identity.keyring.signing(send.key_id)),
        send_id,
        send.planned_at or send.due_at,
        {artefact.id: compiled_value(artefact) for artefact in artefacts},
        {
            each.id: ListFace(each.name, {language: each.title(language) for language in Language})
            for each in send.lists
        },
        signer,
    )


def list_names(session: Session, send_id: int) -> frozenset[str]:
    """The mailing lists of a send."""
    return frozenset(each.name for each in session.get_one(Send, send_id).lists)


def take_due(session: Session, claim: Claim, lists: Collection[int], after: int, size: int, now: datetime) -> Due:
    """The next recipients of a batch behind the delivery `after`, from at most `size` of them.

    Those who left all of `lists` or were suppressed since planning are skipped here, with the reason (promise 2).
    """
    found = session.connection().execute(_DUE, _range(claim) | {"after": after, "now": now, "size": size}).all()
    waiting = [Recipient(*row) for row in found]
    readers = Readers(session, lists, waiting)
    recipients, left, barred = [], [], []
    for each in waiting:
        list_id = readers.list_of(each)
        if readers.is_suppressed(each):
            barred.append(each.delivery_id)
        elif list_id is None:
            left.append(each.delivery_id)
        else:
            recipients.append(each if list_id == each.list_id else each._replace(list_id=list_id))
    _skip(session, barred, SkipReason.SUPPRESSED)
    _skip(session, left, SkipReason.UNSUBSCRIBED)
    return Due(recipients, waiting[-1].delivery_id if len(waiting) == size else None)


def skip_rest(session: Session, claim: Claim) -> bool:
    """If the send of this batch was cancelled, whoever of it still waits is skipped; whether there was anybody.

    Nobody is when the batch was lost to another worker, who may be writing to them at this moment.
    """
    ours = select(Batch.id).where(Batch.id == claim.batch_id, Batch.claim == claim.mark)
    cancelled = select(Send.id).where(Send.id == claim.send_id, Send.status == SendStatus.CANCELLED)
    within = and_(Delivery.id.between(claim.first_id, claim.last_id), Delivery.send_id == claim.send_id)
    return _skip_as_cancelled(session, and_(within, ours.exists(), cancelled.exists()))


def skip_unclaimed(session: Session, send_id: int) -> None:
    """Whoever of a cancelled send no worker has in its hands is skipped: those of batches that are done.

    The others are left to their workers, who know whom they have written to (promise 1).
    """
    ended = select(Batch.id).where(
        Batch.send_id == send_id,
        Batch.status == BatchStatus.DONE,
        Delivery.id.between(Batch.first_id, Batch.last_id),
    )
    _skip_as_cancelled(session, and_(Delivery.send_id == send_id, ended.exists()))


def _skip_as_cancelled(session: Session, whom: ColumnElement[bool]) -> bool:
    waiting = update(Delivery).where(whom, Delivery.status.in_(_SKIPPABLE))
    return session.connection().execute(waiting.values(_skipped(SkipReason.CANCELLED))).rowcount > 0


def next_due(session: Session, claim: Claim, now: datetime) -> datetime | None:
    """When the batch has work: now for pending ones, else at its earliest retry; None when all are settled."""
    pending, retry = session.connection().execute(_LEFT, _range(claim)).one()
    return now if pending else retry


def _range(claim: Claim) -> dict[str, Any]:
    return {"first": claim.first_id, "last": claim.last_id, "send": claim.send_id}


def _skip(session: Session, delivery_ids: Collection[int], reason: SkipReason) -> None:
    if delivery_ids:
        session.execute(
            update(Delivery)
            .where(Delivery.id.in_(delivery_ids), Delivery.status.in_(_SKIPPABLE))
            .values(_skipped(reason))
        )


def _skipped(reason: SkipReason) -> dict[str, Any]:
    """Left out; but whoever may have it from an attempt before is uncertain and nothing else."""
    in_doubt = and_(Delivery.status == DeliveryStatus.DEFERRED, Delivery.reason == IN_DOUBT)
    return {
        "status": case((in_doubt, DeliveryStatus.UNCERTAIN), else_=DeliveryStatus.SKIPPED),
        "reason": case((in_doubt, None), else_=reason.value),
        "next_attempt_at": None,
    }
