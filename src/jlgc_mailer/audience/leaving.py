"""Leaving by what a message carries: whom it belongs to, what it ends, and ending it (STANDARDS M10, M11, L4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from sqlalchemy import select
from sqlalchemy.orm import Session

from jlgc_mailer.audience.subscriptions import Evidence, unsubscribe
from jlgc_mailer.db.people import MailingList, Subscriber, Subscription
from jlgc_mailer.db.sending import Send
from jlgc_mailer.mail.tokens import Keyring, Purpose
from jlgc_mailer.states import Language, SubscriptionStatus

_TEST_SUBSCRIBER = 0


class Standing(Enum):
    """How the link's subscriber stands to its newsletters."""

    SUBSCRIBED = auto()
    LEFT = auto()
    TEST = auto()


@dataclass(frozen=True)
class Link:
    """What the link of one message means today."""

    subscriber_id: int
    standing: Standing
    lists: Sequence[MailingList] = ()
    masked_address: str = ""
    language: Language | None = None

    def titles(self, language: Language) -> list[str]:
        """The newsletters that the link ends, by title."""
        return [each.title(language) for each in self.lists]


def read_link(session: Session, keyring: Keyring, token: str) -> Link | None:
    """What a token stands for; None if we did not sign it."""
    numbers = keyring.read(Purpose.UNSUBSCRIBE, token)
    if numbers is None or len(numbers) != 2:
        return None
    subscriber_id, send_id = numbers
    if subscriber_id == _TEST_SUBSCRIBER:
        return Link(subscriber_id, Standing.TEST)
    return link_of(session, subscriber_id, send_id)


def leave(session: Session, link: Link, evidence: Evidence, now: datetime) -> None:
    """End the subscriptions that the link is for; repeating it changes nothing."""
    if link.standing is Standing.SUBSCRIBED:
        unsubscribe(session, link.subscriber_id, [each.id for each in link.lists], evidence, now)


def link_of(session: Session, subscriber_id: int, send_id: int | None) -> Link:
    """What the link in a send's message to that subscriber stands for; without a send, all newsletters."""
    ties = _ties(session, subscriber_id)
    lists = _lists(session, send_id, ties)
    subscriber = session.get(Subscriber, subscriber_id)
    if subscriber is None:  # erased: nothing is left to end, and the page tells nothing more
        return Link(subscriber_id, Standing.LEFT, lists)
    subscribed = any(ties[each.id] is not SubscriptionStatus.UNSUBSCRIBED for each in lists if each.id in ties)
    standing = Standing.SUBSCRIBED if subscribed else Standing.LEFT
    return Link(subscriber_id, standing, lists, _masked(subscriber.address), subscriber.language)


def _ties(session: Session, subscriber_id: int) -> dict[int, SubscriptionStatus]:
    mine = select(Subscription.list_id, Subscription.status).where(Subscription.subscriber_id == subscriber_id)
    return {row.list_id: row.status for row in session.execute(mine)}


def _lists(session: Session, send_id: int | None, ties: dict[int, SubscriptionStatus]) -> list[MailingList]:
    """The lists of the send that the person has to do with, or all of them.

    A send that is not known, as after a restored backup, must not hold anybody back: then all lists count.
    """
    send = session.get(Send, send_id) if send_id is not None else None
    if send is None:
        return list(session.scalars(select(MailingList).where(MailingList.id.in_(ties)).order_by(MailingList.id)))
    return [each for each in send.lists if each.id in ties] or list(send.lists)


def _masked(address: str) -> str:
    """Enough for its owner to know the address, too little for anybody else to write to it."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}•••@{domain}"
