"""When a send is due, and the moves a person makes with it: schedule, pause, resume, cancel."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import and_, select, update
from sqlalchemy.orm import Session

from jlgc_mailer.audience.zones import zone_named
from jlgc_mailer.db.feedback import Trip
from jlgc_mailer.db.issues import CompiledArtefact
from jlgc_mailer.db.people import MailingList
from jlgc_mailer.db.sending import Batch, Send
from jlgc_mailer.errors import AmbiguousLocalTime, InvalidInput, NoSuchLocalTime, NotAllowedNow, NotFound
from jlgc_mailer.sending.ledger import skip_unclaimed
from jlgc_mailer.sending.waves import WallClock, waves
from jlgc_mailer.states import (
    BatchStatus,
    Priority,
    SendStatus,
    UncertainPolicy,
    check_move,
    moves_into,
)

_PAST_TOLERANCE = timedelta(minutes=1)


@dataclass(frozen=True)
class Order:
    """What a person asks for when scheduling: everything but the content.

    With `local_time` the clocks of `zone` show at `due_at` what those of each reader's own zone are to show.
    """

    due_at: datetime
    zone: str
    lists: Sequence[MailingList]
    on_uncertain: UncertainPolicy
    batch_size: int
    priority: Priority = Priority.NORMAL
    local_time: bool = False


def local_moment(text: str, zone: ZoneInfo) -> datetime:
    """The moment in UTC that `2026-03-29 09:00` means in `zone`; an offset such as `+01:00` at its end is obeyed.

    A time that the clocks skip or repeat is refused with the two candidates: NoSuchLocalTime, AmbiguousLocalTime.
    """
    try:
        given = datetime.fromisoformat(text.strip())
        if given.tzinfo is not None:
            return given.astimezone(UTC)
        earlier, later = sorted(given.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    except (ValueError, OverflowError):
        problem = "write the date and time as 2026-12-01 09:00."
        raise InvalidInput(what="Time", value=text, problem=problem) from None
    if earlier == later:
        return earlier
    skipped = earlier.astimezone(zone).replace(tzinfo=None) != given
    raise (NoSuchLocalTime if skipped else AmbiguousLocalTime)(
        local=f"{given:%Y-%m-%d %H:%M}",
        zone=zone.key,
        first=earlier.astimezone(zone).isoformat(" ", "minutes"),
        second=later.astimezone(zone).isoformat(" ", "minutes"),
    )


def schedule(session: Session, artefacts: Sequence[CompiledArtefact], order: Order, now: datetime) -> Send:
    """A new send of these compiled artefacts (all of one revision and recipe) to these lists.

    Nothing is planned yet: the audience is resolved when it is due; by local time, when the first of those who are
    readers now have reached it. Raises InvalidInput for a time gone by in the zone of the order.
    """
    if order.due_at < now - _PAST_TOLERANCE:
        when = order.due_at.astimezone(zone_named(order.zone)).isoformat(" ", "minutes")
        raise InvalidInput(what="Time", value=when, problem="it has gone by. Choose a later one, or --now.")
    send = Send(
        revision_id=artefacts[0].revision_id,
        recipe=artefacts[0].recipe,
        status=SendStatus.SCHEDULED,
        due_at=_first_due(session, order, now),
        zone=order.zone,
        on_uncertain=order.on_uncertain,
        priority=order.priority,
        local_at=order.due_at if order.local_time else None,
        batch_size=order.batch_size,
        created_at=now,
        lists=list(order.lists),
    )
    session.add(send)
    session.flush()
    return send


def _first_due(session: Session, order: Order, now: datetime) -> datetime:
    if not order.local_time:
        return order.due_at
    clock = WallClock(order.due_at, order.zone)
    found = waves(session, [each.id for each in order.lists], clock, now)
    return min([order.due_at, *(wave.due_at for wave in found)])


def find_send(session: Session, send_id: int) -> Send:
    """The send of that number; raises NotFound."""
    send = session.get(Send, send_id)
    if send is None:
        raise NotFound(kind="send", name=send_id, remedy="See: jlgc-mailer sends list")
    return send


def all_sends(session: Session) -> list[Send]:
    """All sends, newest first."""
    return list(session.scalars(select(Send).order_by(Send.id.desc())))


def pause(session: Session, send_id: int) -> None:
    """Workers stop before their next message, within a second (promise 7)."""
    _move(session, find_send(session, send_id), SendStatus.PAUSED)


def resume(session: Session, send_id: int) -> None:
    """A paused send goes on where it was; if it had paused itself, its numbers are tolerated from now on."""
    send = find_send(session, send_id)
    if send.status is not SendStatus.PAUSED:
        raise NotAllowedNow(
            kind="send", name=send_id, action="resumed", problem=f"it is {send.status}", remedy="Only a paused one can."
        )
    _move(session, send, SendStatus.SENDING if send.planned_at else SendStatus.SCHEDULED)
    session.execute(update(Trip).where(Trip.send_id == send_id).values(resumed=True))


def cancel(session: Session, send_id: int, now: datetime) -> None:
    """Nobody who has not got it yet will; each of them is recorded as skipped, because it was cancelled.

    Deliveries on the wire at this instant are still recorded as what they become; their worker skips the rest.
    """
    send, ready = find_send(session, send_id), and_(Batch.send_id == send_id, Batch.status == BatchStatus.READY)
    # Whoever claims a batch locks it and then the send: the same order here, or each would wait for the other.
    session.execute(select(Batch.id).where(ready).order_by(Batch.id).with_for_update())
    _move(session, send, SendStatus.CANCELLED)
    session.execute(update(Send).where(Send.id == send_id).values(finished_at=now))
    session.execute(update(Batch).where(ready).values(status=BatchStatus.DONE))
    skip_unclaimed(session, send_id)


def _move(session: Session, send: Send, new: SendStatus) -> None:
    """A guarded UPDATE: its row count is the verdict; the loser of a race is told the state it lost to."""
    moved = session.execute(
        update(Send).where(Send.id == send.id, Send.status.in_(moves_into(new))).values(status=new).returning(Send.id)
    )
    if moved.first() is None:
        session.refresh(send)
        check_move(f"Send {send.id}", send.status, new)
