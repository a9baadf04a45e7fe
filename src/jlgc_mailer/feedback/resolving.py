"""Resolving: a person says what a report means, and that is judged like everything else that comes in."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from jlgc_mailer.db.feedback import FeedbackEvent, RawReport
from jlgc_mailer.db.people import Subscriber
from jlgc_mailer.errors import NotAllowedNow, NotFound
from jlgc_mailer.feedback.matching import Clue, look_up
from jlgc_mailer.feedback.review import events_of, find_report
from jlgc_mailer.mail.address import parse_address
from jlgc_mailer.states import FeedbackClass, FeedbackKind, MatchedBy, ReportStatus

BY_HAND = "by hand"


def resolve(
    session: Session, report_id: int, ruling: FeedbackClass | None, recipient: str | None, reason: str, now: datetime
) -> bool:
    """Settle a report as a person decides, None to ignore it; False when it was resolved like that before.

    It is about the one address that the report names, unless `recipient` is given. The event that comes of it waits
    to be judged. Raises InvalidInput for what is no address, NotFound when nobody has it, NotAllowedNow otherwise.
    """
    report, said = find_report(session, report_id), events_of(session, report_id)
    session.refresh(report, ["status"], with_for_update=True)
    key = parse_address(recipient).key if recipient else None
    if report.status is ReportStatus.RESOLVED:
        return _is_other(report, said, ruling, key)
    if report.status is ReportStatus.WAITING:
        raise _not_now(report, "it was not read yet", "Workers do so within seconds. Try again.")
    if ruling:
        session.add(_event(session, report, said, ruling, key or _only_address(report, said), reason, now))
    report.status = ReportStatus.RESOLVED
    report.why = "; ".join(filter(None, (report.why, f"{BY_HAND}, {ruling or 'ignore'}: {reason}")))
    return True


def _is_other(report: RawReport, said: Sequence[FeedbackEvent], ruling: FeedbackClass | None, key: str | None) -> bool:
    """False, when it is the same again."""
    before = next((event for event in said if event.rule == BY_HAND), None)
    told = before.feedback_class if before else None
    if told is not ruling or (before and key not in {None, before.address_key}):
        about = f" for {before.address_key}" if before else ""
        remedy = "To let an address have mail again: jlgc-mailer suppressions release"
        raise _not_now(report, f"it was resolved as {told or 'ignore'}{about} before", remedy)
    return False


def _only_address(report: RawReport, said: Sequence[FeedbackEvent]) -> str:
    named = {event.address_key for event in said if event.address_key}
    if len(named) != 1:
        whom = f"it names {len(named)} addresses" if named else "nobody knows whom it is about"
        raise _not_now(report, whom, "Say it with --recipient ADDRESS")
    return named.pop()


def _not_now(report: RawReport, problem: str, remedy: str) -> NotAllowedNow:
    return NotAllowedNow(kind="report", name=report.id, action="resolved", problem=problem, remedy=remedy)


def _event(
    session: Session, report: RawReport, said: Sequence[FeedbackEvent], ruling: FeedbackClass, key: str, reason: str,
    now: datetime,
) -> FeedbackEvent:  # fmt: skip
    delivery_id = next((event.delivery_id for event in said if event.address_key == key and event.delivery_id), None)
    return FeedbackEvent(
        received_at=now,
        source=BY_HAND,
        kind=FeedbackKind.REPORT,
        report_id=report.id,
        part=max((event.part or 0 for event in said), default=-1) + 1,
        delivery_id=delivery_id or _latest_delivery(session, key),
        address_key=key,
        feedback_class=ruling,
        rule=BY_HAND,
        matched_by=MatchedBy.ADDRESS,
        diagnosis=reason,
    )


def _latest_delivery(session: Session, key: str) -> int | None:
    """None where a subscriber was never sent anything."""
    delivery_id = look_up(session, [Clue(MatchedBy.ADDRESS, address_key=key)]).by_address.get(key)
    if delivery_id is None and session.scalar(select(Subscriber.id).filter_by(address_key=key)) is None:
        raise NotFound(kind="subscriber", name=key, remedy="Correct --recipient, or resolve it --as ignore.")
    return delivery_id
