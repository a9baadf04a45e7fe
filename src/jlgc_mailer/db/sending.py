"""What is sent: sends, batches, deliveries and attempts. This is the ledger. And how the ways out are."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from jlgc_mailer.db.base import Base, BigId, Key, Moment, ShortText, UtcDateTime, enum_column
from jlgc_mailer.db.issues import Revision
from jlgc_mailer.db.people import MailingList
from jlgc_mailer.states import BatchStatus, DeliveryStatus, Priority, SendStatus, Stage, UncertainPolicy


class Send(Base):
    """One distribution of one revision to one audience at one time.

    `recipe` names the compiled artefacts that were current when it was scheduled; they are what is sent.
    `local_at` is set for a send by local time: when the clocks of its own zone show what those of each reader's zone
    are to show; `due_at` is when the first zone gets there. `key_id` names the secret that signed the first letter, so
    that retries are the same octets after a change of keys (M12). `served_at` is when a batch of it was last claimed.
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
    priority: Mapped[Priority] = mapped_column(enum_column(Priority), server_default=Priority.NORMAL)
    local_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    batch_size: Mapped[int]
    key_id: Mapped[int | None]
    served_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[Moment]
    planned_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revision: Mapped[Revision] = relationship()
    lists: Mapped[list[MailingList]] = relationship(secondary="send_lists", order_by=MailingList.id)

    @property
    def is_by_local_time(self) -> bool:
        """Whether each zone has its own moment."""
        return self.local_at is not None


class SendList(Base):
    """A mailing list in the audience of a send."""

    __tablename__ = "send_lists"

    send_id: Mapped[int] = mapped_column(BigId, ForeignKey("sends.id"), primary_key=True)
    list_id: Mapped[int] = mapped_column(BigId, ForeignKey("mailing_lists.id"), primary_key=True)


class Batch(Base):
    """A claimable range of deliveries: those of its send whose ids lie between `first_id` and `last_id`.

    `claim` is the worker's own mark while it holds the batch; the lease tells until when it is believed.
    `on_wire` is the worker's intent: the ids of those deliveries that it may be sending now, as a JSON array. If it
    vanishes and its journal with it, exactly these are uncertain. `hold` says why it is not claimed before
    `held_until`, though it is due.
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
    on_wire: Mapped[str | None] = mapped_column(Text)
    hold: Mapped[str | None] = mapped_column(Text)
    held_until: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Delivery(Base):
    """One recipient of one send. `address`, `name` and `compiled_id` are fixed when the send is planned (M12)."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("send_id", "subscriber_id"),
        {"postgresql_with": {"fillfactor": 50}},  # room for the outcome beside each row: no index has to be written
    )

    id: Mapped[Key]
    send_id: Mapped[int] = mapped_column(BigId, ForeignKey("sends.id"))
    subscriber_id: Mapped[int | None] = mapped_column(
        BigId, ForeignKey("subscribers.id", ondelete="SET NULL"), index=True
    )
    list_id: Mapped[int] = mapped_column(BigId, ForeignKey("mailing_lists.id"))
    compiled_id: Mapped[int] = mapped_column(BigId, ForeignKey("compiled_artefacts.id"))
    address: Mapped[str] = mapped_column(String(320))
    name: Mapped[ShortText] = mapped_column(server_default=text("''"))
    status: Mapped[DeliveryStatus] = mapped_column(enum_column(DeliveryStatus))
    reason: Mapped[str | None] = mapped_column(String(40))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    first_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Attempt(Base):
    """One SMTP transaction and how it ended.

    It names its delivery without a foreign key, whose check would take half as long again as writing the attempt:
    only outcomes of deliveries that were handed out are ever recorded, and no delivery is ever deleted.
    """

    __tablename__ = "attempts"
    __table_args__ = (Index("ix_attempts_delivery_id_number", "delivery_id", "number", unique=True),)

    id: Mapped[Key]
    delivery_id: Mapped[int] = mapped_column(BigId)
    number: Mapped[int]
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    outcome: Mapped[DeliveryStatus] = mapped_column(enum_column(DeliveryStatus))
    stage: Mapped[Stage] = mapped_column(enum_column(Stage))
    code: Mapped[int | None]
    status: Mapped[str | None] = mapped_column(String(12))
    text: Mapped[str] = mapped_column(Text, default="")
    transport: Mapped[ShortText]


class TransportState(Base):
    """How a way out is: paused after trouble until then, or until somebody sees to it when `paused_until` is None.

    There is a row only while there is trouble. `fingerprint` tells whether its configuration was changed since.
    """

    __tablename__ = "transport_states"

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    failures: Mapped[int]
    problem: Mapped[str] = mapped_column(Text)
    changed_at: Mapped[Moment]
    paused_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
