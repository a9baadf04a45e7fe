"""How the ways in are doing: a row for each, kept by whoever tries it, for operators to look at."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from jlgc_mailer.db.feedback import WayIn
from jlgc_mailer.errors import NotFound

_LONGEST = 1000  # characters of a problem


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
    problem = printable(problem) if problem else None
    fresh: dict[str, object] = {"tried_at": now, "problem": problem, "problem_at": now if problem else None}
    fresh |= {"stored_at": now} if stored else {}
    fresh |= {"backlog": backlog} if backlog is not None else {}
    insert = _insert(session)(WayIn).values(name=name, stored=stored, **fresh)
    counted = {"stored": WayIn.stored + insert.excluded.stored}
    session.execute(insert.on_conflict_do_update(index_elements=[WayIn.name], set_=fresh | counted))


def refused(session: Session, name: str, now: datetime, refusal: str) -> None:
    """Note that something was not let in, and why. It is no try and no problem, as strangers can bring it about."""
    fresh = {"refused_at": now, "refusal": printable(refusal)}
    insert = _insert(session)(WayIn).values(name=name, stored=0, **fresh)
    session.execute(insert.on_conflict_do_update(index_elements=[WayIn.name], set_=fresh))


def forget(session: Session, name: str) -> None:
    """Take a way in off the list, as it is not used any more; NotFound when it is not there."""
    gone = delete(WayIn).where(WayIn.name == name).returning(WayIn.name)
    if session.execute(gone).first() is None:
        raise NotFound(kind="way in", name=name, remedy="See: jlgc-mailer feedback health")


def printable(problem: str) -> str:
    """What went wrong on one line, without what no terminal and no database takes, such as halves of characters."""
    return " ".join("".join(each if each.isprintable() else " " for each in problem).split())[:_LONGEST]


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


def silence(tried_at: datetime | None, longest: timedelta, now: datetime) -> str | None:
    """What is wrong with a way in that nobody has tried for more than the time `longest`; None when nothing is."""
    if tried_at is not None and now - tried_at <= longest:
        return None
    since = f"since {tried_at.isoformat(timespec='seconds')}" if tried_at else "yet"
    return f"Nobody has tried it {since}: its process does not run, or cannot reach the database."


def _insert(session: Session) -> type[postgresql.Insert] | type[sqlite.Insert]:
    return postgresql.Insert if session.get_bind().dialect.name == "postgresql" else sqlite.Insert
