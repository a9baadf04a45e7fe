"""Suppressions: addresses that get nothing, whatever list they are on."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from jlgc_mailer.db.among import among, listed
from jlgc_mailer.db.people import Suppression
from jlgc_mailer.errors import NotFound
from jlgc_mailer.states import SuppressionReason

RULES_CHANGED = "rules changed"  # the reason of a release that no person decided


class Bar(NamedTuple):
    """An address to be barred: why, by whom or what, since when."""

    address_key: str
    reason: SuppressionReason
    source: str
    created_at: datetime


def suppress(session: Session, address_key: str, reason: SuppressionReason, source: str, now: datetime) -> bool:
    """Bar an address; False when it is barred already."""
    return suppress_all(session, [Bar(address_key, reason, source, now)]) == 1


def suppress_all(session: Session, bars: Sequence[Bar]) -> int:
    """Bar these addresses, the first reason of each counts; the number that were not barred before."""
    first: dict[str, Bar] = {}
    for bar in bars:
        first.setdefault(bar.address_key, bar)
    if not first:
        return 0
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    new = insert(Suppression).on_conflict_do_nothing().returning(Suppression.id)
    # In the order of keys, as everybody does it: two who bar the same addresses never wait for each other.
    return len(session.execute(new, [first[key]._asdict() for key in sorted(first)]).all())


def release(session: Session, address_key: str, reason: str, now: datetime) -> None:
    """An address may get mail again, for a reason that those who come after can read; NotFound when it is not barred.

    What came in before does not bar it again.
    """
    ended = session.execute(
        update(Suppression)
        .where(Suppression.address_key == address_key, Suppression.released_at.is_(None))
        .values(released_at=now, release_reason=reason)
        .returning(Suppression.id)
    )
    if ended.first() is None:
        raise NotFound(kind="suppression of", name=address_key, remedy="See: jlgc-mailer suppressions list")


def released(session: Session, address_keys: Collection[str]) -> Mapping[str, datetime]:
    """When people last released each of these addresses, if ever; what a change of rules released may be undone."""
    latest = (
        select(Suppression.address_key, func.max(Suppression.released_at))
        .where(among(Suppression.address_key, "keys"), Suppression.released_at.is_not(None))
        .where(Suppression.release_reason.is_distinct_from(RULES_CHANGED))
        .group_by(Suppression.address_key)
    )
    rows = session.execute(latest, {"keys": listed(address_keys)}) if address_keys else ()
    return {key: at for key, at in rows if at is not None}


def in_force(session: Session) -> list[Suppression]:
    """All suppressions in force, oldest first."""
    return list(session.scalars(select(Suppression).where(Suppression.released_at.is_(None)).order_by(Suppression.id)))


def suppression_of(session: Session, address_key: str) -> Suppression | None:
    """The suppression in force for an address, if any."""
    return session.scalar(select(Suppression).filter_by(address_key=address_key, released_at=None))


def suppressions_of(session: Session, address_key: str) -> Sequence[Suppression]:
    """Everything that ever barred an address, oldest first."""
    return session.scalars(select(Suppression).filter_by(address_key=address_key).order_by(Suppression.id)).all()
