"""Which delivery a signal is about: by a token of ours, by our Message-ID, or else by its address (STANDARDS F1-F3)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
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
ANOTHERS = "it is about a letter of somebody else"
BEHIND = "it names somebody behind the address"
# What nobody has to decide about: a report is none the less read.
SETTLED = frozenset({EXPIRED, LATE, ANOTHERS, BEHIND})
# After such a word comes another: the letter arrived in the end, or it did not.
_DELAYS = frozenset({"delayed", "ses.delayed", "sendgrid.deferred", "brevo.deferred", "mailgun.failed.temporary"})
_BOUNCES = (FeedbackClass.HARD, FeedbackClass.SOFT, FeedbackClass.BLOCK)
_SAID = (*_BOUNCES, FeedbackClass.COMPLAINT)
# In these, ids and envelope senders are those of the letter as it was sent; the others may have given it their own.
_AS_SENT = (ReportForm.MESSAGE, ReportForm.SENDGRID, ReportForm.MAILGUN, ReportForm.GENERIC)
# A provider signs what it knows itself of an address. Whoever writes to us knows what anybody may have told them.
_TOLD = (ReportForm.MESSAGE, ReportForm.GENERIC)


@dataclass(frozen=True, slots=True)
class Clue:
    """What in a report names a delivery, before anything is looked up.

    `leaving` is the subscriber and the send of the address that a reader leaves by. `otherwise` is what there is to
    say if no delivery is found.
    """

    by: MatchedBy | None = None
    delivery_id: int | None = None
    leaving: tuple[int, int] | None = None
    address_key: str = ""
    otherwise: str = NOT_OURS


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
    """Whom a signal is about, of which class it is for us, and whether it is believed; `why` if not as it says."""

    by: MatchedBy | None
    delivery_id: int | None
    address_key: str
    feedback_class: FeedbackClass
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
    """A forged token is no better for the address beside it; nor is a report about somebody else's letter."""
    key = _key(signal.recipient)
    if is_envelope_sender(envelope_to):
        return Clue(address_key=key, otherwise=FORGED)
    is_mail = form is ReportForm.MESSAGE
    has_other_names = bool(signal.message_ids or (signal.senders and not is_mail))
    by = None if not key or (has_other_names and form in _AS_SENT) else MatchedBy.ADDRESS
    return Clue(by, address_key=key, otherwise=ANOTHERS if has_other_names and not is_mail else NOT_OURS)


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
    said = signal.feedback_class
    if clue.leaving:
        return _match_leaving(clue.leaving, said, found)
    delivery_id = found.by_address.get(clue.address_key) if clue.by is MatchedBy.ADDRESS else clue.delivery_id
    sent = found.deliveries.get(delivery_id) if delivery_id is not None else None
    if sent is None:
        return Match(None, None, clue.address_key, said, believed=False, why=clue.otherwise)
    why = _doubt(clue, signal, form, sent)
    if sent.last_attempt_at and received_at - sent.last_attempt_at > policy.match_window:
        why = clue.otherwise if clue.by is MatchedBy.ADDRESS else EXPIRED
    matched = Match(clue.by, sent.id, key_of(sent.address), said, believed=why is None, why=why)
    return _softened(matched) if form is ReportForm.MESSAGE and _names_another(signal, sent) else matched


def _match_leaving(leaving: tuple[int, int], said: FeedbackClass, found: Found) -> Match:
    """Such a token does not expire (M11), and holds without its send, as after a restored backup."""
    delivery_id = found.by_leaving.get(leaving)
    key = key_of(found.deliveries[delivery_id].address) if delivery_id else found.readers.get(leaving[0], "")
    return Match(MatchedBy.TOKEN, delivery_id, key, said, believed=True)


def _softened(matched: Match) -> Match:
    """An address of several people is not gone with one of them; it fails for weeks if it was of that one only."""
    if matched.feedback_class is not FeedbackClass.HARD or not matched.believed:
        return matched
    return replace(matched, feedback_class=FeedbackClass.SOFT, why=BEHIND)


def _names_another(signal: Signal, sent: Sent) -> bool:
    """Whether it is another mailbox that is gone: servers give the same one a domain of their own, or a tag."""
    named = signal.behind or signal.recipient
    return named is not None and _mailbox(named) != _mailbox(sent.address)


def _mailbox(address: str) -> str:
    local = address.rpartition("@")[0] or address
    return local.casefold().partition("+")[0]


def _doubt(clue: Clue, signal: Signal, form: ReportForm, sent: Sent) -> str | None:
    """Anybody can write a message with an address in it; what a provider signed is as good as a token.

    But whoever leaves at a provider leaves a letter, and an address alone does not tell whose.
    """
    if signal.rule in _DELAYS:
        return LATE
    if form is ReportForm.MESSAGE and signal.feedback_class in _SAID and signal.confidence <= HEARSAY:
        return BY_A_PERSON
    if clue.by is MatchedBy.ADDRESS:
        return ONLY_ADDRESS if form in _TOLD or signal.feedback_class is FeedbackClass.UNSUBSCRIBE else None
    return None if form is not ReportForm.MESSAGE or _is_by_reader(signal, sent) else NOT_THE_READER


def _is_by_reader(signal: Signal, sent: Sent) -> bool:
    """Whoever answers a letter that was passed on has its ids too, and can ask to leave for nobody else."""
    asks_to_leave = signal.feedback_class is FeedbackClass.UNSUBSCRIBE
    return not asks_to_leave or _key(signal.recipient) == key_of(sent.address)
