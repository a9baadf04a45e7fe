"""How the ways in are doing: a row for each, kept by whoever tries it, for operators to look at."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from jlgc_mailer.db.feedback import WayIn


def seen(
    session: Session,
    name: str,
    now: datetime,
    stored: int = 0,
    backlog: int | None = None,
    problem: str | None = None,
) -> None:
    """Note that a way in was tried: what it brought, how much waits there, and what went wrong.

    A try without a problem ends the one before. A `backlog` of None leaves the number as it was.
    """
    fresh: dict[str, object] = {"tried_at": now, "problem": problem, "problem_at": now if problem else None}
    fresh |= {"stored_at": now} if stored else {}
    fresh |= {"backlog": backlog} if backlog is not None else {}
    insert = _insert(session)(WayIn).values(name=name, stored=stored, **fresh)
    counted = {"stored": WayIn.stored + insert.excluded.stored}
    session.execute(insert.on_conflict_do_update(index_elements=[WayIn.name], set_=fresh | counted))


def claim(session: Session, name: str, now: datetime, every: timedelta) -> bool:
    """Whether this process may try a way in now: nobody has within the time `every`. Then it counts as tried."""
    added = _insert(session)(WayIn).values(name=name, tried_at=now, stored=0).on_conflict_do_nothing()
    if session.execute(added.returning(WayIn.name)).first():
        return True
    is_due = WayIn.tried_at.is_(None) | (WayIn.tried_at <= now - every)
    claimed = update(WayIn).where(WayIn.name == name, is_due).values(tried_at=now).returning(WayIn.name)
    return session.execute(claimed).first() is not None


def ways_in(session: Session) -> Sequence[WayIn]:
    """All that were tried, by name; one whose last try failed has a problem."""
    return session.scalars(select(WayIn).order_by(WayIn.name)).all()


def _insert(session: Session) -> type[postgresql.Insert] | type[sqlite.Insert]:
    return postgresql.Insert if session.get_bind().dialect.name == "postgresql" else sqlite.Insert
