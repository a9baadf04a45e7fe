"""Changes: where a report that is read again says another thing than before."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from jlgc_mailer.db.among import among, listed
from jlgc_mailer.db.feedback import FeedbackEvent
from jlgc_mailer.feedback.matching import ONLY_ADDRESS
from jlgc_mailer.feedback.reading import Said
from jlgc_mailer.states import FeedbackClass, MatchedBy, Verdict

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


def changes_in(session: Session, said: Sequence[Said]) -> list[Change]:
    """What is another thing in these reports than what was read before."""
    told = _events(session, [each.report_id for each in said])
    changed = [change for each in said for change in _compare(each, told.get(each.report_id, {}))]
    known = _known(session, changed)
    return [each for each in changed if each.old or each.row["event_id"] not in known]


def renew(session: Session, change: Change) -> None:
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
