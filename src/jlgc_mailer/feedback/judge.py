"""Judging: the only place that draws consequences from feedback, in order of arrival and once per event."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from jlgc_mailer.audience.suppression import suppress
from jlgc_mailer.db.feedback import FeedbackEvent
from jlgc_mailer.states import FeedbackKind, ReplyClass, SuppressionReason, Verdict

_AT_ONCE = 500


def decide(kind: FeedbackKind, reply_class: ReplyClass) -> SuppressionReason | None:
    """Whether one event is enough to bar its address: an unknown user and a complaint are, nothing else (F6, F9)."""
    if kind is FeedbackKind.COMPLAINT:
        return SuppressionReason.COMPLAINT
    if reply_class is ReplyClass.UNKNOWN_USER:
        return SuppressionReason.UNKNOWN_USER
    return None


def judge_waiting(session: Session, now: datetime) -> int:
    """Judge the events that wait, oldest first, at most 500; the number judged."""
    waiting = select(FeedbackEvent).where(FeedbackEvent.judged_at.is_(None)).order_by(FeedbackEvent.id)
    events = session.scalars(waiting.limit(_AT_ONCE).with_for_update(skip_locked=True)).all()
    return sum(_judge(session, event, now) for event in events)


def _judge(session: Session, event: FeedbackEvent, now: datetime) -> bool:
    reason = decide(event.kind, event.reply_class)
    judged = session.execute(
        update(FeedbackEvent)
        .where(FeedbackEvent.id == event.id, FeedbackEvent.judged_at.is_(None))
        .values(judged_at=now, verdict=Verdict.SUPPRESS if reason else Verdict.NOTE)
        .returning(FeedbackEvent.id)
    )
    if judged.first() is None:
        return False
    if reason:
        suppress(session, event.address_key, reason, f"{event.source}: {event.diagnosis}"[:255], event.received_at)
    return True
