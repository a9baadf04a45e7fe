"""A post to a webhook, and what has to be asked of it before it is stored."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from jlgc_mailer.states import ReportForm

_SKEW = timedelta(minutes=5)  # clocks differ
_EPOCH = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Posted:
    """A request as it came. The names of `headers` are in small letters, `body` is to the octet."""

    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """The value of a header, empty when there is none."""
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a post is not taken, in words for operators, and how it is answered.

    The status decides whether the post comes again: Amazon SNS and Brevo give up on 4xx, Postmark on 403 only,
    SendGrid and Mailgun on neither. So what somebody here can mend is not answered 403, which is for forgeries.
    """

    why: str
    status: HTTPStatus = HTTPStatus.FORBIDDEN


class Guard(ABC):
    """Knows the posts of one account at one provider from all others."""

    @abstractmethod
    def refusal(self, posted: Posted, now: datetime) -> Refusal | None:
        """Why the post is not genuine; None when it is. It may ask the provider."""

    def fault(self, posted: Posted) -> str | None:
        """What the author of a genuine post has to mend before it can be taken."""
        del posted
        return None

    def once(self, posted: Posted) -> str | None:
        """A part of a genuine post that may bring one body only; None when the signature covers the body."""
        del posted
        return None

    def afterwards(self, posted: Posted) -> str | None:
        """Do what the provider expects of us once a post is stored; returns what operators have to know."""
        del posted
        return None


@dataclass(frozen=True)
class Webhook:
    """A way in at /hooks/<name>."""

    name: str
    form: ReportForm
    guard: Guard

    @property
    def source(self) -> str:
        """How reports, health and log name it."""
        return f"webhook {self.name}"


def moment(seconds: str) -> datetime | None:
    """The moment that so many seconds since 1970 mean."""
    return datetime.fromtimestamp(int(seconds), UTC) if _EPOCH.fullmatch(seconds) else None


def staleness(sent_at: datetime | None, now: datetime, longest: timedelta) -> Refusal | None:
    """Why a timestamp is not believed; None when it lies within the time for which the provider tries again.

    If our clock is wrong, the post comes again when it is set.
    """
    if sent_at is None:
        return Refusal("its timestamp cannot be read")
    if sent_at < now - longest:
        why = "its timestamp is too old: it was recorded and sent again, or our clock is wrong"
        return Refusal(why, HTTPStatus.SERVICE_UNAVAILABLE)
    if sent_at > now + _SKEW:
        return Refusal("its timestamp lies in the future: our clock is wrong", HTTPStatus.SERVICE_UNAVAILABLE)
    return None
