"""What comes back: raw reports, stored before they are read; and events, stored before they are judged."""

from datetime import datetime

from sqlalchemy import Float, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text, true
from sqlalchemy.orm import Mapped, mapped_column

from jlgc_mailer.db.base import Base, BigId, Key, Moment, ShortText, UtcDateTime, enum_column
from jlgc_mailer.states import (
    BreakerRule,
    FeedbackClass,
    FeedbackKind,
    MatchedBy,
    ReplyClass,
    ReportForm,
    ReportStatus,
    Verdict,
)


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
    numbered by `part`. Only what is `believed` can have consequences: what names its delivery by a token of ours that
    is not too old, or what we heard ourselves while sending (F2). `why` is the reason of disbelief, and then that of
    the verdict.
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
    event_id: Mapped[str | None] = mapped_column(String(255), unique=True)
    rule: Mapped[str | None] = mapped_column(String(80))
    confidence: Mapped[float] = mapped_column(Float, default=1.0, server_default=text("1"))
    matched_by: Mapped[MatchedBy | None] = mapped_column(enum_column(MatchedBy))
    believed: Mapped[bool] = mapped_column(default=True, server_default=true())
    why: Mapped[str | None] = mapped_column(Text)
    diagnosis: Mapped[str] = mapped_column(Text)
    judged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    verdict: Mapped[Verdict | None] = mapped_column(enum_column(Verdict))


class Trip(Base):
    """That a send paused itself: so many of so many were bad. After a resume, only what is sent since is measured."""

    __tablename__ = "trips"

    send_id: Mapped[int] = mapped_column(BigId, ForeignKey("sends.id", ondelete="CASCADE"), primary_key=True)
    rule: Mapped[BreakerRule] = mapped_column(enum_column(BreakerRule), primary_key=True)
    at: Mapped[Moment]
    bad: Mapped[int]
    total: Mapped[int]
    resumed: Mapped[bool] = mapped_column(default=False)


class Alert(Base):
    """What receivers hold against us and not against a reader (F6): the first of its kind in a send, for operators."""

    __tablename__ = "alerts"

    send_id: Mapped[int] = mapped_column(BigId, ForeignKey("sends.id", ondelete="CASCADE"), primary_key=True)
    rule: Mapped[str] = mapped_column(String(80), primary_key=True)
    at: Mapped[Moment]
    diagnosis: Mapped[str] = mapped_column(Text)


class WayIn(Base):
    """How a way in is doing, for operators: there is a row once it was tried.

    A `problem` is ours, or of whom we asked; a `refusal` is of a stranger's, or of a provider that is set up wrongly.
    """

    __tablename__ = "ways_in"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    tried_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stored_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stored: Mapped[int] = mapped_column(default=0)
    backlog: Mapped[int | None]
    problem: Mapped[str | None] = mapped_column(Text)
    problem_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    refused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    refusal: Mapped[str | None] = mapped_column(Text)


class WebhookToken(Base):
    """A token of a signature that does not cover the body: it may bring one body and no other (STANDARDS F10)."""

    __tablename__ = "webhook_tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    report_digest: Mapped[str] = mapped_column(String(64))
    used_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
