"""The ledger read: whom a batch is due to write to now, who has left meanwhile, and when it has work again."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from jlgc_mailer.content.issues import artefacts_of, compiled_value
from jlgc_mailer.db.base import among
from jlgc_mailer.db.people import Subscription, Suppression
from jlgc_mailer.db.sending import Batch, Delivery, Send
from jlgc_mailer.mail.address import key_of
from jlgc_mailer.sending.claim import Claim
from jlgc_mailer.sending.letters import Identity, ListFace, Recipient, Signer, Stationery
from jlgc_mailer.states import (
    BatchStatus,
    DeliveryStatus,
    Language,
    SendStatus,
    SkipReason,
    SubscriptionStatus,
    moves_into,
)

_ADDRESSED = (Delivery.subscriber_id, Delivery.address, Delivery.name, Delivery.list_id, Delivery.compiled_id)
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
    columns = (Delivery.id, Delivery.attempts, Delivery.first_attempt_at, *_ADDRESSED)
    due = select(*columns).where(Delivery.id > after, _of(claim), _due(now)).order_by(Delivery.id).limit(size)
    rows = session.execute(due).all()
    readers = _Readers(session, lists, rows)
    told = [(row, readers.list_of(row)) for row in rows]
    barred = [row.id for row in rows if readers.is_suppressed(row)]
    _skip(session, barred, SkipReason.SUPPRESSED)
    _skip(session, [row.id for row, list_id in told if list_id is None], SkipReason.UNSUBSCRIBED)
    recipients = [_recipient(row, list_id, now) for row, list_id in told if list_id is not None]
    if barred:
        recipients = [each for each in recipients if each.delivery_id not in barred]
    return Due(recipients, rows[-1].id if len(rows) == size else None)


def _recipient(row: Any, list_id: int, now: datetime) -> Recipient:
    delivery_id, attempts, first_attempt_at, subscriber_id, address, name, _, compiled_id = row
    return Recipient(
        delivery_id, attempts + 1, first_attempt_at or now, subscriber_id, address, name, list_id, compiled_id
    )


def departed(session: Session, lists: Collection[int], delivery_ids: Collection[int]) -> Collection[int]:
    """Those of these deliveries whose readers left or were suppressed a moment ago (L4)."""
    rows = session.execute(select(Delivery.id, *_ADDRESSED).where(among(session, Delivery.id, delivery_ids))).all()
    readers = _Readers(session, lists, rows)
    return [row.id for row in rows if readers.list_of(row) is None or readers.is_suppressed(row)]


class _Readers:
    """What readers want at this moment: which of the lists they are on, and whose address is barred.

    Asked by key, not joined: without fresh statistics, as after planning, PostgreSQL walks whole tables for a join.
    """

    def __init__(self, session: Session, lists: Collection[int], rows: Sequence[Any]) -> None:
        ties = select(Subscription.subscriber_id, Subscription.list_id).where(
            among(session, Subscription.subscriber_id, [row.subscriber_id for row in rows]),
            Subscription.status == SubscriptionStatus.CONFIRMED,
        )
        bars = select(Suppression.address_key).where(
            among(session, Suppression.address_key, [key_of(row.address) for row in rows]),
            Suppression.released_at.is_(None),
        )
        self._lists: dict[int | None, list[int]] = {}
        for subscriber_id, list_id in session.execute(ties):
            if list_id in lists:
                self._lists.setdefault(subscriber_id, []).append(list_id)
        self._barred = set(session.scalars(bars))

    def list_of(self, row: Any) -> int | None:
        """The list that the letter names: the planned one, or another of the send's that the reader is still on."""
        still = self._lists.get(row.subscriber_id, ())
        return row.list_id if row.list_id in still else min(still, default=None)

    def is_suppressed(self, row: Any) -> bool:
        return bool(self._barred) and key_of(row.address) in self._barred


def skip_rest(session: Session, claim: Claim) -> None:
    """If the send of this batch was cancelled, whoever of it still waits is skipped; otherwise nothing happens."""
    cancelled = select(Send.id).where(Send.id == claim.send_id, Send.status == SendStatus.CANCELLED).exists()
    _skip_as_cancelled(session, and_(_of(claim), cancelled))


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


def _skip_as_cancelled(session: Session, whom: ColumnElement[bool]) -> None:
    session.execute(
        update(Delivery)
        .where(whom, Delivery.status.in_(_SKIPPABLE))
        .values(status=DeliveryStatus.SKIPPED, reason=SkipReason.CANCELLED, next_attempt_at=None)
    )


def next_due(session: Session, claim: Claim, now: datetime) -> datetime | None:
    """When the batch has work: now for pending ones, else at its earliest retry; None when all are settled."""
    pending = select(Delivery.id).where(_of(claim), Delivery.status == DeliveryStatus.PENDING).limit(1)
    if session.scalar(pending):
        return now
    retries = select(func.min(Delivery.next_attempt_at)).where(_of(claim), Delivery.status == DeliveryStatus.DEFERRED)
    return session.scalar(retries)


def _of(claim: Claim) -> ColumnElement[bool]:
    """The sum keeps PostgreSQL on the primary key: the index on sends has a million entries of the same send."""
    return and_(Delivery.id.between(claim.first_id, claim.last_id), Delivery.send_id + 0 == claim.send_id)


def _due(now: datetime) -> ColumnElement[bool]:
    retry = and_(Delivery.status == DeliveryStatus.DEFERRED, Delivery.next_attempt_at <= now)
    return or_(Delivery.status == DeliveryStatus.PENDING, retry)


def _skip(session: Session, delivery_ids: Collection[int], reason: SkipReason) -> None:
    if delivery_ids:
        session.execute(
            update(Delivery)
            .where(among(session, Delivery.id, delivery_ids), Delivery.status.in_(_SKIPPABLE))
            .values(status=DeliveryStatus.SKIPPED, reason=reason, next_attempt_at=None)
        )
