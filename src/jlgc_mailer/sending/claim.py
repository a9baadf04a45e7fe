"""Claiming a batch under a lease: a guarded UPDATE, so that each batch has one worker (promise 4)."""

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, or_, select, update
from sqlalchemy.orm import Session

from jlgc_mailer.db.sending import Batch, Send
from jlgc_mailer.sending.uncertain import give_up
from jlgc_mailer.states import BatchStatus, Priority, SendStatus

_RENEWAL = (
    update(Batch)
    .where(Batch.id == bindparam("batch"), Batch.claim == bindparam("mark"))
    .values(lease_until=bindparam("until"), on_wire=bindparam("intent"))
)
_NUDGE_AGAIN_AFTER = timedelta(seconds=15)


@dataclass(frozen=True)
class Claim:
    """A batch that is ours until the lease ends."""

    batch_id: int
    send_id: int
    first_id: int
    last_id: int
    mark: int


def claim_next(
    session: Session,
    now: datetime,
    lease: timedelta,
    sends: Collection[int] | None = None,
    status: SendStatus = SendStatus.SENDING,
) -> Claim | None:
    """Claim the next batch of any send that is under way, or of one of `sends`; None when nothing waits.

    Urgent sends come first; among equals the one that was served longest ago, so that several sends share fairly. A
    batch whose lease ran out is claimed like a new one: what its worker had on the wire becomes uncertain, and is
    sent again only if the send's policy says so (STANDARDS S4).
    """
    waiting = _claimable(now, status)
    if sends is not None:
        waiting = waiting.where(Batch.send_id.in_(sends))
    turn = (_urgent_first(), Send.served_at.is_not(None), Send.served_at, Batch.due_at, Batch.id)
    first = waiting.order_by(*turn).limit(1).with_for_update(skip_locked=True, of=Batch)
    found = session.execute(first.add_columns(Batch.send_id, Batch.first_id, Batch.last_id, Batch.on_wire)).first()
    if found is None:
        return None
    batch_id, send_id, first_id, last_id, on_wire = found
    claim = Claim(batch_id, send_id, first_id, last_id, secrets.randbits(62))
    session.execute(
        update(Batch)
        .where(Batch.id == batch_id)
        .values(
            status=BatchStatus.CLAIMED,
            claim=claim.mark,
            lease_until=now + lease,
            nudged_at=None,
            hold=None,
            held_until=None,
            on_wire=None,
        )
    )
    session.execute(update(Send).where(Send.id == send_id).values(served_at=now))
    give_up(session, send_id, json.loads(on_wire or "[]"), now)
    return claim


def urgent_waits(session: Session, now: datetime) -> Sequence[int]:
    """The urgent sends that have a batch to claim now."""
    urgent = _claimable(now).where(Send.priority == Priority.URGENT).with_only_columns(Send.id).distinct()
    return session.scalars(urgent).all()


def renew(session: Session, claim: Claim, until: datetime, on_wire: Collection[int]) -> bool:
    """Prolong the lease and write down the intent; False when the batch was lost to another worker."""
    intent = json.dumps(list(on_wire)) if on_wire else None
    values = {"batch": claim.batch_id, "mark": claim.mark, "until": until, "intent": intent}
    return session.connection().execute(_RENEWAL, values).rowcount == 1


def release(
    session: Session, claim: Claim, due_at: datetime | None, hold: str | None = None, held_until: datetime | None = None
) -> None:
    """Give the batch back until `due_at` and the end of a hold, or mark it done when `due_at` is None."""
    session.execute(
        update(Batch)
        .where(_mine(claim))
        .values(
            status=BatchStatus.DONE if due_at is None else BatchStatus.READY,
            due_at=due_at or Batch.due_at,
            nudged_at=None,
            claim=None,
            lease_until=None,
            on_wire=None,
            hold=hold,
            held_until=held_until,
        )
    )


def hold_send(session: Session, send_id: int, until: datetime, why: str) -> None:
    """All batches of a send wait until then, because there is no way out for it.

    One that is just being claimed is left to its worker, who may wait for the send that is locked here.
    """
    ready = select(Batch.id).where(Batch.send_id == send_id, Batch.status == BatchStatus.READY)
    free = ready.with_for_update(skip_locked=True)
    session.execute(
        update(Batch).where(Batch.id.in_(free.scalar_subquery())).values(held_until=until, hold=why, nudged_at=None)
    )


def end_holds(session: Session) -> None:
    """Batches that were held are so no more: somebody has seen to the reason."""
    session.execute(
        update(Batch)
        .where(Batch.status == BatchStatus.READY, Batch.hold.is_not(None))
        .values(held_until=None, hold=None, nudged_at=None)
    )


def lost(session: Session, claims: Collection[Claim]) -> bool:
    """Whether any of these batches is no longer ours, or its send was paused or cancelled."""
    held = session.execute(
        select(Batch.id, Batch.claim)
        .join(Send, Send.id == Batch.send_id)
        .where(Batch.id.in_([claim.batch_id for claim in claims]), Send.status == SendStatus.SENDING)
    )
    ours: Mapping[int, int | None] = dict(iter(held))
    return any(ours.get(claim.batch_id) != claim.mark for claim in claims)


def take_nudges(session: Session, now: datetime, at_most: int) -> Mapping[Priority, int]:
    """How many messages to put on the queues now: one for each claimable batch that had none lately.

    A lost message costs a quarter of a minute; a surplus one finds nothing to claim. More than the workers can begin at
    once would only pile up, as each turn goes on with the next batch by itself.
    """
    unannounced = or_(Batch.nudged_at.is_(None), Batch.nudged_at <= now - _NUDGE_AGAIN_AFTER)
    waiting = _claimable(now).where(unannounced).add_columns(Send.priority)
    chosen = session.execute(waiting.order_by(_urgent_first(), Batch.due_at, Batch.id).limit(at_most)).all()
    session.execute(update(Batch).where(Batch.id.in_([batch_id for batch_id, _ in chosen])).values(nudged_at=now))
    return {priority: sum(each is priority for _, each in chosen) for priority in Priority}


def forget_nudges(session: Session) -> None:
    """For a broker that has just begun with an empty queue: nothing is announced."""
    session.execute(update(Batch).where(Batch.status != BatchStatus.DONE).values(nudged_at=None))


def _claimable(now: datetime, status: SendStatus = SendStatus.SENDING) -> Select[int]:
    is_free = or_(Batch.held_until.is_(None), Batch.held_until <= now)
    ready = and_(Batch.status == BatchStatus.READY, Batch.due_at <= now, is_free)
    abandoned = and_(Batch.status == BatchStatus.CLAIMED, Batch.lease_until < now)
    of_sends = select(Batch.id).join(Send, Send.id == Batch.send_id).where(Send.status == status)
    return of_sends.where(or_(ready, abandoned))


def _urgent_first() -> ColumnElement[int]:
    return case((Send.priority == Priority.URGENT, 0), else_=1)


def _mine(claim: Claim) -> ColumnElement[bool]:
    return and_(Batch.id == claim.batch_id, Batch.claim == claim.mark)
