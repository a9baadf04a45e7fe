"""Which delivery a signal is about: by a token of ours, by our Message-ID, or else by its address (STANDARDS F1-F3)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from jlgc_mailer.db.among import among, listed
from jlgc_mailer.db.people import Subscriber
from jlgc_mailer.db.sending import Attempt, Delivery
from jlgc_mailer.errors import InvalidInput
from jlgc_mailer.feedback.policy import Policy
from jlgc_mailer.mail.address import key_of, parse_address
from jlgc_mailer.mail.reports.read import HEARSAY
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.mail.tokens import Keyring, Purpose
from jlgc_mailer.mail.verp import delivery_of, is_envelope_sender, leaving_of
from jlgc_mailer.states import DeliveryStatus, FeedbackClass, MatchedBy, ReportForm

NOT_OURS = "nothing in it names a delivery of ours"
FORGED = "its token is not ours"
EXPIRED = "its token has expired"
LATE = "it is only late"
BY_A_PERSON = "a person may have written it"
ONLY_ADDRESS = "only the address names it, which proves too little"
NOT_THE_READER = "somebody else than the reader asks to leave"
# After such a word comes another: the letter arrived in the end, or it did not.
_DELAYS = frozenset({"delayed", "ses.delayed", "sendgrid.deferred", "brevo.deferred", "mailgun.failed.temporary"})
_BOUNCES = (FeedbackClass.HARD, FeedbackClass.SOFT, FeedbackClass.BLOCK)
_SAID = (*_BOUNCES, FeedbackClass.COMPLAINT)


@dataclass(frozen=True, slots=True)
class Clue:
    """What in a report names a delivery, before anything is looked up.

    `leaving` is the subscriber and the send of the address that a reader leaves by.
    """

    by: MatchedBy | None = None
    delivery_id: int | None = None
    leaving: tuple[int, int] | None = None
    address_key: str = ""
    is_forged: bool = False


class Sent(NamedTuple):
    """A delivery as far as matching needs it; it may come back before its first attempt is written down."""

    id: int
    address: str
    last_attempt_at: datetime | None


@dataclass(frozen=True)
class Found:
    """What the database has on a batch of clues."""

    deliveries: Mapping[int, Sent] = field(default_factory=dict)
    by_leaving: Mapping[tuple[int, int], int] = field(default_factory=dict)
    by_address: Mapping[str, int] = field(default_factory=dict)
    readers: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """Whom a signal is about and whether it is believed; `why` if not."""

    by: MatchedBy | None
    delivery_id: int | None
    address_key: str
    believed: bool
    why: str | None = None


def clue_of(form: ReportForm, envelope_to: str, signal: Signal, keyring: Keyring) -> Clue:
    """The best that a signal has. The address that the report was sent to goes before all that it says (F3)."""
    leaving = _leaving_of(envelope_to, signal, keyring)
    if leaving:
        return Clue(MatchedBy.TOKEN, leaving=leaving)
    for address in (envelope_to, *signal.senders):
        delivery_id = delivery_of(address, keyring)
        if delivery_id is not None:
            return Clue(MatchedBy.TOKEN, delivery_id)
    for message_id in signal.message_ids:
        numbers = keyring.read(Purpose.MESSAGE_ID, message_id.partition("@")[0])
        if numbers:
            return Clue(MatchedBy.MESSAGE_ID, numbers[0])
    return _by_address(form, envelope_to, signal)


def _leaving_of(envelope_to: str, signal: Signal, keyring: Keyring) -> tuple[int, int] | None:
    """A letter that is returned has such an address in it, too: then it says nothing."""
    says_so = signal.senders if signal.feedback_class is FeedbackClass.UNSUBSCRIBE else ()
    return next(filter(None, (leaving_of(address, keyring) for address in (envelope_to, *says_so))), None)


def _by_address(form: ReportForm, envelope_to: str, signal: Signal) -> Clue:
    """A forged token is no better for the address beside it; nor is a report that returns somebody else's message."""
    key = _key(signal.recipient)
    if is_envelope_sender(envelope_to):
        return Clue(address_key=key, is_forged=True)
    is_foreign = form is ReportForm.MESSAGE and bool(signal.message_ids)
    return Clue(MatchedBy.ADDRESS if key and not is_foreign else None, address_key=key)


def _key(recipient: str | None) -> str:
    try:
        return parse_address(recipient).key if recipient else ""
    except InvalidInput:
        return ""


def look_up(session: Session, clues: Collection[Clue]) -> Found:
    """What the database has on all of these, in a few statements."""
    by_leaving = _by_leaving(session, {each.leaving for each in clues if each.leaving})
    by_address = _latest(session, {each.address_key for each in clues if each.by is MatchedBy.ADDRESS})
    ids = {each.delivery_id for each in clues if each.delivery_id is not None}
    deliveries = _deliveries(session, ids.union(by_leaving.values(), by_address.values()))
    gone = {each.leaving[0] for each in clues if each.leaving and each.leaving not in by_leaving}
    readers = select(Subscriber.id, Subscriber.address_key).where(Subscriber.id.in_(gone))
    return Found(deliveries, by_leaving, by_address, dict(iter(session.execute(readers))) if gone else {})


def _deliveries(session: Session, ids: Collection[int]) -> dict[int, Sent]:
    last = select(func.max(Attempt.at)).where(Attempt.delivery_id == Delivery.id).scalar_subquery()
    query = select(Delivery.id, Delivery.address, last).where(among(Delivery.id, "ids"))
    return {row[0]: Sent(*row) for row in session.execute(query, {"ids": listed(ids)})} if ids else {}


def _by_leaving(session: Session, pairs: Collection[tuple[int, int]]) -> dict[tuple[int, int], int]:
    if not pairs:
        return {}
    columns = Delivery.subscriber_id, Delivery.send_id
    query = select(*columns, Delivery.id).where(tuple_(*columns).in_(pairs))
    return {(reader, send): delivery for reader, send, delivery in session.execute(query) if reader is not None}


def _latest(session: Session, keys: Collection[str]) -> dict[str, int]:
    """The latest delivery that was accepted for each address; whoever was erased is not found by it any more."""
    query = (
        select(Subscriber.address_key, func.max(Delivery.id))
        .join(Delivery, Delivery.subscriber_id == Subscriber.id)
        .where(among(Subscriber.address_key, "keys"), Delivery.status == DeliveryStatus.ACCEPTED)
        .group_by(Subscriber.address_key)
    )
    return dict(iter(session.execute(query, {"keys": listed(keys)}))) if keys else {}


def match(clue: Clue, signal: Signal, form: ReportForm, received_at: datetime, found: Found, policy: Policy) -> Match:
    """Whom the signal is about, and whether it may have consequences (F2)."""
    if clue.leaving:
        return _match_leaving(clue.leaving, found)
    delivery_id = found.by_address.get(clue.address_key) if clue.by is MatchedBy.ADDRESS else clue.delivery_id
    sent = found.deliveries.get(delivery_id) if delivery_id is not None else None
    if sent is None:
        return Match(None, None, clue.address_key, believed=False, why=FORGED if clue.is_forged else NOT_OURS)
    why = _doubt(clue, signal, form, sent)
    if sent.last_attempt_at and received_at - sent.last_attempt_at > policy.match_window:
        why = NOT_OURS if clue.by is MatchedBy.ADDRESS else EXPIRED
    return Match(clue.by, sent.id, key_of(sent.address), believed=why is None, why=why)


def _match_leaving(leaving: tuple[int, int], found: Found) -> Match:
    """Such a token does not expire (M11), and holds without its send, as after a restored backup."""
    delivery_id = found.by_leaving.get(leaving)
    key = key_of(found.deliveries[delivery_id].address) if delivery_id else found.readers.get(leaving[0], "")
    return Match(MatchedBy.TOKEN, delivery_id, key, believed=True)


def _doubt(clue: Clue, signal: Signal, form: ReportForm, sent: Sent) -> str | None:
    """Anybody can write a message with an address in it; what a provider signed is as good as a token."""
    if signal.rule in _DELAYS:
        return LATE
    if form is not ReportForm.MESSAGE:
        return None
    if signal.feedback_class in _SAID and signal.confidence <= HEARSAY:
        return BY_A_PERSON
    if clue.by is MatchedBy.ADDRESS:
        return ONLY_ADDRESS
    return None if _is_by_reader(signal, sent) else NOT_THE_READER


def _is_by_reader(signal: Signal, sent: Sent) -> bool:
    """Whoever answers a letter that was passed on has its ids too, and can ask to leave for nobody else."""
    asks_to_leave = signal.feedback_class is FeedbackClass.UNSUBSCRIBE
    return not asks_to_leave or _key(signal.recipient) == key_of(sent.address)
