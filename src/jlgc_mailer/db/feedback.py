"""What comes back: raw reports, stored before they are read; and events, stored before they are judged."""

from datetime import datetime

from sqlalchemy import Float, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from jlgc_mailer.db.base import Base, BigId, Key, Moment, ShortText, UtcDateTime, enum_column
from jlgc_mailer.states import FeedbackClass, FeedbackKind, ReplyClass, ReportForm, ReportStatus, Verdict


class RawReport(Base):
    """What came in, to the octet. `digest` is the same when the same thing comes again, as after a crash.

    `envelope_to` is the address that the report was sent to: one of ours with a token, if all went well (F1).
    """

    __tablename__ = "raw_reports"
    __table_args__ = (Index("ix_raw_reports_status_id", "status", "id"),)

    id: Mapped[Key]
    received_at: Mapped[Moment]
    source: Mapped[ShortText]
    form: Mapped[ReportForm] = mapped_column(enum_column(ReportForm))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    envelope_from: Mapped[str] = mapped_column(Text, default="")
    envelope_to: Mapped[str] = mapped_column(Text, default="")
    body: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    status: Mapped[ReportStatus] = mapped_column(enum_column(ReportStatus), default=ReportStatus.WAITING)
    why: Mapped[str | None] = mapped_column(Text)


class FeedbackEvent(Base):
    """Any inbound signal about an address; `verdict` is empty until it is judged.

    `address_key` is empty when nobody knows whom it is about. A report has an event for each of its recipients,
    numbered by `part`.
    """

    __tablename__ = "feedback_events"
    __table_args__ = (
        UniqueConstraint("report_id", "part"),
        Index("ix_feedback_events_address_key", "address_key"),
        Index(
            "ix_feedback_events_unjudged",
            "id",
            sqlite_where=text("judged_at IS NULL"),
            postgresql_where=text("judged_at IS NULL"),
        ),
    )

    id: Mapped[Key]
    received_at: Mapped[Moment]
    source: Mapped[ShortText]
    kind: Mapped[FeedbackKind] = mapped_column(enum_column(FeedbackKind))
    report_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("raw_reports.id"))
    part: Mapped[int | None]
    delivery_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("deliveries.id"), index=True)
    address_key: Mapped[str] = mapped_column(String(320))
    feedback_class: Mapped[FeedbackClass] = mapped_column(enum_column(FeedbackClass), server_default="unknown")
    reply_class: Mapped[ReplyClass] = mapped_column(enum_column(ReplyClass), default=ReplyClass.OTHER)
    status: Mapped[str | None] = mapped_column(String(12))
    remote_mta: Mapped[str | None] = mapped_column(String(255))
    rule: Mapped[str | None] = mapped_column(String(80))
    confidence: Mapped[float] = mapped_column(Float, default=1.0, server_default=text("1"))
    diagnosis: Mapped[str] = mapped_column(Text)
    judged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    verdict: Mapped[Verdict | None] = mapped_column(enum_column(Verdict))


class WayIn(Base):
    """How a way in is doing, for operators: there is a row once it was tried."""

    __tablename__ = "ways_in"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    tried_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stored_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stored: Mapped[int] = mapped_column(default=0)
    backlog: Mapped[int | None]
    problem: Mapped[str | None] = mapped_column(Text)
    problem_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
