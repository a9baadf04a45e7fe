"""Raw reports: stored to the octet before anybody reads them (promise 6)."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from jlgc_mailer.db.base import Database
from jlgc_mailer.db.feedback import RawReport
from jlgc_mailer.errors import MailerError
from jlgc_mailer.mail.reports.envelope import folded
from jlgc_mailer.states import ReportForm, ReportStatus


class NotStored(MailerError):
    """The database is there, but does not take a report; whoever brings it has to keep it."""

    sentence = "The database does not take a report ({kind}). It stays where it is and is tried again."


@dataclass(frozen=True, slots=True)
class Inbound:
    """One thing that came in by a way in called `source`."""

    source: str
    form: ReportForm
    body: bytes
    envelope_from: str = ""
    envelope_to: str = ""

    @property
    def digest(self) -> str:
        """The same for the same thing, by whichever way it comes."""
        parts = (self.form.encode(), folded(self.envelope_to).encode("utf-8", "replace"), self.body)
        return hashlib.sha256(b"\0".join(parts)).hexdigest()


@contextmanager
def storing(database: Database) -> Iterator[Session]:
    """A transaction for `store`; raises Unreachable, or NotStored without the statement that failed."""
    try:
        with database.transaction() as session:
            yield session
    except SQLAlchemyError as error:
        raise NotStored(kind=type(error).__name__) from error


def store(session: Session, inbound: Inbound, now: datetime) -> bool:
    """Keep a report until it is read; False when it is here already."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {
        "received_at": now,
        "source": inbound.source,
        "form": inbound.form,
        "digest": inbound.digest,
        "envelope_from": inbound.envelope_from,
        "envelope_to": inbound.envelope_to,
        "body": inbound.body,
        "status": ReportStatus.WAITING,
    }
    added = session.execute(insert(RawReport).values(values).on_conflict_do_nothing().returning(RawReport.id))
    return added.first() is not None
