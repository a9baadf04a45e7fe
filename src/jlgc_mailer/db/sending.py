"""What is sent: sends, batches, deliveries and attempts. This is the ledger."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from jlgc_mailer.db.base import Base, BigId, Key, Moment, ShortText, UtcDateTime, enum_column
from jlgc_mailer.db.issues import Revision
from jlgc_mailer.db.people import MailingList
from jlgc_mailer.states import BatchStatus, DeliveryStatus, SendStatus, Stage, UncertainPolicy


class Send(Base):
    """One distribution of one revision to one audience at one time.

    `recipe` names the compiled artefacts that were current when it was scheduled; they are what is sent.
    """

    __tablename__ = "sends"
    __table_args__ = (Index("ix_sends_status_due_at", "status", "due_at"),)

    id: Mapped[Key]
    revision_id: Mapped[int] = mapped_column(BigId, ForeignKey("revisions.id"))
    recipe: Mapped[str] = mapped_column(String(64))
    status: Mapped[SendStatus] = mapped_column(enum_column(SendStatus))
    due_at: Mapped[Moment]
    zone: Mapped[str] = mapped_column(String(64))
    on_uncertain: Mapped[UncertainPolicy] = mapped_column(enum_column(UncertainPolicy))
    batch_size: Mapped[int]
    created_at: Mapped[Moment]
    planned_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revision: Mapped[Revision] = relationship()
    lists: Mapped[list[MailingList]] = relationship(secondary="send_lists", order_by=MailingList.id)


class SendList(Base):
    """A mailing list in the audience of a send."""

    __tablename__ = "send_lists"

    send_id: Mapped[int] = mapped_column(BigId, ForeignKey("sends.id"), primary_key=True)
    list_id: Mapped[int] = mapped_column(BigId, ForeignKey("mailing_lists.id"), primary_key=True)


class Batch(Base):
    """A claimable range of deliveries: those of its send whose ids lie between `first_id` and `last_id`.

    `claim` is the worker's own mark while it holds the batch; the lease tells until when it is believed.
    """

    __tablename__ = "batches"
    __table_args__ = (
        UniqueConstraint("send_id", "number"),
        Index("ix_batches_status_due_at", "status", "due_at"),
    )

    id: Mapped[Key]
    send_id: Mapped[int] = mapped_column(BigId, ForeignKey("sends.id"))
    number: Mapped[int]
    first_id: Mapped[int] = mapped_column(BigId)
    last_id: Mapped[int] = mapped_column(BigId)
    status: Mapped[BatchStatus] = mapped_column(enum_column(BatchStatus))
    due_at: Mapped[Moment]
    nudged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    claim: Mapped[int | None] = mapped_column(BigInteger)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    hold: Mapped[str | None] = mapped_column(Text)


class Delivery(Base):
    """One recipient of one send. `address` and `compiled_id` are fixed when the send is planned."""

    __tablename__ = "deliveries"
    __table_args__ = (UniqueConstraint("send_id", "subscriber_id"),)

    id: Mapped[Key]
    send_id: Mapped[int] = mapped_column(BigId, ForeignKey("sends.id"))
    subscriber_id: Mapped[int | None] = mapped_column(
        BigId, ForeignKey("subscribers.id", ondelete="SET NULL"), index=True
    )
    list_id: Mapped[int] = mapped_column(BigId, ForeignKey("mailing_lists.id"))
    compiled_id: Mapped[int] = mapped_column(BigId, ForeignKey("compiled_artefacts.id"))
    address: Mapped[str] = mapped_column(String(320))
    status: Mapped[DeliveryStatus] = mapped_column(enum_column(DeliveryStatus))
    reason: Mapped[str | None] = mapped_column(String(40))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    first_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Attempt(Base):
    """One SMTP transaction and how it ended."""

    __tablename__ = "attempts"

    id: Mapped[Key]
    delivery_id: Mapped[int] = mapped_column(BigId, ForeignKey("deliveries.id"), index=True)
    number: Mapped[int]
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    outcome: Mapped[DeliveryStatus] = mapped_column(enum_column(DeliveryStatus))
    stage: Mapped[Stage] = mapped_column(enum_column(Stage))
    code: Mapped[int | None]
    status: Mapped[str | None] = mapped_column(String(12))
    text: Mapped[str] = mapped_column(Text, default="")
    transport: Mapped[ShortText]
