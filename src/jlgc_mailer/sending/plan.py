"""Planning: the audience of a send is resolved into deliveries and these into batches, once."""

import logging
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from sqlalchemy import Row, Select, Subquery, case, func, insert, literal, select, update
from sqlalchemy.orm import Session

from jlgc_mailer.content.artefacts import artefacts_of
from jlgc_mailer.db.base import Database
from jlgc_mailer.db.people import Subscriber, Subscription, Suppression
from jlgc_mailer.db.sending import Batch, Delivery, Send
from jlgc_mailer.errors import MailerError, NotAllowedNow
from jlgc_mailer.sending.waves import WallClock, zone_of
from jlgc_mailer.states import (
    BatchStatus,
    DeliveryStatus,
    Language,
    Priority,
    SendStatus,
    SkipReason,
    SubscriptionStatus,
    moves_into,
)

log = logging.getLogger("jlgc_mailer.sending")
_COLUMNS = ("send_id", "subscriber_id", "list_id", "compiled_id", "address", "name", "status", "reason", "attempts")


def due_sends(session: Session, now: datetime, priorities: Collection[Priority] = tuple(Priority)) -> Sequence[int]:
    """The sends of these priorities whose time has come and which are not planned yet, in order of time."""
    due = select(Send.id).where(Send.status == SendStatus.SCHEDULED, Send.due_at <= now)
    return session.scalars(due.where(Send.priority.in_(priorities)).order_by(Send.due_at, Send.id)).all()


def plan_due(
    database: Database, now: datetime, key_id: int, priorities: Collection[Priority] = tuple(Priority)
) -> None:
    """Plan each send whose time has come, in a transaction of its own.

    One that cannot be planned is told in the log and keeps no other waiting.
    """
    with database.reading() as session:
        waiting = due_sends(session, now, priorities)
    for send_id in waiting:
        try:
            with database.transaction() as session:
                batches = plan(session, send_id, now, key_id)
        except MailerError as error:
            log.error("send %d cannot be planned: %s", send_id, error)
        else:
            if batches is not None:
                log.info("send %d planned: %d batches", send_id, batches)


def plan(session: Session, send_id: int, now: datetime, key_id: int) -> int | None:
    """Resolve the audience of a due send, in one transaction; the number of batches.

    `key_id` names the secret that its letters are signed with. Idempotent: only the transaction that moves the send
    from scheduled to sending plans it, every other gets None. Raises NotAllowedNow for a send without letters.
    """
    due = select(Send.id).where(Send.id == send_id, Send.status == SendStatus.SCHEDULED, Send.due_at <= now)
    free = due.with_for_update(skip_locked=True)  # nobody waits for another who is at it
    started = session.execute(
        update(Send)
        .where(Send.id.in_(free.scalar_subquery()))
        .values(status=SendStatus.SENDING, planned_at=now, key_id=key_id)
        .returning(Send.id)
    )
    if started.first() is None:
        return None
    send = session.get_one(Send, send_id, populate_existing=True)
    session.execute(insert(Delivery).from_select(_COLUMNS, _audience(send, _editions(session, send))))
    batches = _cut_into_batches(session, send, now)
    finish_done(session, now)
    return batches


def finish_done(session: Session, now: datetime) -> None:
    """Every send under way of which no batch is left is finished.

    Call it after the commit that ended a batch: two workers that end the last two batches at the same moment do
    not see each other's before. A send is locked first and judged by a second statement, because on PostgreSQL a
    statement that waited for whoever makes batches ready again (`sends retry`) still does not see these.
    """
    open_batch = select(Batch.id).where(Batch.send_id == Send.id, Batch.status != BatchStatus.DONE).exists()
    under_way = Send.status.in_(moves_into(SendStatus.FINISHED))
    done = session.scalars(select(Send.id).where(under_way, ~open_batch).order_by(Send.id).with_for_update()).all()
    if done:
        session.execute(
            update(Send)
            .where(Send.id.in_(done), under_way, ~open_batch)
            .values(status=SendStatus.FINISHED, finished_at=now)
        )


def _audience(send: Send, editions: dict[Language, int]) -> Select[*tuple[object, ...]]:
    """Everybody confirmed on any list of the send, once; the suppressed are in it as skipped, so all add up."""
    ties = _ties([each.id for each in send.lists])
    is_suppressed = Suppression.id.is_not(None)
    rows = (
        select(
            literal(send.id),
            Subscriber.id,
            ties.c.list_id,
            case(editions, value=Subscriber.language, else_=next(iter(editions.values()))),
            Subscriber.address,
            Subscriber.name,
            case((is_suppressed, DeliveryStatus.SKIPPED.value), else_=DeliveryStatus.PENDING.value),
            case((is_suppressed, SkipReason.SUPPRESSED.value)),
            literal(0),
        )
        .join(ties, ties.c.subscriber_id == Subscriber.id)
        .outerjoin(Suppression, (Suppression.address_key == Subscriber.address_key) & Suppression.released_at.is_(None))
    )
    # Batches are ranges of ids, so that readers of one zone have to be neighbours. Sorting costs a third more.
    return rows.order_by(zone_of(send.zone).element, Subscriber.id) if send.is_by_local_time else rows


def _ties(list_ids: Sequence[int]) -> Subquery:
    """Who is confirmed on these lists, each once; grouping is spared the usual send, which has one list."""
    confirmed = Subscription.status == SubscriptionStatus.CONFIRMED
    if len(list_ids) == 1:
        one = select(Subscription.subscriber_id, Subscription.list_id)
        return one.where(Subscription.list_id == list_ids[0], confirmed).subquery()
    first = select(Subscription.subscriber_id, func.min(Subscription.list_id).label("list_id"))
    return first.where(Subscription.list_id.in_(list_ids), confirmed).group_by(Subscription.subscriber_id).subquery()


def _editions(session: Session, send: Send) -> dict[Language, int]:
    """The compiled artefact for each language; the first is for readers of a language that has no edition."""
    editions = {each.language: each.id for each in artefacts_of(session, send.revision_id, send.recipe)}
    if not editions:
        raise NotAllowedNow(
            kind="send",
            name=send.id,
            action="planned",
            problem="its compiled letters are missing from the database",
            remedy=f"Schedule the issue again, and give: jlgc-mailer sends cancel {send.id}",
        )
    return editions


def _cut_into_batches(session: Session, send: Send, now: datetime) -> int:
    """Batches are ranges of delivery ids, none with readers of two waves; the number of them."""
    rows = [
        {"number": number, "first_id": first, "last_id": last, "due_at": due_at}
        for number, (first, last, due_at) in enumerate(_ranges(session, send, now), 1)
    ]
    if rows:
        session.execute(insert(Batch).values(send_id=send.id, status=BatchStatus.READY), rows)
    return len(rows)


def _ranges(session: Session, send: Send, now: datetime) -> Iterator[tuple[int, int, datetime]]:
    """First id, last id and due time of each batch; no two overlap."""
    clock = WallClock(send.local_at or send.due_at, send.zone)
    end = 0
    for first, last, zone in _stretches(session, send):
        due_at = max(now, clock.moment_in(zone))
        for start in range(max(first, end + 1), last + 1, send.batch_size):
            end = min(start + send.batch_size - 1, last)
            yield start, end, due_at


def _stretches(session: Session, send: Send) -> Sequence[Row[int, int, str]]:
    """From where to where the ids of each zone go, if anybody waits; all are in the send's own unless by local time.

    The skipped among them are counted in: leaving them out would read every row again, where an index is enough.
    """
    mine = Delivery.send_id == send.id
    ends = func.min(Delivery.id), func.max(Delivery.id)
    if not send.is_by_local_time:
        waits = select(Delivery.id).where(mine, Delivery.status == DeliveryStatus.PENDING).correlate(None).exists()
        return session.execute(select(*ends, literal(send.zone)).where(mine).having(waits)).all()
    by_zone = select(*ends, zone_of(send.zone)).join(Subscriber, Subscriber.id == Delivery.subscriber_id)
    waiting = by_zone.where(mine, Delivery.status == DeliveryStatus.PENDING)
    return session.execute(waiting.group_by("lives_in").order_by(func.min(Delivery.id))).all()
