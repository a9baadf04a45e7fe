"""A send as its pages tell it: in words of the reader's language, in numbers that add up, in the send's own zone."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup
from sqlalchemy.orm import Session

from jlgc_mailer.db.sending import Send
from jlgc_mailer.sending.progress import Account, Stop, account, next_wave, recent_attempts
from jlgc_mailer.states import BreakerRule, DeliveryStatus, FeedbackClass, Priority, SendStatus
from jlgc_mailer.web.languages import Wording

STATUS_NAMES = {
    SendStatus.SCHEDULED: "Scheduled",
    SendStatus.SENDING: "Sending",
    SendStatus.PAUSED: "Paused",
    SendStatus.FINISHED: "Finished",
    SendStatus.CANCELLED: "Cancelled",
}
OUTCOME_NAMES = {
    DeliveryStatus.ACCEPTED: "Accepted",
    DeliveryStatus.DEFERRED: "Deferred",
    DeliveryStatus.REFUSED: "Refused",
    DeliveryStatus.UNCERTAIN: "Uncertain",
    DeliveryStatus.SKIPPED: "Skipped",
    DeliveryStatus.PENDING: "Waiting",
}
OUTCOME_NOTES = {
    DeliveryStatus.ACCEPTED: "The mail server has taken the message.",
    DeliveryStatus.DEFERRED: "Not taken for now; it is tried again by itself.",
    DeliveryStatus.REFUSED: "The mail server does not take the message.",
    DeliveryStatus.UNCERTAIN: "The connection broke before the answer: the message may have arrived or not.",
    DeliveryStatus.SKIPPED: "Left out on purpose.",
    DeliveryStatus.PENDING: "Not tried yet.",
}
FEEDBACK_NAMES = {
    FeedbackClass.HARD: "There is no such mailbox",
    FeedbackClass.SOFT: "Not delivered for now",
    FeedbackClass.BLOCK: "Blocked because of us",
    FeedbackClass.UNSUBSCRIBE: "Unsubscribed by mail",
}
_STOPS = {
    BreakerRule.HARD: "Paused by itself: {percent} of {total} recipients do not exist.",
    BreakerRule.COMPLAINTS: "Paused by itself: {percent} of {total} readers complained.",
}
_OVER = (SendStatus.FINISHED, SendStatus.CANCELLED)
_REASONED = (DeliveryStatus.REFUSED, DeliveryStatus.SKIPPED)
_LOOK_BACK = timedelta(minutes=1)
_ADDRESS = re.compile(r"[^\s<>\"']+@[^\s<>\"']+")  # a server may name a recipient in what it says


@dataclass(frozen=True)
class Report:
    """Everything that the pages of one send show."""

    send: Send
    account: Account
    season: str
    recent: int
    next_wave: datetime | None = None

    @property
    def is_urgent(self) -> bool:
        """Whether it never waits behind others."""
        return self.send.priority is Priority.URGENT

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.account.status in _OVER

    @property
    def percent(self) -> int:
        """The settled part, rounded down: 100 only when all are."""
        return self.account.settled * 100 // self.account.total if self.account.total else 100

    @property
    def holds(self) -> list[str]:
        """Why it does not go on at the moment, in the words of whoever holds it."""
        told = () if self.is_over else self.account.holds
        return [masked(reason) for reason in told]

    def outcomes(self) -> list[tuple[DeliveryStatus, int]]:
        """All outcomes with their numbers, the usual ones even at nought; they add up to the total."""
        rare = (DeliveryStatus.PENDING, DeliveryStatus.DEFERRED)
        counted = [(status, self.account.count(status)) for status in OUTCOME_NAMES]
        return [(status, count) for status, count in counted if count or not (self.is_over and status in rare)]

    @property
    def bounces(self) -> list[tuple[FeedbackClass, int]]:
        """The recipients about whom something came back later, besides complaints."""
        counted = self.account.feedback
        return [(kind, counted[kind]) for kind in FEEDBACK_NAMES if kind in counted]

    def reasons(self, status: DeliveryStatus) -> list[tuple[str, int]]:
        """The numbers of a final outcome by reason."""
        if status not in _REASONED:
            return []
        return [(line.reason, line.count) for line in self.account.lines if line.status is status and line.reason]


def masked(text: str) -> str:
    """A text without the addresses of people in it."""
    return _ADDRESS.sub("...@...", text)


def report(session: Session, send: Send, language: str, now: datetime) -> Report:
    """Count a send and take what its pages name it by."""
    content = send.revision.content
    season = str(content.get(language, next(iter(content.values())))["season"])
    counted = account(session, send)
    recent = recent_attempts(session, send.id, now - _LOOK_BACK) if counted.status is SendStatus.SENDING else 0
    return Report(send, counted, season, recent, next_wave(session, send, now))


def headline(told: Report, t: Wording) -> Markup:
    """How it stands, in one sentence."""
    send, counted = told.send, told.account
    match counted.status:
        case SendStatus.SCHEDULED:
            return t("Sending begins on {time}.", time=t.moment(send.due_at, send.zone))
        case SendStatus.PAUSED:
            if counted.stops:
                return _stop(counted.stops[0], t)
            left = counted.total - counted.settled
            return t("Paused. {count} recipients are still to come.", count=t.number(left))
        case SendStatus.FINISHED:
            return _when_finished(told, t)
        case SendStatus.CANCELLED:
            return t("Cancelled on {time}. Nobody else gets this message.", time=_end(send, t))
    return _while_sending(told, t)


def _stop(stop: Stop, t: Wording) -> Markup:
    return t(_STOPS[stop.rule], percent=stop.percent, total=t.number(stop.total))


def _when_finished(told: Report, t: Wording) -> Markup:
    count, time = told.account.count(DeliveryStatus.UNCERTAIN), _end(told.send, t)
    if count:
        text = "Finished on {time}. Every recipient is accounted for; it is uncertain whether {count} of them got it."
        return t(text, time=time, count=t.number(count))
    return t("Finished on {time}. Every recipient is accounted for.", time=time)


def _while_sending(told: Report, t: Wording) -> Markup:
    if told.holds:
        return t("Held for the moment. Sending goes on by itself when the cause is gone.")
    if told.account.count(DeliveryStatus.PENDING) == 0:
        return t("All have been tried once. Deferred messages are tried again by themselves.")
    if told.next_wave:
        return t("By local time. The next zone gets it on {time}.", time=t.moment(told.next_wave, told.send.zone))
    return t("Sending now.")


def as_numbers(told: Report, t: Wording) -> dict[str, object]:
    """The same for the page's script: numbers, and sentences ready to show."""
    counts = {status.value: t.number(told.account.count(status)) for status in OUTCOME_NAMES}
    for status in OUTCOME_NAMES:
        counts |= {f"{status}: {reason}": t.number(count) for reason, count in told.reasons(status)}
    return {
        "status": told.account.status.value,
        "is_over": told.is_over,
        "total": told.account.total,
        "settled": told.account.settled,
        "percent": told.percent,
        "recent": told.recent,
        "shown": {
            **counts,
            "status": t(STATUS_NAMES[told.account.status]),
            "headline": headline(told, t).striptags(),
            "progress": progress_text(told, t),
            "recent": t.number(told.recent),
            "next wave": next_wave_text(told, t).striptags(),
            "complaints": t.number(told.account.complaints),
            **{f"came back: {kind}": t.number(count) for kind, count in told.bounces},
        },
        "holds": told.holds,
    }


def progress_text(told: Report, t: Wording) -> Markup:
    """The bar in words."""
    counted = told.account
    settled, total = t.number(counted.settled), t.number(counted.total)
    return t("{settled} of {total} settled ({percent}%)", settled=settled, total=total, percent=told.percent)


def next_wave_text(told: Report, t: Wording) -> Markup:
    """When the next zone gets a send by local time."""
    return t.moment(told.next_wave, told.send.zone) if told.next_wave else t("all zones have begun")


def list_titles(send: Send, t: Wording) -> str:
    """The mailing lists of a send, by title."""
    titles: Sequence[str] = [each.title(t.language) for each in send.lists]
    return t.say(", ").join(titles)


def _end(send: Send, t: Wording) -> Markup:
    return t.moment(send.finished_at or send.due_at, send.zone)
