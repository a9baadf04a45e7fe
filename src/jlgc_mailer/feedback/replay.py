"""Replay: stored reports are read again by other rules, and what would follow is told before it is done."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from jlgc_mailer.audience.suppression import RULES_CHANGED, release, released
from jlgc_mailer.db.among import among, listed
from jlgc_mailer.db.feedback import FeedbackEvent, RawReport
from jlgc_mailer.db.people import Suppression
from jlgc_mailer.db.sending import Delivery
from jlgc_mailer.feedback.changes import Change, Follows, changes_in, renew
from jlgc_mailer.feedback.judge import OF_DELIVERY, Arrived, foresee
from jlgc_mailer.feedback.policy import Decision, Policy
from jlgc_mailer.feedback.reading import Readers, read_again
from jlgc_mailer.mail.tokens import Keyring
from jlgc_mailer.states import ReplyClass, ReportStatus, SuppressionReason, Verdict

STRIDE = 200  # reports in one transaction, at most
_DRAWN = frozenset(SuppressionReason) - {SuppressionReason.MANUAL}  # reasons that only judging has


@dataclass(frozen=True)
class Which:
    """The reports to be read again: those numbers, or all; of these those since a time, or only those in review.

    What waits is read anyway, and what a person resolved stays so.
    """

    ids: Sequence[int] = ()
    since: datetime | None = None
    in_review: bool = False

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """The same for a query."""
        statuses = [ReportStatus.REVIEW] if self.in_review else [ReportStatus.REVIEW, ReportStatus.READ]
        chosen = [RawReport.id.in_(self.ids)] if self.ids else []
        late = [RawReport.received_at >= self.since] if self.since else []
        return [RawReport.status.in_(statuses), *chosen, *late]


def how_many(session: Session, which: Which) -> int:
    """How many reports there are to read again."""
    return session.scalar(select(func.count(RawReport.id)).where(*which.conditions)) or 0


def next_reports(session: Session, which: Which, after: int, at_most: int = STRIDE) -> Sequence[int]:
    """The numbers of the next reports."""
    these = select(RawReport.id).where(RawReport.id > after, *which.conditions)
    return session.scalars(these.order_by(RawReport.id).limit(at_most)).all()


class Stride(NamedTuple):
    """What is another thing in the reports of one transaction, and their numbers."""

    changes: list[Change]
    report_ids: list[int]


@dataclass
class Replay:
    """Reading again by `readers`, stride by stride. It remembers which events are no reason for a bar any more."""

    readers: Readers
    keyring: Keyring
    policy: Policy
    _gone: set[int] = field(default_factory=set)

    def stride(self, session: Session, which: Which, after: int, now: datetime, at_most: int = STRIDE) -> Stride:
        """What would be another thing in the reports behind `after`, and follow now; nothing is written.

        They are as many as can be read in two seconds. With none of them it is at the end.
        """
        ids = next_reports(session, which, after, at_most)
        said = read_again(session, ids, self.readers, self.keyring, self.policy)
        changed = changes_in(session, said)
        decisions = foresee(session, _arrived(session, changed), now, self.policy)
        return Stride(self._with_what_follows(session, changed, decisions), [each.report_id for each in said])

    def _with_what_follows(
        self, session: Session, changed: Sequence[Change], decisions: Sequence[Decision]
    ) -> list[Change]:
        pairs = list(zip(changed, decisions, strict=True))
        stays = {each.address for each, decision in pairs if decision.verdict is Verdict.SUPPRESS}
        lifted = [each.old for each, decision in pairs if each.has_barred and decision.verdict is not Verdict.SUPPRESS]
        self._gone |= {event.id for event in lifted if event}
        barred = _barred(session, {event.address_key for event in lifted if event} | stays)
        stays |= _still_barring(session, {event.address_key for event in lifted if event}, self._gone)
        return [replace(change, follows=_follows(change, decision, barred, stays)) for change, decision in pairs]

    def apply(self, session: Session, changes: Sequence[Change], now: datetime) -> None:
        """Renew the events, which are judged again then, and release who is barred for no reason any more.

        What a person resolves meanwhile stays so, and what is deleted meanwhile is gone.
        """
        these = select(RawReport.id).where(among(RawReport.id, "ids"), *Which().conditions).with_for_update()
        there = set(session.scalars(these, {"ids": listed({each.report_id for each in changes})}))
        for change in changes:
            if change.report_id in there:
                _apply(session, change, now)


def _apply(session: Session, change: Change, now: datetime) -> None:
    renew(session, change)
    if change.follows is Follows.RELEASED and change.old:
        release(session, change.old.address_key, RULES_CHANGED, now)
    status = ReportStatus.REVIEW if change.why_review else ReportStatus.READ
    report = update(RawReport).where(RawReport.id == change.report_id)
    session.execute(report.values(status=status, why=change.why_review))


def _arrived(session: Session, changed: Sequence[Change]) -> list[Arrived]:
    ids = {each.row["delivery_id"] for each in changed} - {None}
    rows = session.execute(select(Delivery.id, *OF_DELIVERY).where(among(Delivery.id, "ids")), {"ids": listed(ids)})
    deliveries = {row[0]: tuple(row[1:]) for row in rows}
    return [_as_arrived(each, deliveries) for each in changed]


def _as_arrived(change: Change, deliveries: Mapping[int, tuple[Any, ...]]) -> Arrived:
    row = change.row
    of_delivery = deliveries.get(row["delivery_id"], (None,) * len(OF_DELIVERY))
    return Arrived(
        change.old.id if change.old else 0, row["received_at"], "", change.new_class, ReplyClass.OTHER,
        row["believed"], None, None, "", row["address_key"], row["delivery_id"], *of_delivery,
    )  # fmt: skip


def _barred(session: Session, keys: Iterable[str]) -> dict[str, SuppressionReason]:
    in_force = select(Suppression.address_key, Suppression.reason).where(
        among(Suppression.address_key, "keys"), Suppression.released_at.is_(None)
    )
    return dict(iter(session.execute(in_force, {"keys": listed(keys)})))


def _still_barring(session: Session, keys: set[str], gone: set[int]) -> set[str]:
    """The addresses that something else bars since they were last released."""
    since = released(session, keys)
    verdicts = select(FeedbackEvent.id, FeedbackEvent.address_key, FeedbackEvent.received_at).where(
        among(FeedbackEvent.address_key, "keys"), FeedbackEvent.verdict == Verdict.SUPPRESS
    )
    rows = session.execute(verdicts, {"keys": listed(keys)})
    return {key for each, key, at in rows if each not in gone and (key not in since or at > since[key])}


def _follows(change: Change, decision: Decision, barred: dict[str, SuppressionReason], stays: set[str]) -> Follows:
    """Whoever is released or barred is so for the changes after this one, too."""
    if decision.verdict is Verdict.SUPPRESS and change.address not in barred:
        barred[change.address] = SuppressionReason.MANUAL
        return Follows.SUPPRESSED
    if decision.verdict is Verdict.WITHDRAW and (change.old is None or change.old.verdict is not Verdict.WITHDRAW):
        return Follows.UNSUBSCRIBED
    old = change.old
    if old and change.has_barred and barred.get(old.address_key) in _DRAWN and old.address_key not in stays:
        del barred[old.address_key]
        return Follows.RELEASED
    return Follows.NOTHING
