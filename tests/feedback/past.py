"""Sends of the past and what comes back of them, for tests of reading and judging."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update

from jlgc_mailer.audience.suppression import in_force
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import FeedbackEvent
from jlgc_mailer.db.sending import Attempt, Delivery, Send
from jlgc_mailer.feedback.judge import judge_waiting
from jlgc_mailer.mail.verp import envelope_sender
from jlgc_mailer.states import DeliveryStatus, FeedbackClass, FeedbackKind, SendStatus, Stage
from tests import factories

BOUNCES = "bounce.example.org"


@dataclass
class Past:
    """Sends to readers r0@example.com, r1@example.com ..., of which all accepted each message at its time."""

    mailer: Mailer
    deliveries: Mapping[int, Sequence[int]]

    def token(self, send_id: int = 1, reader: int = 0) -> str:
        """The envelope sender of a message."""
        return envelope_sender(self.deliveries[send_id][reader], self.mailer.keyring, BOUNCES)

    def store(self, *events: FeedbackEvent) -> None:
        """Events that wait to be judged."""
        with self.mailer.database.transaction() as session:
            session.add_all(events)

    def event(self, says: FeedbackClass, send_id: int = 1, reader: int = 0, **values: object) -> FeedbackEvent:
        """A believed report about a message."""
        return FeedbackEvent(
            **{
                "received_at": self.mailer.clock(),
                "source": "test",
                "kind": FeedbackKind.REPORT,
                "feedback_class": says,
                "delivery_id": self.deliveries[send_id][reader],
                "address_key": f"r{reader}@example.com",
                "diagnosis": "what it says",
                **values,
            }
        )

    def judge(self) -> int:
        """Judge one batch."""
        with self.mailer.database.transaction() as session:
            return judge_waiting(session, self.mailer.clock(), self.mailer.policy)

    @property
    def suppressed(self) -> dict[str, str]:
        """Who is barred, and why."""
        with self.mailer.database.reading() as session:
            return {each.address_key: each.reason.value for each in in_force(session)}

    @property
    def events(self) -> list[FeedbackEvent]:
        """All events in order of arrival."""
        with self.mailer.database.reading() as session:
            return list(session.scalars(select(FeedbackEvent).order_by(FeedbackEvent.id)))


def past(mailer: Mailer, times: Sequence[datetime], readers: int = 2) -> Past:
    """A send at each of these times; their numbers are 1, 2 ... and all are still under way."""
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        for number in range(readers):
            factories.subscriber(session, news, f"r{number}@example.com")
        revision = factories.issue(session, mailer)
        for _ in times:
            factories.send(session, mailer, revision, [news])
        session.execute(update(Send).values(status=SendStatus.SENDING))
        deliveries: dict[int, list[int]] = {}
        for send_id, delivery_id in session.execute(select(Delivery.send_id, Delivery.id).order_by(Delivery.id)):
            deliveries.setdefault(send_id, []).append(delivery_id)
        for (send_id, ids), at in zip(deliveries.items(), times, strict=True):
            accepted = {"status": DeliveryStatus.ACCEPTED, "attempts": 1, "first_attempt_at": at}
            session.execute(update(Delivery).where(Delivery.send_id == send_id).values(accepted))
            attempt = {"number": 1, "at": at, "outcome": DeliveryStatus.ACCEPTED, "stage": Stage.CONTENT}
            session.execute(insert(Attempt), [{"delivery_id": each, "transport": "t", **attempt} for each in ids])
    return Past(mailer, deliveries)
