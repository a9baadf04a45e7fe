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
    session: Session,
    report_id: int,
    ruling: FeedbackClass | None,
    recipients: Sequence[str],
    reason: str,
    now: datetime,
) -> bool:
    """Settle a report as a person decides, None to ignore it; False when it was resolved like that before.

    It is about the one address that the report names, unless `recipients` are given; more of them may follow. To
    ignore a report is to ignore all of it. The events that come of it wait to be judged. Raises InvalidInput for what
    is no address, NotFound when nobody has it, NotAllowedNow otherwise.
    """
    report = find_report(session, report_id)
    session.refresh(report, ["status"], with_for_update=True)
    said = events_of(session, report_id)
    keys = list(dict.fromkeys(parse_address(each).key for each in recipients if ruling))
    if report.status is ReportStatus.WAITING:
        raise _not_now(report, "it was not read yet", "Workers do so within seconds. Try again.")
    if report.status is ReportStatus.RESOLVED:
        keys = _undecided(report, said, ruling, keys)
        if not keys:
            return False
    if ruling:
        session.add_all(_events(session, report, said, ruling, keys or [_only_address(report, said)], reason, now))
    report.status = ReportStatus.RESOLVED
    report.why = "; ".join(filter(None, (report.why, f"{BY_HAND}, {ruling or 'ignore'}: {reason}")))
    return True


def _undecided(
    report: RawReport, said: Sequence[FeedbackEvent], ruling: FeedbackClass | None, keys: Sequence[str]
) -> list[str]:
    """Those of whom nobody has decided yet; none when it is the same again."""
    before = {event.address_key: event.feedback_class for event in said if event.rule == BY_HAND}
    others = {key: told for key, told in before.items() if told is not ruling and (key in keys or not keys)}
    if others or (ruling and not before):
        told = ", ".join(f"{kind} for {key}" for key, kind in others.items()) or "ignore"
        remedy = "To let an address have mail again: jlgc-mailer suppressions release"
        raise _not_now(report, f"it was resolved as {told} before", remedy)
    return [key for key in keys if key not in before]


def _only_address(report: RawReport, said: Sequence[FeedbackEvent]) -> str:
    named = {event.address_key for event in said if event.address_key}
    if len(named) != 1:
        whom = f"it names {len(named)} addresses" if named else "nobody knows whom it is about"
        raise _not_now(report, whom, "Say it with --recipient ADDRESS, once for each")
    return named.pop()


def _not_now(report: RawReport, problem: str, remedy: str) -> NotAllowedNow:
    return NotAllowedNow(kind="report", name=report.id, action="resolved", problem=problem, remedy=remedy)


def _events(
    session: Session, report: RawReport, said: Sequence[FeedbackEvent], ruling: FeedbackClass, keys: Sequence[str],
    reason: str, now: datetime,
) -> list[FeedbackEvent]:  # fmt: skip
    """What a person says of each of these addresses."""
    deliveries = {event.address_key: event.delivery_id for event in reversed(said) if event.delivery_id}
    first = max((event.part or 0 for event in said), default=-1) + 1
    return [
        FeedbackEvent(
            received_at=now,
            source=BY_HAND,
            kind=FeedbackKind.REPORT,
            report_id=report.id,
            part=part,
            delivery_id=deliveries.get(key) or _latest_delivery(session, key),
            address_key=key,
            feedback_class=ruling,
            rule=BY_HAND,
            matched_by=MatchedBy.ADDRESS,
            diagnosis=reason,
        )
        for part, key in enumerate(keys, start=first)
    ]


def _latest_delivery(session: Session, key: str) -> int | None:
    """None where a subscriber was never sent anything."""
    delivery_id = look_up(session, [Clue(MatchedBy.ADDRESS, address_key=key)]).by_address.get(key)
    if delivery_id is None and session.scalar(select(Subscriber.id).filter_by(address_key=key)) is None:
        raise NotFound(kind="subscriber", name=key, remedy="Correct --recipient, or resolve it --as ignore.")
    return delivery_id
