"""Amends: what staff do afterwards about the refused and the uncertain.

Whoever gets another try is deferred and due now, and their batch is ready again, whatever became of the send since.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Row, and_, case, func, select, update
from sqlalchemy.orm import Session

from jlgc_mailer.db.sending import Attempt, Batch, Delivery, Send
from jlgc_mailer.errors import NotAllowedNow, NotFound
from jlgc_mailer.mail.address import key_of
from jlgc_mailer.sending.outcomes import IN_DOUBT
from jlgc_mailer.sending.schedule import find_send
from jlgc_mailer.states import BatchStatus, DeliveryStatus, ReplyClass, SendStatus

SETTLED_BY_HAND = "settled by hand"


class Settlement(StrEnum):
    """What staff found out about the uncertain, or decide."""

    RESEND = "resend"
    ACCEPTED = "accepted"


@dataclass(frozen=True)
class Amended:
    """How many deliveries were changed, and how many were left because a worker holds their batch at this moment."""

    changed: int
    busy: int


def refused(session: Session, send_id: int, reasons: Collection[ReplyClass] = ()) -> int:
    """How many of a send are refused, for any of these reasons if some are given."""
    return _count(session, _refused(send_id, reasons))


def retry(session: Session, send_id: int, reasons: Collection[ReplyClass], now: datetime) -> Amended:
    """The refused, or those of these reasons, are due again now, and the time until giving up begins anew.

    Who is suppressed or has left is skipped when the turn comes. Raises NotAllowedNow for a cancelled send.
    """
    return _due_again(session, send_id, _refused(send_id, reasons), now)


def uncertain_of(session: Session, send_id: int, addresses: Collection[str] = ()) -> list[int]:
    """The uncertain deliveries of a send, or those to these addresses; raises NotFound for one that is not so."""
    mine = select(Delivery.id, Delivery.address).where(
        Delivery.send_id == send_id, Delivery.status == DeliveryStatus.UNCERTAIN
    )
    found = [(delivery_id, key_of(address)) for delivery_id, address in session.execute(mine.order_by(Delivery.id))]
    for address in addresses:
        if key_of(address) not in {key for _, key in found}:
            raise NotFound(kind="uncertain recipient", name=address, remedy=f"See: jlgc-mailer sends show {send_id}")
    wanted = {key_of(address) for address in addresses}
    return [delivery_id for delivery_id, key in found if not wanted or key in wanted]


def settle(session: Session, send_id: int, how: Settlement, addresses: Collection[str], now: datetime) -> Amended:
    """The uncertain, or those of these addresses, are sent again (due now) or count as accepted from now on.

    Raises NotFound for an address that is not uncertain, NotAllowedNow for sending more of a cancelled send.
    """
    find_send(session, send_id)
    these = and_(
        Delivery.id.in_(uncertain_of(session, send_id, addresses)),
        Delivery.send_id == send_id,
        Delivery.status == DeliveryStatus.UNCERTAIN,
    )
    if how is Settlement.RESEND:
        return _due_again(session, send_id, these, now)
    accepted = update(Delivery).where(these).values(status=DeliveryStatus.ACCEPTED, reason=SETTLED_BY_HAND)
    return Amended(len(session.execute(accepted.returning(Delivery.id)).all()), 0)


def _refused(send_id: int, reasons: Collection[ReplyClass]) -> ColumnElement[bool]:
    these = and_(Delivery.send_id == send_id, Delivery.status == DeliveryStatus.REFUSED)
    return and_(these, Delivery.reason.in_(list(reasons))) if reasons else these


def _count(session: Session, these: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(Delivery).where(these)) or 0


def _due_again(session: Session, send_id: int, these: ColumnElement[bool], now: datetime) -> Amended:
    """Batches are locked before the send, as workers do it, and those that somebody has locked are left alone.

    So is a batch that a worker holds: on giving it back the worker would not see what has been added.
    """
    _refuse_cancelled(find_send(session, send_id))
    changed = sum(_defer(session, these, ids, now) for ids in _make_ready(session, send_id, these, now))
    if changed:
        _reopen(session, send_id)
    return Amended(changed, _count(session, these))


def _refuse_cancelled(send: Send) -> None:
    if send.status is SendStatus.CANCELLED:
        remedy = "Schedule the issue again for those who need it."
        raise NotAllowedNow(
            kind="send", name=send.id, action="taken up again", problem="it is cancelled", remedy=remedy
        )


def _make_ready(session: Session, send_id: int, these: ColumnElement[bool], now: datetime) -> Sequence[Row[int, int]]:
    """The batches that hold any of these and that nobody works on, as ranges of ids; they are ready from now on."""
    holds_some = select(Delivery.id).where(these, Delivery.id.between(Batch.first_id, Batch.last_id)).exists()
    idle = Batch.status.in_((BatchStatus.READY, BatchStatus.DONE))
    free = select(Batch.id).where(Batch.send_id == send_id, idle, holds_some).with_for_update(skip_locked=True)
    return session.execute(
        update(Batch)
        .where(Batch.id.in_(free.scalar_subquery()))
        .values(status=BatchStatus.READY, due_at=now, nudged_at=None, hold=None, held_until=None)
        .returning(Batch.first_id, Batch.last_id)
    ).all()


def _defer(session: Session, these: ColumnElement[bool], ids: Row[int, int], now: datetime) -> int:
    """Whoever may have it from an attempt that stayed uncertain is in doubt still, whatever was refused since."""
    lost = select(Attempt.id).where(Attempt.delivery_id == Delivery.id, Attempt.outcome == DeliveryStatus.UNCERTAIN)
    reason = case((lost.exists(), IN_DOUBT))
    deferred = session.execute(
        update(Delivery)
        .where(these, Delivery.id.between(*ids))
        .values(status=DeliveryStatus.DEFERRED, reason=reason, next_attempt_at=now, first_attempt_at=None)
        .returning(Delivery.id)
    )
    return len(deferred.all())


def _reopen(session: Session, send_id: int) -> None:
    """Whoever finishes a send locks it too, and looks for open batches only then."""
    send = session.get_one(Send, send_id, populate_existing=True, with_for_update=True)
    _refuse_cancelled(send)
    if send.status is SendStatus.FINISHED:
        send.status, send.finished_at = SendStatus.SENDING, None
        session.flush()
