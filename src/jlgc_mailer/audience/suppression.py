"""Suppressions: addresses that get nothing, whatever list they are on."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from jlgc_mailer.db.people import Suppression
from jlgc_mailer.states import SuppressionReason


def suppress(session: Session, address_key: str, reason: SuppressionReason, source: str, now: datetime) -> bool:
    """Bar an address; False when it is barred already."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    added = session.execute(
        insert(Suppression)
        .values(address_key=address_key, reason=reason, source=source, created_at=now)
        .on_conflict_do_nothing()
        .returning(Suppression.id)
    )
    return added.first() is not None


def in_force(session: Session) -> list[Suppression]:
    """All suppressions in force, oldest first."""
    return list(session.scalars(select(Suppression).where(Suppression.released_at.is_(None)).order_by(Suppression.id)))


def suppression_of(session: Session, address_key: str) -> Suppression | None:
    """The suppression in force for an address, if any."""
    return session.scalar(select(Suppression).filter_by(address_key=address_key, released_at=None))
