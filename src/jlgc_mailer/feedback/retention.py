"""Retention: reports hold whole letters of people, and are deleted when they are settled and old (STANDARDS L6).

What was read out of them stays: events have what judging, counting and the reasons of suppressions need.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from jlgc_mailer.db.among import among, listed
from jlgc_mailer.db.feedback import FeedbackEvent, RawReport
from jlgc_mailer.states import ReportStatus

_SETTLED = (ReportStatus.READ, ReportStatus.RESOLVED)  # what waits, or is in review, may still be needed
_AT_ONCE = 200
_OCTETS = 50_000_000  # in one transaction; on SQLite all who write wait for it: 500 MB take two seconds and a half


def outdated(session: Session, before: datetime) -> Sequence[int]:
    """The numbers of the oldest settled reports, as far as they came in before that time, and as many as go at once."""
    rows = [row for status in _SETTLED for row in _oldest(session, status, before)]
    so_far = accumulate(octets for _, octets in rows)
    return [report_id for (report_id, octets), total in zip(rows, so_far, strict=True) if total - octets < _OCTETS]


def _oldest(session: Session, status: ReportStatus, before: datetime) -> Sequence[tuple[int, int]]:
    """With the octets of each. By the index only the first are looked at, for numbers are in order of arrival."""
    first = (
        select(RawReport.id, RawReport.received_at, func.length(RawReport.body).label("octets"))
        .where(RawReport.status == status)
        .order_by(RawReport.id)
        .limit(_AT_ONCE)
        .subquery()
    )
    rows = session.execute(select(first.c.id, first.c.octets).where(first.c.received_at < before).order_by(first.c.id))
    return [(report_id, octets) for report_id, octets in rows]


def delete_outdated(session: Session, before: datetime) -> int:
    """Delete them, and leave their events without a report; the number deleted."""
    these = select(RawReport.id).where(among(RawReport.id, "ids"), RawReport.status.in_(_SETTLED))
    free = these.with_for_update(skip_locked=True)  # not what somebody reads again just now
    ids = session.scalars(free, {"ids": listed(outdated(session, before))}).all()
    events = update(FeedbackEvent).where(among(FeedbackEvent.report_id, "ids")).values(report_id=None)
    session.execute(events, {"ids": listed(ids)})
    session.execute(delete(RawReport).where(among(RawReport.id, "ids")), {"ids": listed(ids)})
    return len(ids)
