"""What comes back: events, stored before they are judged."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from jlgc_mailer.db.base import Base, BigId, Key, Moment, ShortText, UtcDateTime, enum_column
from jlgc_mailer.states import FeedbackKind, ReplyClass, Verdict


class FeedbackEvent(Base):
    """Any inbound signal about an address; `verdict` is empty until it is judged."""

    __tablename__ = "feedback_events"
    __table_args__ = (
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
    delivery_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("deliveries.id"), index=True)
    address_key: Mapped[str] = mapped_column(String(320))
    reply_class: Mapped[ReplyClass] = mapped_column(enum_column(ReplyClass))
    diagnosis: Mapped[str] = mapped_column(Text)
    judged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    verdict: Mapped[Verdict | None] = mapped_column(enum_column(Verdict))
