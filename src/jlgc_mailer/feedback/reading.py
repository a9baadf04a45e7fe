"""Reading: a raw report becomes events, or waits for a person with the reason why. None is lost, none holds up others.

Readers are pure and bounded, so that reading within the transaction costs no more than time (promise 5).
"""

import logging
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from jlgc_mailer.db.among import among, listed
from jlgc_mailer.db.feedback import FeedbackEvent, RawReport
from jlgc_mailer.feedback.matching import SETTLED, Clue, Found, Match, clue_of, look_up, match
from jlgc_mailer.feedback.policy import Policy
from jlgc_mailer.mail.reports.read import TOO_MANY
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.mail.tokens import Keyring
from jlgc_mailer.mail.visible import clean
from jlgc_mailer.states import FeedbackClass, FeedbackKind, ReportForm, ReportStatus

Readers = Mapping[ReportForm, Callable[[bytes], Iterable[Signal]]]

UNCLEAR = "what it says is not clear"
log = logging.getLogger("jlgc_mailer.feedback")
_SECONDS = 2  # of reading in one transaction: on SQLite all others who write wait for it
_BODIES = 10  # in memory at a time: a report has up to 10 MB
_PARTS = 10_000  # recipients of one report that are read; webhooks bring up to two thousand
_CLAIMED = (RawReport.id, RawReport.received_at, RawReport.source, RawReport.form, RawReport.envelope_to)
_IGNORED = (FeedbackClass.AUTO_REPLY, FeedbackClass.CHALLENGE)


class Claimed(NamedTuple):
    """A report that is being read, without its body."""

    id: int
    received_at: datetime
    source: str
    form: ReportForm
    envelope_to: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read out of one report; or the fault, if it could not be."""

    report: Claimed
    signals: tuple[Signal, ...] = ()
    clues: tuple[Clue, ...] = ()
    fault: str | None = None


class Said(NamedTuple):
    """What a report comes to: the rows of its events, and why a person has to look at it."""

    report_id: int
    events: list[dict[str, Any]]
    why: str | None


def any_waiting(session: Session) -> bool:
    """Whether there is anything to read."""
    waiting = select(RawReport.id).where(RawReport.status == ReportStatus.WAITING).limit(1)
    return session.scalar(waiting) is not None


def read_waiting(session: Session, readers: Readers, keyring: Keyring, policy: Policy, at_most: int = 200) -> int:
    """Read the reports that wait, oldest first, for two seconds; the number read.

    Two who do it at once take different ones. What there was no time for waits on.
    """
    readings = _read_in_time(_read_all(session, _claim(session, at_most), readers, keyring))
    found = _look_up(session, readings)
    try:
        with session.begin_nested():
            _write(session, readings, found, policy)
    except DBAPIError as error:
        _pass_on_if_lost(error)
        for each in readings:
            _write_alone(session, each, found, policy)
    return len(readings)


def read_again(
    session: Session, report_ids: Collection[int], readers: Readers, keyring: Keyring, policy: Policy
) -> list[Said]:
    """What these reports come to by other readers, read in their order for two seconds; nothing is written."""
    these = select(*_CLAIMED).where(among(RawReport.id, "ids")).order_by(RawReport.id)
    claimed = [Claimed(*row) for row in session.execute(these, {"ids": listed(report_ids)})]
    readings = _read_in_time(_read_all(session, claimed, readers, keyring))
    found = _look_up(session, readings)
    return [_said(each, found, policy) for each in readings]


def _claim(session: Session, at_most: int) -> list[Claimed]:
    waiting = select(*_CLAIMED).where(RawReport.status == ReportStatus.WAITING).order_by(RawReport.id)
    rows = session.execute(waiting.limit(at_most).with_for_update(skip_locked=True))
    return [Claimed(*row) for row in rows]


def _with_bodies(session: Session, claimed: Sequence[Claimed]) -> Generator[tuple[Claimed, bytes], None, None]:
    """The reports with what came in, a few at a time."""
    if not claimed:
        return
    reports = {each.id: each for each in claimed}
    bodies = select(RawReport.id, RawReport.body).where(among(RawReport.id, "ids")).order_by(RawReport.id)
    with session.execute(bodies.execution_options(yield_per=_BODIES), {"ids": listed(reports)}) as rows:
        for report_id, body in rows:
            yield reports[report_id], body


def _read_all(
    session: Session, claimed: Sequence[Claimed], readers: Readers, keyring: Keyring
) -> Generator[Reading, None, None]:
    with closing(_with_bodies(session, claimed)) as reports:
        for report, body in reports:
            yield _read(report, body, readers, keyring)


def _read_in_time(readings: Generator[Reading, None, None]) -> list[Reading]:
    """As many as there is time for, and at least one."""
    end, done = monotonic() + _SECONDS, []
    with closing(readings):
        for each in readings:
            done.append(each)
            if monotonic() >= end:
                break
    return done


def _look_up(session: Session, readings: Sequence[Reading]) -> Found:
    return look_up(session, [clue for each in readings for clue in each.clues])


def _read(report: Claimed, body: bytes, readers: Readers, keyring: Keyring) -> Reading:
    try:
        signals = tuple(islice(readers[report.form](body), _PARTS + 1))  # cut before the rest costs time
        clues = [clue_of(report.form, report.envelope_to, signal, keyring) for signal in signals]
    except Exception as error:  # F8: whatever is wrong with one report must not hold up the others
        log.exception("report %d cannot be read", report.id)
        return Reading(report, fault=f"it cannot be read: {type(error).__name__}: {error}")
    if any(clue.leaving for clue in clues):  # who writes to the address to leave by leaves, whatever the words are
        leaving = next(index for index, clue in enumerate(clues) if clue.leaving)
        return Reading(report, (_as_leaving(signals[leaving]),), (clues[leaving],))
    return Reading(report, signals[:_PARTS], tuple(clues[:_PARTS]), _too_many(signals))


def _too_many(signals: Sequence[Signal]) -> str | None:
    if len(signals) > _PARTS:
        return f"it names more than {_PARTS} recipients, of which these are read"
    return next((signal.diagnosis for signal in signals if signal.rule == TOO_MANY), None)


def _as_leaving(signal: Signal) -> Signal:
    return replace(signal, feedback_class=FeedbackClass.UNSUBSCRIBE)


def _write(session: Session, readings: Sequence[Reading], found: Found, policy: Policy) -> None:
    """Events and what becomes of the reports, in a statement for each kind of fate."""
    events: list[dict[str, Any]] = []
    fates: dict[str | None, list[int]] = {}
    for each in readings:
        said = _said(each, found, policy)
        events += said.events
        fates.setdefault(said.why, []).append(said.report_id)
    if events:
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        # Through the session, rows with None in different places would be statements of their own.
        session.connection().execute(insert(FeedbackEvent).on_conflict_do_nothing(), events)
    for why, ids in fates.items():
        _settle(session, ids, ReportStatus.REVIEW if why else ReportStatus.READ, why)


def _write_alone(session: Session, reading: Reading, found: Found, policy: Policy) -> None:
    """What the database does not take is set aside."""
    try:
        with session.begin_nested():
            _write(session, [reading], found, policy)
    except DBAPIError as error:
        _pass_on_if_lost(error)
        log.exception("what was read out of report %d cannot be stored", reading.report.id)
        _settle(session, [reading.report.id], ReportStatus.REVIEW, f"it cannot be stored: {type(error.orig).__name__}")


def _pass_on_if_lost(error: DBAPIError) -> None:
    if error.connection_invalidated:
        raise error


def _settle(session: Session, ids: Sequence[int], status: ReportStatus, why: str | None) -> None:
    these = update(RawReport).where(among(RawReport.id, "ids"), RawReport.status == ReportStatus.WAITING)
    session.execute(these.values(status=status, why=why), {"ids": listed(ids)})


def _said(reading: Reading, found: Found, policy: Policy) -> Said:
    matches = _matches(reading, found, policy)
    events = [_event(reading, part, *pair) for part, pair in enumerate(zip(reading.signals, matches, strict=True))]
    return Said(reading.report.id, events, _why_review(reading, matches))


def _matches(reading: Reading, found: Found, policy: Policy) -> list[Match]:
    form, at = reading.report.form, reading.report.received_at
    pairs = zip(reading.clues, reading.signals, strict=True)
    return [match(clue, signal, form, at, found, policy) for clue, signal in pairs]


def _why_review(reading: Reading, matches: Sequence[Match]) -> str | None:
    """Why a person has to look at it; an expired token is only logged (F2)."""
    if reading.fault:
        return clean(reading.fault, 1000)
    reasons = (_doubt(signal, each) for signal, each in zip(reading.signals, matches, strict=True))
    return "; ".join(dict.fromkeys(filter(None, reasons))) or None


def _doubt(signal: Signal, matched: Match) -> str | None:
    if signal.feedback_class in _IGNORED or matched.why in SETTLED:
        return None
    return matched.why or (UNCLEAR if signal.feedback_class is FeedbackClass.UNKNOWN else None)


def _event(reading: Reading, part: int, signal: Signal, matched: Match) -> dict[str, Any]:
    report = reading.report
    return {
        "received_at": report.received_at,
        "source": report.source,
        "kind": FeedbackKind.REPORT,
        "report_id": report.id,
        "part": part,
        "event_id": clean(signal.event_id, 255),
        "delivery_id": matched.delivery_id,
        "address_key": matched.address_key,
        "feedback_class": matched.feedback_class,
        "status": clean(signal.status, 12),
        "remote_mta": clean(signal.remote_mta, 255),
        "rule": clean(signal.rule, 80),
        "confidence": signal.confidence,
        "matched_by": matched.by,
        "believed": matched.believed,
        "why": matched.why,
        "diagnosis": clean(signal.diagnosis, 2000) or "",
    }
