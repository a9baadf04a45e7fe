"""Raw reports: stored to the octet before anybody reads them (promise 6)."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from jlgc_mailer.db.feedback import RawReport
from jlgc_mailer.states import ReportForm, ReportStatus


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
        parts = (self.form.encode(), self.envelope_to.lower().encode("utf-8", "replace"), self.body)
        return hashlib.sha256(b"\0".join(parts)).hexdigest()


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
