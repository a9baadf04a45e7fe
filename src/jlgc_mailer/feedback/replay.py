"""Replay: stored reports are read again by other rules, and what would follow is told before it is done."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from jlgc_mailer.audience.suppression import RULES_CHANGED, release, released
from jlgc_mailer.db.among import among, listed
from jlgc_mailer.db.feedback import FeedbackEvent, RawReport
from jlgc_mailer.db.people import Suppression
from jlgc_mailer.db.sending import Delivery
from jlgc_mailer.feedback.judge import OF_DELIVERY, Arrived, foresee
from jlgc_mailer.feedback.matching import ONLY_ADDRESS
from jlgc_mailer.feedback.policy import Decision, Policy
from jlgc_mailer.feedback.reading import Readers, Said, read_again
from jlgc_mailer.mail.tokens import Keyring
from jlgc_mailer.states import FeedbackClass, MatchedBy, ReplyClass, ReportStatus, SuppressionReason, Verdict

STRIDE = 200  # reports in one transaction
_DRAWN = frozenset(SuppressionReason) - {SuppressionReason.MANUAL}  # reasons that only judging has
_GONE = "by other rules it says nothing about this recipient"
_COMPARED = ("feedback_class", "address_key", "believed")
_RENEWED = (
    "feedback_class", "address_key", "believed", "delivery_id", "status", "remote_mta", "rule", "confidence",
    "matched_by", "diagnosis",
)  # fmt: skip
Row = Mapping[str, Any]


class Follows(StrEnum):
    """What a change brings about."""

    SUPPRESSED = "suppressed"
    RELEASED = "released"
    UNSUBSCRIBED = "unsubscribed"
    NOTHING = "nothing"


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


def next_reports(session: Session, which: Which, after: int) -> Sequence[int]:
    """The numbers of the next reports, at most 200."""
    these = select(RawReport.id).where(RawReport.id > after, *which.conditions)
    return session.scalars(these.order_by(RawReport.id).limit(STRIDE)).all()


@dataclass(frozen=True)
class Change:
    """One recipient of a report about whom another thing is read: `row` instead of `old`, and what follows.

    `old_class` is what was read before, if anything was; it stays when `old` is renewed.
    """

    report_id: int
    old: FeedbackEvent | None
    old_class: FeedbackClass | None
    row: Row
    why_review: str | None
    follows: Follows = Follows.NOTHING

    @property
    def address(self) -> str:
        """Whom it is about."""
        return str(self.row["address_key"])

    @property
    def new_class(self) -> FeedbackClass:
        """What is read now."""
        return FeedbackClass(self.row["feedback_class"])

    @property
    def has_barred(self) -> bool:
        """Whether what was read before was reason to bar the address."""
        return self.old is not None and self.old.verdict is Verdict.SUPPRESS


@dataclass
class Replay:
    """Reading again by `readers`, stride by stride. It remembers which events are no reason for a bar any more."""

    readers: Readers
    keyring: Keyring
    policy: Policy
    _gone: set[int] = field(default_factory=set)

    def changes(self, session: Session, report_ids: Sequence[int], now: datetime) -> list[Change]:
        """What would be another thing in these reports, and follow now; nothing is written."""
        told = _events(session, report_ids)
        again = read_again(session, report_ids, self.readers, self.keyring, self.policy)
        changed = [each for said in again for each in _compare(said, told.get(said.report_id, {}))]
        known = _known(session, changed)
        changed = [each for each in changed if each.old or each.row["event_id"] not in known]
        decisions = foresee(session, _arrived(session, changed), now, self.policy)
        return self._with_what_follows(session, changed, decisions)

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

    def apply(self, session: Session, changes: Iterable[Change], now: datetime) -> None:
        """Renew the events, which are judged again then, and release who is barred for no reason any more."""
        for change in changes:
            _renew(session, change)
            if change.follows is Follows.RELEASED and change.old:
                release(session, change.old.address_key, RULES_CHANGED, now)
            status = ReportStatus.REVIEW if change.why_review else ReportStatus.READ
            report = update(RawReport).where(RawReport.id == change.report_id, *Which().conditions)
            session.execute(report.values(status=status, why=change.why_review))


def _events(session: Session, report_ids: Sequence[int]) -> dict[int | None, dict[int | None, FeedbackEvent]]:
    mine = select(FeedbackEvent).where(among(FeedbackEvent.report_id, "ids"))
    told: dict[int | None, dict[int | None, FeedbackEvent]] = {}
    for event in session.scalars(mine, {"ids": listed(report_ids)}):
        told.setdefault(event.report_id, {})[event.part] = event
    return told


def _compare(said: Said, told: Mapping[int | None, FeedbackEvent]) -> list[Change]:
    """A report that cannot be read now, or says nothing at all, keeps what was read before."""
    if not said.events:
        return []
    rows = {row["part"]: _keeping_match(row, told.get(row["part"])) for row in said.events}
    doubted = any(row["believed"] and not rows[row["part"]]["believed"] for row in said.events)
    why = said.why or (ONLY_ADDRESS if doubted else None)
    pairs = [(told.get(part), row) for part, row in rows.items()]
    pairs += [(event, _without(event)) for part, event in told.items() if part not in rows]
    return [
        Change(said.report_id, old, old.feedback_class if old else None, row, why)
        for old, row in pairs
        if _differs(old, row)
    ]


def _known(session: Session, changed: Iterable[Change]) -> set[str | None]:
    """Which events of providers another report has brought: they count once."""
    ids = [each.row["event_id"] for each in changed if not each.old and each.row["event_id"]]
    mine = select(FeedbackEvent.event_id).where(among(FeedbackEvent.event_id, "ids"))
    return set(session.scalars(mine, {"ids": listed(ids)}))


def _keeping_match(row: Row, old: FeedbackEvent | None) -> Row:
    """An address was matched with the latest send of that time: those that came later prove nothing."""
    if old and old.delivery_id and row["delivery_id"] == old.delivery_id:
        return {**row, "address_key": old.address_key}
    if row["matched_by"] is not MatchedBy.ADDRESS:
        return row
    believed = bool(old and old.believed and row["believed"])
    why = row["why"] if believed else row["why"] or ONLY_ADDRESS
    return {**row, "delivery_id": old.delivery_id if old else None, "believed": believed, "why": why}


def _without(event: FeedbackEvent) -> Row:
    kept = {name: getattr(event, name) for name in (*_RENEWED, "received_at")}
    return kept | {"feedback_class": FeedbackClass.UNKNOWN, "believed": False, "why": _GONE}


def _differs(old: FeedbackEvent | None, row: Row) -> bool:
    return old is None or any(getattr(old, name) != row[name] for name in _COMPARED)


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


def _renew(session: Session, change: Change) -> None:
    """An event is brought up to date in its place, with a note of what it was."""
    if change.old is None:
        session.add(FeedbackEvent(**change.row))
        return
    event = change.old
    before = f"{event.feedback_class} by the rule {event.rule} before the rules changed"
    for name in _RENEWED:
        setattr(event, name, change.row[name])
    event.why = "; ".join(filter(None, (change.row["why"], before)))
    event.judged_at = event.verdict = None
