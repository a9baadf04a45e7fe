"""Joining and leaving, each with its consent record (STANDARDS L3, L4)."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from jlgc_mailer.audience.lists import find_list
from jlgc_mailer.audience.suppression import suppression_of
from jlgc_mailer.audience.zones import zone_named
from jlgc_mailer.db.base import Base
from jlgc_mailer.db.people import ConsentRecord, MailingList, Subscriber, Subscription
from jlgc_mailer.db.sending import Delivery
from jlgc_mailer.errors import InvalidInput, NotFound
from jlgc_mailer.mail.address import Address, parse_address
from jlgc_mailer.states import ConsentAction, Language, SubscriptionStatus, moves_into

NAME_LIMIT = 200
_NOT_IN_NAMES = {"Cc", "Cs", "Zl", "Zp"}  # joiners (Cf) are in names of many scripts, and in emoji


@dataclass(frozen=True)
class Person:
    """A reader as given by a form, a command or a row of a file."""

    address: Address
    name: str
    language: Language
    zone: str | None = None


@dataclass(frozen=True)
class Evidence:
    """How a consent came about: the way, and the words the person saw or the source that vouches."""

    how: str
    wording: str


def person(address: str, name: str, language: str, zone: str = "") -> Person:
    """A Person from raw text; raises InvalidInput with the reason."""
    return Person(parse_address(address), _name(name), _language(language), _zone(zone.strip()))


def _name(text: str) -> str:
    name = " ".join(text.split())
    if len(name) > NAME_LIMIT or any(unicodedata.category(each) in _NOT_IN_NAMES for each in name):
        problem = f"a name has at most {NAME_LIMIT} characters, and no control characters."
        raise InvalidInput(what="Name", value=name[:40], problem=problem)
    return name


def _language(text: str) -> Language:
    try:
        return Language(text.strip().lower())
    except ValueError:
        choices = " or ".join(Language)
        raise InvalidInput(what="Language", value=text, problem=f"choose {choices}.") from None


def _zone(name: str) -> str | None:
    return zone_named(name).key if name else None


def confirm(session: Session, people: Sequence[Person], list_id: int, evidence: Evidence, now: datetime) -> int:
    """Confirm people's subscriptions on evidence that staff vouch for; the number that were new to the list.

    People already known keep their name, language and zone. Those who unsubscribed stay so: an import or a
    colleague's form must not bring them back (promise 2). Whoever confirms the same people at the same moment waits
    for us, and finds them confirmed.
    """
    by_key: dict[str, Person] = {}
    for someone in people:
        by_key.setdefault(someone.address.key, someone)
    if not by_key:
        return 0
    _store_subscribers(session, by_key, now)
    new = _tie(session, by_key, list_id, now)
    _record_consent(session, new, list_id, evidence, now)
    return len(new)


def _upsert(session: Session, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def _store_subscribers(session: Session, by_key: Mapping[str, Person], now: datetime) -> None:
    """In the order of keys, as everybody does it: two who store the same people never wait for each other."""
    session.execute(
        _upsert(session, Subscriber).values(created_at=now).on_conflict_do_nothing(index_elements=["address_key"]),
        [
            {
                "address": someone.address.spec,
                "address_key": key,
                "name": someone.name,
                "language": someone.language,
                "zone": someone.zone,
            }
            for key, someone in sorted(by_key.items())
        ],
    )


def _tie(session: Session, keys: Iterable[str], list_id: int, now: datetime) -> Sequence[int]:
    """Confirm those of these subscribers who never had to do with the list; their ids."""
    tie = select(Subscription.id).where(Subscription.subscriber_id == Subscriber.id, Subscription.list_id == list_id)
    strangers = (
        select(
            Subscriber.id,
            literal(list_id),
            literal(SubscriptionStatus.CONFIRMED.value),
            literal(now, Subscription.changed_at.type),
        )
        .where(Subscriber.address_key.in_(keys), ~tie.exists())
        .order_by(Subscriber.id)
    )
    return session.scalars(
        _upsert(session, Subscription)
        .from_select(["subscriber_id", "list_id", "status", "changed_at"], strangers)
        .on_conflict_do_nothing(index_elements=["subscriber_id", "list_id"])
        .returning(Subscription.subscriber_id)
    ).all()


def _record_consent(
    session: Session, subscriber_ids: Sequence[int], list_id: int, evidence: Evidence, now: datetime
) -> None:
    given = {
        "list_id": literal(list_id),
        "action": literal(ConsentAction.GIVEN.value),
        "at": literal(now, ConsentRecord.at.type),
        "how": literal(evidence.how),
        "wording": literal(evidence.wording),
    }
    who = select(Subscriber.id, Subscriber.language, *given.values()).where(Subscriber.id.in_(subscriber_ids))
    session.execute(
        insert(ConsentRecord).from_select(["subscriber_id", "language", *given], who.order_by(Subscriber.id))
    )


def unsubscribe(
    session: Session, subscriber_id: int, list_ids: Sequence[int], evidence: Evidence, now: datetime
) -> list[int]:
    """End the person's subscriptions to these lists, at once and without questions.

    Returns the ids of the lists that were left now; nothing for one who has left before or is not known,
    so that repeating changes nothing.
    """
    subscriber = session.get(Subscriber, subscriber_id)
    if subscriber is None:
        return []
    left = [list_id for list_id in list_ids if _leave(session, subscriber_id, list_id, now)]
    session.add_all(
        ConsentRecord(
            subscriber_id=subscriber.id,
            list_id=list_id,
            action=ConsentAction.WITHDRAWN,
            at=now,
            how=evidence.how,
            wording=evidence.wording,
            language=subscriber.language,
        )
        for list_id in left
    )
    return left


def _leave(session: Session, subscriber_id: int, list_id: int, now: datetime) -> bool:
    ended = session.execute(
        update(Subscription)
        .where(Subscription.subscriber_id == subscriber_id, Subscription.list_id == list_id)
        .where(Subscription.status.in_(moves_into(SubscriptionStatus.UNSUBSCRIBED)))
        .values(status=SubscriptionStatus.UNSUBSCRIBED, changed_at=now)
        .returning(Subscription.id)
    )
    return ended.first() is not None


def find_subscriber(session: Session, address: str) -> Subscriber:
    """The subscriber with that address; raises NotFound or InvalidInput."""
    found = session.scalar(select(Subscriber).where(Subscriber.address_key == parse_address(address).key))
    if found is None:
        raise NotFound(kind="subscriber", name=address, remedy="See: jlgc-mailer subscribers list")
    return found


def subscriptions(
    session: Session, list_name: str | None = None
) -> Iterator[tuple[Subscriber, Subscription, MailingList]]:
    """All ties, or those of one list, by address; raises NotFound for a list that is not there."""
    query = (
        select(Subscriber, Subscription, MailingList)
        .join(Subscription, Subscription.subscriber_id == Subscriber.id)
        .join(MailingList, MailingList.id == Subscription.list_id)
        .order_by(Subscriber.address_key, MailingList.name)
    )
    if list_name is not None:
        query = query.where(MailingList.id == find_list(session, list_name).id)
    for row in session.execute(query.execution_options(yield_per=1000)):
        yield row[0], row[1], row[2]


def history(session: Session, subscriber: Subscriber) -> dict[str, Any]:
    """What is held on a person that staff may need to see: ties, consent, suppression and deliveries."""
    bar = suppression_of(session, subscriber.address_key)
    return {
        "address": subscriber.address,
        "name": subscriber.name,
        "language": subscriber.language.value,
        "zone": subscriber.zone,
        "created_at": subscriber.created_at.isoformat(),
        "suppressed": f"{bar.reason} ({bar.source})" if bar else None,
        "subscriptions": _ties_of(session, subscriber.id),
        "consent_records": _consents_of(session, subscriber.id),
        "deliveries": _deliveries_to(session, subscriber.id),
    }


def _ties_of(session: Session, subscriber_id: int) -> list[dict[str, Any]]:
    query = select(Subscription, MailingList.name).join(MailingList, MailingList.id == Subscription.list_id)
    ties = session.execute(query.where(Subscription.subscriber_id == subscriber_id).order_by(Subscription.id))
    return [{"list": name, "status": tie.status.value, "since": tie.changed_at.isoformat()} for tie, name in ties]


def _consents_of(session: Session, subscriber_id: int) -> list[dict[str, Any]]:
    query = select(ConsentRecord, MailingList.name).join(MailingList, MailingList.id == ConsentRecord.list_id)
    records = session.execute(query.where(ConsentRecord.subscriber_id == subscriber_id).order_by(ConsentRecord.id))
    return [
        {
            "at": record.at.isoformat(),
            "list": name,
            "action": record.action.value,
            "how": record.how,
            "wording": record.wording,
        }
        for record, name in records
    ]


def _deliveries_to(session: Session, subscriber_id: int) -> list[dict[str, Any]]:
    deliveries = session.scalars(
        select(Delivery).where(Delivery.subscriber_id == subscriber_id).order_by(Delivery.send_id)
    )
    return [
        {
            "send": each.send_id,
            "status": each.status.value,
            "reason": each.reason,
            "attempts": each.attempts,
            "first_attempt_at": each.first_attempt_at.isoformat() if each.first_attempt_at else None,
        }
        for each in deliveries
    ]
