"""Who reads: mailing lists, subscribers, their subscriptions, consent and suppressions."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from jlgc_mailer.db.base import Base, BigId, Key, Moment, ShortText, UtcDateTime, enum_column
from jlgc_mailer.states import ConsentAction, Language, SubscriptionStatus, SuppressionReason


class MailingList(Base):
    """What people join. `name` is part of the List-Id and does not change."""

    __tablename__ = "mailing_lists"

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(String(63), unique=True)
    title_en: Mapped[ShortText]
    title_ja: Mapped[ShortText]
    created_at: Mapped[Moment]

    def title(self, language: Language) -> str:
        """The title for people who read `language`."""
        return self.title_ja if language is Language.JAPANESE else self.title_en


class Subscriber(Base):
    """A person, known by one address. `address_key` is equal for all spellings of the same mailbox.

    `zone` is the IANA time zone that the person lives in; None: that of the send.
    """

    __tablename__ = "subscribers"

    id: Mapped[Key]
    address: Mapped[str] = mapped_column(String(320))
    address_key: Mapped[str] = mapped_column(String(320), unique=True)
    name: Mapped[ShortText] = mapped_column(default="")
    language: Mapped[Language] = mapped_column(enum_column(Language))
    zone: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[Moment]


class Subscription(Base):
    """The tie between a subscriber and a list."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        UniqueConstraint("subscriber_id", "list_id"),
        Index("ix_subscriptions_list_id_status", "list_id", "status"),
    )

    id: Mapped[Key]
    subscriber_id: Mapped[int] = mapped_column(BigId, ForeignKey("subscribers.id", ondelete="CASCADE"))
    list_id: Mapped[int] = mapped_column(BigId, ForeignKey("mailing_lists.id"))
    status: Mapped[SubscriptionStatus] = mapped_column(enum_column(SubscriptionStatus))
    changed_at: Mapped[Moment]


class ConsentRecord(Base):
    """Append-only proof of who agreed or left, when, how, and to which wording (STANDARDS L3)."""

    __tablename__ = "consent_records"

    id: Mapped[Key]
    subscriber_id: Mapped[int] = mapped_column(BigId, ForeignKey("subscribers.id", ondelete="CASCADE"), index=True)
    list_id: Mapped[int] = mapped_column(BigId, ForeignKey("mailing_lists.id"))
    action: Mapped[ConsentAction] = mapped_column(enum_column(ConsentAction))
    at: Mapped[Moment]
    how: Mapped[ShortText]
    wording: Mapped[str] = mapped_column(Text)
    language: Mapped[Language] = mapped_column(enum_column(Language))


class Suppression(Base):
    """An address-level bar with reason and source; it outlives the subscriber."""

    __tablename__ = "suppressions"
    __table_args__ = (
        Index(
            "uq_suppressions_in_force",
            "address_key",
            unique=True,
            sqlite_where=text("released_at IS NULL"),
            postgresql_where=text("released_at IS NULL"),
        ),
        Index(
            "ix_suppressions_released",
            "address_key",
            sqlite_where=text("released_at IS NOT NULL"),
            postgresql_where=text("released_at IS NOT NULL"),
        ),
    )

    id: Mapped[Key]
    address_key: Mapped[str] = mapped_column(String(320))
    reason: Mapped[SuppressionReason] = mapped_column(enum_column(SuppressionReason))
    source: Mapped[ShortText]
    created_at: Mapped[Moment]
    released_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    release_reason: Mapped[str | None] = mapped_column(String(255))
