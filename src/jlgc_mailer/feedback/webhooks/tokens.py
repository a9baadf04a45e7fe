"""One-use tokens: of a signature that does not cover the body, so that it cannot be put on another one (F10)."""

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from jlgc_mailer.db.feedback import WebhookToken

_KEPT = timedelta(days=1)  # longer than any timestamp is believed


def brings_nothing_else(session: Session, token: str, report_digest: str, now: datetime) -> bool:
    """Whether the token has brought no other body, to any webhook; two may share a key. Now it brings this one only."""
    session.execute(delete(WebhookToken).where(WebhookToken.used_at < now - _KEPT))
    digest = hashlib.sha256(token.encode()).hexdigest()
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {"digest": digest, "report_digest": report_digest, "used_at": now}
    session.execute(insert(WebhookToken).values(values).on_conflict_do_nothing())
    brought = select(WebhookToken.report_digest).where(WebhookToken.digest == digest)
    return session.scalars(brought).one() == report_digest
