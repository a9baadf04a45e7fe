"""Joining and leaving, each with its consent record (STANDARDS L3, L4)."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from jlgc_mailer.audience.lists import find_list
from jlgc_mailer.audience.suppression import suppression_of
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


@dataclass(frozen=True)
class Evidence:
    """How a consent came about: the way, and the words the person saw or the source that vouches."""

    how: str
    wording: str


def person(address: str, name: str, language: str) -> Person:
    """A Person from raw text; raises InvalidInput with the reason."""
    name = " ".join(name.split())
    if len(name) > NAME_LIMIT or any(unicodedata.category(each) in _NOT_IN_NAMES for each in name):
        problem = f"a name has at most {NAME_LIMIT} characters, and no control characters."
        raise InvalidInput(what="Name", value=name[:40], problem=problem)
    try:
        return Person(parse_address(address), name, Language(language.strip().lower()))
    except ValueError:
        choices = " or ".join(Language)
        raise InvalidInput(what="Language", value=language, problem=f"choose {choices}.") from None


def confirm(session: Session, people: Sequence[Person], list_id: int, evidence: Evidence, now: datetime) -> int:
    """Confirm people's subscriptions on evidence that staff vouch for; the number that were new to the list.

    People already known keep their name and language. Those who unsubscribed stay so: an import or a
    colleague's form must not bring them back (promise 2).
    """
    by_key: dict[str, Person] = {}
    for someone in people:
        by_key.setdefault(someone.address.key, someone)
    if not by_key:
        return 0
    _store_subscribers(session, by_key, now)
    new = _without_tie(session, by_key, list_id)
    if new:
        rows = [{"subscriber_id": each.id, "language": each.language} for each in new]
        status = SubscriptionStatus.CONFIRMED
        session.execute(
            insert(Subscription).values(list_id=list_id, status=status, changed_at=now),
            [{"subscriber_id": row["subscriber_id"]} for row in rows],
        )
        session.execute(insert(ConsentRecord).values(_given(list_id, evidence, now)), rows)
    return len(new)


def _store_subscribers(session: Session, by_key: Mapping[str, Person], now: datetime) -> None:
    upsert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(
        upsert(Subscriber).values(created_at=now).on_conflict_do_nothing(index_elements=["address_key"]),
        [
            {
                "address": someone.address.spec,
                "address_key": key,
                "name": someone.name,
                "language": someone.language,
            }
            for key, someone in by_key.items()
        ],
    )


def _without_tie(session: Session, keys: Iterable[str], list_id: int) -> Sequence[Row[int, Language]]:
    """Those of these subscribers who never had to do with the list."""
    tie = select(Subscription.id).where(Subscription.subscriber_id == Subscriber.id, Subscription.list_id == list_id)
    return session.execute(
        select(Subscriber.id, Subscriber.language)
        .where(Subscriber.address_key.in_(keys), ~tie.exists())
        .order_by(Subscriber.id)
    ).all()


def _given(list_id: int, evidence: Evidence, now: datetime) -> dict[str, object]:
    return {
        "list_id": list_id,
        "action": ConsentAction.GIVEN,
        "at": now,
        "how": evidence.how,
        "wording": evidence.wording,
    }


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
    ties = session.execute(
        select(Subscription, MailingList.name)
        .join(MailingList, MailingList.id == Subscription.list_id)
        .where(Subscription.subscriber_id == subscriber.id)
    )
    consents = session.execute(
        select(ConsentRecord, MailingList.name)
        .join(MailingList, MailingList.id == ConsentRecord.list_id)
        .where(ConsentRecord.subscriber_id == subscriber.id)
        .order_by(ConsentRecord.id)
    )
    bar = suppression_of(session, subscriber.address_key)
    deliveries = session.scalars(
        select(Delivery).where(Delivery.subscriber_id == subscriber.id).order_by(Delivery.send_id)
    )
    return {
        "address": subscriber.address,
        "name": subscriber.name,
        "language": subscriber.language.value,
        "created_at": subscriber.created_at.isoformat(),
        "suppressed": f"{bar.reason} ({bar.source})" if bar else None,
        "subscriptions": [
            {"list": name, "status": tie.status.value, "since": tie.changed_at.isoformat()} for tie, name in ties
        ],
        "consent_records": [
            {
                "at": record.at.isoformat(),
                "list": name,
                "action": record.action.value,
                "how": record.how,
                "wording": record.wording,
            }
            for record, name in consents
        ],
        "deliveries": [
            {
                "send": each.send_id,
                "status": each.status.value,
                "reason": each.reason,
                "attempts": each.attempts,
                "first_attempt_at": each.first_attempt_at.isoformat() if each.first_attempt_at else None,
            }
            for each in deliveries
        ],
    }
