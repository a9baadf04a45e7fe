"""Review: what came back as people look at it, and what waits for them. Nothing here changes anything."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, String, func, select, type_coerce
from sqlalchemy.orm import Session, undefer

from jlgc_mailer.db.among import among, listed
from jlgc_mailer.db.feedback import Alert, FeedbackEvent, RawReport
from jlgc_mailer.db.people import Suppression
from jlgc_mailer.db.sending import Delivery
from jlgc_mailer.errors import NotFound
from jlgc_mailer.states import FeedbackClass, FeedbackKind, ReportStatus, Verdict


class InReview(NamedTuple):
    """A report that waits for a person, and whom it names."""

    id: int
    received_at: datetime
    source: str
    why: str | None
    recipients: tuple[str, ...]


class Blocked(NamedTuple):
    """What receivers hold against us in one send: so many recipients came back by that rule (F6)."""

    send_id: int
    rule: str
    recipients: int
    since: datetime
    diagnosis: str


def reports_in_review(session: Session, since: datetime | None, at_most: int | None) -> list[InReview]:
    """The reports that wait for a person: those that name somebody before the others, then the oldest first.

    So reports about readers do not drown in what anybody may send to the bounce domain.
    """
    somebody = select(FeedbackEvent.id).where(FeedbackEvent.report_id == RawReport.id, _names_somebody()).exists()
    order = somebody.desc(), RawReport.id
    # Of all that wait only numbers are put in order, which an index has: `why` lies behind up to 10 MB in each row.
    first = select(RawReport.id).where(*_in_review(since)).order_by(*order).limit(at_most)
    columns = RawReport.id, RawReport.received_at, RawReport.source, RawReport.why
    rows = session.execute(select(*columns).where(RawReport.id.in_(first)).order_by(*order)).all()
    named = (
        select(FeedbackEvent.report_id, FeedbackEvent.address_key)
        .where(among(FeedbackEvent.report_id, "ids"), FeedbackEvent.address_key != "")
        .order_by(FeedbackEvent.report_id, FeedbackEvent.part)
    )
    recipients: dict[int | None, dict[str, None]] = {}
    for report_id, address in session.execute(named, {"ids": listed(row[0] for row in rows)}):
        recipients.setdefault(report_id, {})[address] = None
    return [InReview(*row, tuple(recipients.get(row[0], ()))) for row in rows]


def _names_somebody() -> ColumnElement[bool]:
    return (FeedbackEvent.address_key != "") | FeedbackEvent.delivery_id.is_not(None)


def count_in_review(session: Session, since: datetime | None = None) -> int:
    """How many reports wait for a person."""
    return session.scalar(select(func.count(RawReport.id)).where(*_in_review(since))) or 0


def count_unread(session: Session) -> int:
    """How many reports no worker has read yet."""
    return session.scalar(select(func.count(RawReport.id)).where(RawReport.status == ReportStatus.WAITING)) or 0


def _in_review(since: datetime | None) -> list[ColumnElement[bool]]:
    late = [RawReport.received_at >= since] if since else []
    return [RawReport.status == ReportStatus.REVIEW, *late]


def events(
    session: Session, since: datetime | None, only: FeedbackClass | None, at_most: int | None
) -> list[tuple[FeedbackEvent, int | None]]:
    """What was said about addresses, newest first, each with the number of its send."""
    latest = select(FeedbackEvent, Delivery.send_id).outerjoin(Delivery, Delivery.id == FeedbackEvent.delivery_id)
    if since:
        latest = latest.where(FeedbackEvent.received_at >= since)
    if only:
        latest = latest.where(FeedbackEvent.feedback_class == only)
    rows = session.execute(latest.order_by(FeedbackEvent.id.desc()).limit(at_most))
    return [(event, send_id) for event, send_id in rows]


def blocked(session: Session, since: datetime | None) -> list[Blocked]:
    """The alerts, newest first, with how many recipients each is about by now."""
    rule = func.coalesce(func.nullif(FeedbackEvent.rule, ""), type_coerce(FeedbackEvent.reply_class, String))
    counted = (
        select(Delivery.send_id, rule.label("rule"), func.count(Delivery.id.distinct()).label("recipients"))
        .join(Delivery, Delivery.id == FeedbackEvent.delivery_id)
        .where(FeedbackEvent.feedback_class == FeedbackClass.BLOCK, FeedbackEvent.believed)
        .group_by(Delivery.send_id, rule)
        .subquery()
    )
    alerts = select(Alert.send_id, Alert.rule, counted.c.recipients, Alert.at, Alert.diagnosis).join(
        counted, (counted.c.send_id == Alert.send_id) & (counted.c.rule == Alert.rule)
    )
    if since:
        alerts = alerts.where(Alert.at >= since)
    return [Blocked(*row) for row in session.execute(alerts.order_by(Alert.at.desc(), Alert.send_id, Alert.rule))]


def count_by_class(session: Session, since: datetime) -> dict[FeedbackClass, int]:
    """How many events of each class came in."""
    counted = select(FeedbackEvent.feedback_class, func.count()).where(FeedbackEvent.received_at >= since)
    return dict(iter(session.execute(counted.group_by(FeedbackEvent.feedback_class))))


def find_report(session: Session, report_id: int, *, with_body: bool = False) -> RawReport:
    """The report of that number; NotFound when there is none."""
    options = [undefer(RawReport.body)] if with_body else []
    found = session.get(RawReport, report_id, options=options)
    if found is None:
        remedy = "Those that are settled are deleted after a time. See: jlgc-mailer feedback list"
        raise NotFound(kind="report", name=report_id, remedy=remedy)
    return found


def events_of(session: Session, report_id: int) -> Sequence[FeedbackEvent]:
    """What a report says, one event for each of its recipients; at the end what a person decided."""
    mine = select(FeedbackEvent).where(FeedbackEvent.report_id == report_id)
    return session.scalars(mine.order_by(FeedbackEvent.part)).all()


def suppressions_by(session: Session, report_id: int) -> dict[int, Suppression]:
    """What each event of a report led to, where it was the first to bar its address."""
    caused = select(FeedbackEvent.id, Suppression).join(Suppression, _is_cause()).order_by(Suppression.id)
    return dict(iter(session.execute(caused.where(FeedbackEvent.report_id == report_id))))


def reports_behind(session: Session) -> dict[int, int | None]:
    """For suppressions in force, by number, the report that led to them, if one did; None when it was deleted."""
    first = (
        select(Suppression.id, func.min(FeedbackEvent.report_id))
        .join(FeedbackEvent, _is_cause())
        .where(Suppression.released_at.is_(None), FeedbackEvent.kind == FeedbackKind.REPORT)
        .group_by(Suppression.id)
    )
    return dict(iter(session.execute(first)))


def _is_cause() -> ColumnElement[bool]:
    """A suppression is as old as the event that it comes from."""
    return (
        (FeedbackEvent.address_key == Suppression.address_key)
        & (FeedbackEvent.received_at == Suppression.created_at)
        & (FeedbackEvent.verdict == Verdict.SUPPRESS)
    )
