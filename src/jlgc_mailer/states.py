"""Every status and kind, and the table of legal moves between statuses."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from jlgc_mailer.errors import IllegalMove


class Language(StrEnum):
    """The languages that pages and messages exist in."""

    ENGLISH = "en"
    JAPANESE = "ja"


class SubscriptionStatus(StrEnum):
    """A person's tie to a mailing list."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    UNSUBSCRIBED = "unsubscribed"


class SendStatus(StrEnum):
    """One distribution, from its schedule to its end."""

    SCHEDULED = "scheduled"
    SENDING = "sending"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class Priority(StrEnum):
    """Urgent sends never wait behind normal ones."""

    URGENT = "urgent"
    NORMAL = "normal"


class BatchStatus(StrEnum):
    """A claimable unit. An expired lease makes a claimed batch claimable again."""

    READY = "ready"
    CLAIMED = "claimed"
    DONE = "done"


class DeliveryStatus(StrEnum):
    """What became of one recipient of one send. Never "delivered": 250 means accepted."""

    PENDING = "pending"
    DEFERRED = "deferred"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNCERTAIN = "uncertain"
    SKIPPED = "skipped"


class SkipReason(StrEnum):
    """Why a delivery was not attempted."""

    UNSUBSCRIBED = "unsubscribed"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"


class ReplyClass(StrEnum):
    """What an SMTP reply says about a recipient (RFC 3463)."""

    ACCEPTED = "accepted"
    UNKNOWN_USER = "unknown user"
    UNKNOWN_HOST = "unknown host"
    MAILBOX_FULL = "mailbox full"
    GREYLISTED = "greylisted"
    POLICY = "refused by policy"
    CONTENT = "content refused"
    ADDRESS = "address not supported"
    NETWORK = "network trouble"
    EXPIRED = "gave up after retries"
    OTHER = "other reason"


class Stage(StrEnum):
    """Where in the SMTP conversation something happened; failures are charged by it (STANDARDS S3)."""

    BUILD = "build"
    CONNECT = "connect"
    EHLO = "ehlo"
    TLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    CONTENT = "content"


class UncertainPolicy(StrEnum):
    """What happens to a delivery that was on the wire when its worker died."""

    HOLD = "hold"
    RESEND = "resend"


class ConsentAction(StrEnum):
    """What a consent record proves."""

    GIVEN = "given"
    WITHDRAWN = "withdrawn"


class FeedbackKind(StrEnum):
    """What an inbound signal is."""

    REFUSAL = "refusal"  # an SMTP reply while we were sending
    REPORT = "report"  # whatever came back later


class FeedbackClass(StrEnum):
    """What a signal says about its recipient (STANDARDS F6)."""

    HARD = "hard"
    SOFT = "soft"
    BLOCK = "block"
    AUTO_REPLY = "auto-reply"
    CHALLENGE = "challenge"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    UNKNOWN = "unknown"


class ReportForm(StrEnum):
    """How the octets of a raw report are to be read: a message (RFC 5322), or what a provider posts to a webhook."""

    MESSAGE = "message"
    SES = "ses"
    SENDGRID = "sendgrid"
    MAILGUN = "mailgun"
    POSTMARK = "postmark"
    BREVO = "brevo"
    GENERIC = "generic"


class ReportStatus(StrEnum):
    """How far a raw report has come. In review it waits for a person."""

    WAITING = "waiting"
    READ = "read"
    REVIEW = "review"
    RESOLVED = "resolved"


class MatchedBy(StrEnum):
    """What in a report names its delivery, or its address."""

    TOKEN = "token"  # noqa: S105  (of the envelope sender)
    MESSAGE_ID = "message id"
    ADDRESS = "address"


class Verdict(StrEnum):
    """What `feedback.judge` concludes from an event."""

    SUPPRESS = "suppress"
    WITHDRAW = "withdraw"
    NOTE = "note"


class BreakerRule(StrEnum):
    """Why a running send pauses itself (STANDARDS F9)."""

    HARD = "hard bounces"
    COMPLAINTS = "complaints"


class SuppressionReason(StrEnum):
    """Why an address is barred."""

    UNKNOWN_USER = "unknown user"
    UNREACHABLE = "unreachable"
    COMPLAINT = "complaint"
    MANUAL = "manual"


Status = TypeVar("Status", bound=StrEnum)

# By kind first: members of two kinds with the same text are equal to each other.
_MOVES: Mapping[type[StrEnum], Mapping[str, frozenset[str]]] = {
    SubscriptionStatus: {
        "pending": frozenset({"confirmed", "unsubscribed"}),
        "confirmed": frozenset({"unsubscribed"}),
        "unsubscribed": frozenset({"pending", "confirmed"}),
    },
    SendStatus: {
        "scheduled": frozenset({"sending", "paused", "cancelled"}),
        "sending": frozenset({"paused", "finished", "cancelled"}),
        "paused": frozenset({"scheduled", "sending", "cancelled"}),
        "finished": frozenset({"sending"}),
        "cancelled": frozenset(),
    },
    BatchStatus: {
        "ready": frozenset({"claimed", "done"}),
        "claimed": frozenset({"claimed", "ready", "done"}),
        "done": frozenset({"ready"}),
    },
    DeliveryStatus: {
        "pending": frozenset({"deferred", "accepted", "refused", "uncertain", "skipped"}),
        "deferred": frozenset({"deferred", "accepted", "refused", "uncertain", "skipped"}),
        "uncertain": frozenset({"deferred", "accepted", "refused"}),
        "accepted": frozenset(),
        "refused": frozenset({"deferred"}),
        "skipped": frozenset(),
    },
}


def moves_into(new: Status) -> tuple[Status, ...]:
    """The statuses that may precede `new`: the guard of every UPDATE that sets it."""
    return tuple(old for old in type(new) if new in _MOVES[type(new)][old])


def check_move(what: str, old: Status, new: Status) -> None:
    """Raise IllegalMove, which names the thing and both statuses, unless `old` may become `new`."""
    if new not in _MOVES[type(old)][old]:
        raise IllegalMove(what=what, old=old.value, new=new.value)
