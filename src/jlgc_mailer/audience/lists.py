"""Mailing lists: what people join."""

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from jlgc_mailer.db.people import MailingList, Subscription
from jlgc_mailer.errors import AlreadyExists, InvalidInput, NotFound
from jlgc_mailer.states import SubscriptionStatus

_TITLE_LIMIT = 200
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")


@dataclass(frozen=True)
class ListSummary:
    """A list and how many people stand in each status."""

    mailing_list: MailingList
    confirmed: int
    pending: int
    unsubscribed: int


def create_list(session: Session, name: str, title_en: str, title_ja: str, now: datetime) -> MailingList:
    """A new list; its name becomes a label of the List-Id (RFC 2919), so it is a domain label."""
    if not _NAME.match(name):
        problem = "a list's name has small letters a-z, digits and hyphens, at most 63 (it is part of the List-Id)."
        raise InvalidInput(what="List name", value=name, problem=problem)
    if session.scalar(select(MailingList.id).where(MailingList.name == name)):
        raise AlreadyExists(kind="mailing list", name=name, remedy="Choose another name.")
    for title in (title_en, title_ja):
        if not title.strip() or not title.isprintable() or len(title) > _TITLE_LIMIT:
            problem = f"a list's title has one line of at most {_TITLE_LIMIT} printable characters."
            raise InvalidInput(what="List title", value=title[:40], problem=problem)
    created = MailingList(name=name, title_en=title_en, title_ja=title_ja, created_at=now)
    session.add(created)
    session.flush()
    return created


def find_list(session: Session, name: str) -> MailingList:
    """The list of that name; raises NotFound."""
    found = session.scalar(select(MailingList).where(MailingList.name == name))
    if found is None:
        raise NotFound(kind="mailing list", name=name, remedy="See: jlgc-mailer lists list")
    return found


def summaries(session: Session) -> list[ListSummary]:
    """All lists with their counts, by name."""
    counts: dict[tuple[int, SubscriptionStatus], int] = {}
    grouped = select(Subscription.list_id, Subscription.status, func.count()).group_by(
        Subscription.list_id, Subscription.status
    )
    for list_id, status, count in session.execute(grouped):
        counts[list_id, status] = count
    return [_summary(each, counts) for each in session.scalars(select(MailingList).order_by(MailingList.name))]


def _summary(each: MailingList, counts: dict[tuple[int, SubscriptionStatus], int]) -> ListSummary:
    def of(status: SubscriptionStatus) -> int:
        return counts.get((each.id, status), 0)

    return ListSummary(
        each,
        of(SubscriptionStatus.CONFIRMED),
        of(SubscriptionStatus.PENDING),
        of(SubscriptionStatus.UNSUBSCRIBED),
    )
