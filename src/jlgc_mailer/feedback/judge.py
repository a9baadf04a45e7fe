"""Judging: the only place that draws consequences from feedback, in order of arrival and once per event."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from jlgc_mailer.audience.leaving import leave, link_of
from jlgc_mailer.audience.subscriptions import Evidence
from jlgc_mailer.audience.suppression import Bar, released, suppress_all
from jlgc_mailer.db.among import among, listed
from jlgc_mailer.db.feedback import Alert, FeedbackEvent
from jlgc_mailer.db.people import ConsentRecord, Subscriber
from jlgc_mailer.db.sending import Delivery
from jlgc_mailer.feedback.policy import Decision, Event, History, Policy, decide
from jlgc_mailer.feedback.resolving import BY_HAND
from jlgc_mailer.states import ConsentAction, DeliveryStatus, FeedbackClass, ReplyClass, Verdict

log = logging.getLogger("jlgc_mailer.feedback")
_AT_ONCE = 500
_LOCK = 0x6A756467  # "judg": one judge at a time, so that each sees all that was judged before
_FAILED = (FeedbackClass.HARD, FeedbackClass.SOFT)
_JOINED_AT = (
    select(func.max(ConsentRecord.at))
    .where(ConsentRecord.subscriber_id == Delivery.subscriber_id, ConsentRecord.list_id == Delivery.list_id)
    .where(ConsentRecord.action == ConsentAction.GIVEN)
    .scalar_subquery()
)
# The last columns of Arrived.
OF_DELIVERY = (Delivery.send_id, Delivery.subscriber_id, Delivery.first_attempt_at, _JOINED_AT)


class Arrived(NamedTuple):
    """An event that waits for its verdict, with what its delivery has to say."""

    id: int
    received_at: datetime
    source: str
    feedback_class: FeedbackClass
    reply_class: ReplyClass
    believed: bool
    why: str | None
    rule: str | None
    diagnosis: str
    address_key: str
    delivery_id: int | None
    send_id: int | None
    subscriber_id: int | None
    sent_at: datetime | None
    joined_at: datetime | None

    @property
    def event(self) -> Event:
        """What the policy has to know of it."""
        sent_at = self.sent_at or self.received_at
        by_hand = self.source == BY_HAND
        return Event(
            self.feedback_class, self.received_at, self.believed, self.send_id, sent_at, self.joined_at, by_hand
        )


class Judged(NamedTuple):
    """An event with its verdict."""

    arrived: Arrived
    decision: Decision


def judge_waiting(session: Session, now: datetime, policy: Policy) -> int:
    """Judge the events that wait, oldest first, at most 500; the number judged.

    All consequences are in this transaction. There is one judge at a time: who comes second finds nothing to do.
    """
    if not _is_only_judge(session):
        return 0
    arrived = _arrived(session)
    judged = _decide_all(arrived, _histories(session, arrived, now - policy.bounce_delay), policy)
    _record_verdicts(session, judged, now)
    suppress_all(session, _bars(judged))
    for each in judged:
        if each.decision.verdict is Verdict.WITHDRAW:
            _withdraw(session, each.arrived, now)
    _alert(session, judged)
    return len(judged)


def foresee(session: Session, arrived: Sequence[Arrived], now: datetime, policy: Policy) -> list[Decision]:
    """What judging these would say now; nothing is written."""
    histories = _histories(session, arrived, now - policy.bounce_delay)
    return [each.decision for each in _decide_all(arrived, histories, policy)]


def _is_only_judge(session: Session) -> bool:
    """On SQLite nobody else writes in a transaction that does."""
    if session.get_bind().dialect.name != "postgresql":
        return True
    return bool(session.scalar(select(func.pg_try_advisory_xact_lock(_LOCK))))


def _arrived(session: Session) -> list[Arrived]:
    event = FeedbackEvent
    waiting = (
        select(
            event.id, event.received_at, event.source, event.feedback_class, event.reply_class, event.believed,
            event.why, event.rule, event.diagnosis, event.address_key, event.delivery_id,
            *OF_DELIVERY,
        )
        .outerjoin(Delivery, Delivery.id == event.delivery_id)
        .where(event.judged_at.is_(None))
        .order_by(event.id)
        .limit(_AT_ONCE)
    )  # fmt: skip
    return [Arrived._make(row) for row in session.execute(waiting)]


def _histories(session: Session, arrived: Sequence[Arrived], by: datetime) -> dict[str, History]:
    """What is known about the addresses of these events, of which none counts yet as one that came back.

    Bounces of what was sent after `by` may still be on their way.
    """
    keys = {each.address_key for each in arrived if each.believed}
    soft = {each.address_key for each in arrived if each.believed and each.feedback_class is FeedbackClass.SOFT}
    bounced = {each.address_key for each in arrived if each.believed and each.feedback_class in _FAILED}
    failures, succeeded = _failures(session, soft), _successes(session, arrived, bounced, by)
    releases = released(session, keys)
    return {key: History(failures.get(key, {}), succeeded.get(key), releases.get(key)) for key in keys}


def _failures(session: Session, keys: Collection[str]) -> Mapping[str, Mapping[int, datetime]]:
    """The sends that came back as soft, by address; one counts once, however many reports it brought."""
    at = func.min(
        func.coalesce(Delivery.first_attempt_at, FeedbackEvent.received_at, type_=Delivery.first_attempt_at.type)
    )
    soft = (
        select(FeedbackEvent.address_key, Delivery.send_id, at)
        .join(Delivery, Delivery.id == FeedbackEvent.delivery_id)
        .where(among(FeedbackEvent.address_key, "keys"), FeedbackEvent.feedback_class == FeedbackClass.SOFT)
        .where(FeedbackEvent.believed, FeedbackEvent.judged_at.is_not(None))
        .group_by(FeedbackEvent.address_key, Delivery.send_id)
    )
    found: dict[str, dict[int, datetime]] = {}
    for key, send_id, sent_at in session.execute(soft, {"keys": listed(keys)}) if keys else ():
        found.setdefault(key, {})[send_id] = sent_at
    return found


def _successes(
    session: Session, arrived: Sequence[Arrived], keys: Collection[str], by: datetime
) -> Mapping[str, datetime]:
    """When the last send by then to each address went out that was accepted and of which no bounce is known.

    A block says nothing about the mailbox, so it takes no success away. The bounces of this batch are known already.
    """
    readers = {
        each.subscriber_id: each.address_key for each in arrived if each.subscriber_id and each.address_key in keys
    }
    back = select(FeedbackEvent.id).where(
        FeedbackEvent.delivery_id == Delivery.id, FeedbackEvent.feedback_class.in_(_FAILED), FeedbackEvent.believed
    )
    latest = (
        select(Delivery.subscriber_id, func.max(Delivery.first_attempt_at))
        .where(among(Delivery.subscriber_id, "readers"), Delivery.status == DeliveryStatus.ACCEPTED, ~back.exists())
        .where(Delivery.first_attempt_at <= by)
        .group_by(Delivery.subscriber_id)
    )
    rows = session.execute(latest, {"readers": listed(readers)}) if readers else ()
    return {readers[reader]: at for reader, at in rows if reader is not None and at is not None}


def _decide_all(arrived: Iterable[Arrived], histories: dict[str, History], policy: Policy) -> list[Judged]:
    judged = []
    for each in arrived:
        history = histories.get(each.address_key, History())
        event = each.event
        judged.append(Judged(each, decide(history, event, policy)))
        if event.believed and event.feedback_class is FeedbackClass.SOFT and event.send_id and event.sent_at:
            histories[each.address_key] = history.with_failure(event.send_id, event.sent_at)
    return judged


def _record_verdicts(session: Session, judged: Iterable[Judged], now: datetime) -> None:
    """A statement for each kind of verdict; why a report is not believed stays as it is told."""
    groups: dict[tuple[Verdict, str], list[int]] = {}
    for arrived, decision in judged:
        groups.setdefault((decision.verdict, arrived.why or decision.why), []).append(arrived.id)
    for (verdict, why), ids in groups.items():
        waiting = update(FeedbackEvent).where(among(FeedbackEvent.id, "ids"), FeedbackEvent.judged_at.is_(None))
        session.execute(waiting.values(judged_at=now, verdict=verdict, why=why), {"ids": listed(ids)})


def _bars(judged: Iterable[Judged]) -> list[Bar]:
    return [
        Bar(arrived.address_key, decision.reason, f"{arrived.source}: {arrived.diagnosis}"[:255], arrived.received_at)
        for arrived, decision in judged
        if decision.reason
    ]


def _withdraw(session: Session, arrived: Arrived, now: datetime) -> None:
    """Exactly as the one-click button does it; without a known send, from everything."""
    by_key = select(Subscriber.id).where(Subscriber.address_key == arrived.address_key)
    reader = arrived.subscriber_id or session.scalar(by_key)
    if reader is not None:
        evidence = Evidence("unsubscribed by mail", f"{arrived.source}: {arrived.diagnosis}")
        leave(session, link_of(session, reader, arrived.send_id), evidence, now)


def _alert(session: Session, judged: Iterable[Judged]) -> None:
    """Tell operators once of each rule by which receivers refuse a send because of us (F6)."""
    blocks = {
        (each.send_id, each.rule or each.reply_class.value): each
        for each, _ in reversed([*judged])
        if each.believed and each.send_id and each.feedback_class is FeedbackClass.BLOCK
    }
    if not blocks:
        return
    rows = [
        {"send_id": send_id, "rule": rule, "at": each.received_at, "diagnosis": each.diagnosis}
        for (send_id, rule), each in blocks.items()
    ]
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    new = insert(Alert).on_conflict_do_nothing().returning(Alert.send_id, Alert.rule)
    for send_id, rule in session.execute(new, rows):
        # What servers say may name the reader, and logs are kept apart from what is known of people.
        log.warning("send %d is blocked somewhere (%s). See: jlgc-mailer feedback list", send_id, rule)
