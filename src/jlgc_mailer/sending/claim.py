"""Claiming a batch under a lease: a guarded UPDATE, so that each batch has one worker (promise 4)."""

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, bindparam, case, func, or_, select, update
from sqlalchemy.orm import Session

from jlgc_mailer.db.among import among, listed
from jlgc_mailer.db.base import UtcDateTime
from jlgc_mailer.db.sending import Batch, Send
from jlgc_mailer.sending.uncertain import give_up
from jlgc_mailer.states import BatchStatus, Priority, SendStatus

_NUDGE_AGAIN_AFTER = timedelta(seconds=15)

# Statements are written once: to build one takes SQLAlchemy longer than to execute it.
_IS_FREE = or_(Batch.held_until.is_(None), Batch.held_until <= bindparam("now"))
_IS_READY = and_(Batch.status == BatchStatus.READY, Batch.due_at <= bindparam("now"), _IS_FREE)
_IS_ABANDONED = and_(Batch.status == BatchStatus.CLAIMED, Batch.lease_until < bindparam("now"))
_URGENT_FIRST = case((Send.priority == Priority.URGENT, 0), else_=1)
_CLAIMABLE = (
    select(Batch.id)
    .join(Send, Send.id == Batch.send_id)
    .where(Send.status == bindparam("status"), or_(_IS_READY, _IS_ABANDONED))
)
_NEXT = (
    _CLAIMABLE.add_columns(Batch.send_id, Batch.first_id, Batch.last_id, Batch.on_wire)
    .order_by(_URGENT_FIRST, Send.served_at.is_not(None), Send.served_at, Batch.due_at, Batch.id)
    .limit(1)
    .with_for_update(skip_locked=True, of=Batch)
)
_NEXT_OF = _NEXT.where(among(Batch.send_id, "sends"))
_URGENT = _CLAIMABLE.where(Send.priority == Priority.URGENT).with_only_columns(Send.id).distinct()
_UNANNOUNCED = (
    _CLAIMABLE.add_columns(Send.priority)
    .where(or_(Batch.nudged_at.is_(None), Batch.nudged_at <= bindparam("before")))
    .order_by(_URGENT_FIRST, Batch.due_at, Batch.id)
    .limit(bindparam("size"))
)
_HELD = (
    select(Batch.id, Batch.claim)
    .join(Send, Send.id == Batch.send_id)
    .where(among(Batch.id, "batches"), Send.status == bindparam("status"))
)
_IS_MINE = and_(Batch.id == bindparam("batch"), Batch.claim == bindparam("mark"))
_TAKING = (
    update(Batch)
    .where(Batch.id == bindparam("batch"))
    .values(
        status=BatchStatus.CLAIMED,
        claim=bindparam("mark"),
        lease_until=bindparam("until"),
        nudged_at=None,
        hold=None,
        held_until=None,
        on_wire=None,
    )
)
_SERVING = update(Send).where(Send.id == bindparam("send")).values(served_at=bindparam("now"))
_RENEWAL = update(Batch).where(_IS_MINE).values(lease_until=bindparam("until"), on_wire=bindparam("intent"))
_RELEASE = (
    update(Batch)
    .where(_IS_MINE)
    .values(
        status=bindparam("status"),
        due_at=func.coalesce(bindparam("due", type_=UtcDateTime), Batch.due_at),
        nudged_at=None,
        claim=None,
        lease_until=None,
        on_wire=None,
        hold=bindparam("why"),
        held_until=bindparam("until"),
    )
)


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
    connection, of_these = session.connection(), {} if sends is None else {"sends": listed(sends)}
    found = connection.execute(_NEXT_OF if of_these else _NEXT, {"now": now, "status": status} | of_these).first()
    if found is None:
        return None
    batch_id, send_id, first_id, last_id, on_wire = found
    claim = Claim(batch_id, send_id, first_id, last_id, secrets.randbits(62))
    connection.execute(_TAKING, {"batch": batch_id, "mark": claim.mark, "until": now + lease})
    connection.execute(_SERVING, {"send": send_id, "now": now})
    give_up(session, send_id, json.loads(on_wire or "[]"), now)
    return claim


def urgent_waits(session: Session, now: datetime) -> Sequence[int]:
    """The urgent sends that have a batch to claim now."""
    return session.connection().scalars(_URGENT, {"now": now, "status": SendStatus.SENDING}).all()


def renew(session: Session, claim: Claim, until: datetime, on_wire: Collection[int]) -> bool:
    """Prolong the lease and write down the intent; False when the batch was lost to another worker."""
    intent = json.dumps(list(on_wire)) if on_wire else None
    values = {"batch": claim.batch_id, "mark": claim.mark, "until": until, "intent": intent}
    return session.connection().execute(_RENEWAL, values).rowcount == 1


def release(
    session: Session, claim: Claim, due_at: datetime | None, hold: str | None = None, held_until: datetime | None = None
) -> None:
    """Give the batch back until `due_at` and the end of a hold, or mark it done when `due_at` is None."""
    status = BatchStatus.DONE if due_at is None else BatchStatus.READY
    values = {"batch": claim.batch_id, "mark": claim.mark, "status": status, "due": due_at}
    session.connection().execute(_RELEASE, values | {"why": hold, "until": held_until})


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
    batches = listed(claim.batch_id for claim in claims)
    held = session.connection().execute(_HELD, {"batches": batches, "status": SendStatus.SENDING})
    ours: Mapping[int, int | None] = dict(iter(held))
    return any(ours.get(claim.batch_id) != claim.mark for claim in claims)


def take_nudges(session: Session, now: datetime, at_most: int) -> Mapping[Priority, int]:
    """How many messages to put on the queues now: one for each claimable batch that had none lately.

    A lost message costs a quarter of a minute; a surplus one finds nothing to claim. More than the workers can begin at
    once would only pile up, as each turn goes on with the next batch by itself.
    """
    values = {"now": now, "status": SendStatus.SENDING, "before": now - _NUDGE_AGAIN_AFTER, "size": at_most}
    chosen = session.connection().execute(_UNANNOUNCED, values).all()
    session.execute(update(Batch).where(Batch.id.in_([batch_id for batch_id, _ in chosen])).values(nudged_at=now))
    return {priority: sum(each is priority for _, each in chosen) for priority in Priority}


def forget_nudges(session: Session) -> None:
    """For a broker that has just begun with an empty queue: nothing is announced."""
    session.execute(update(Batch).where(Batch.status != BatchStatus.DONE).values(nudged_at=None))
