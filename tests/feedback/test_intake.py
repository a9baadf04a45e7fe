"""Complaints are taken for what their token proves, and for nothing else."""

from sqlalchemy import select

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import FeedbackEvent
from jlgc_mailer.db.people import Subscriber
from jlgc_mailer.db.sending import Delivery
from jlgc_mailer.feedback.intake import receive_complaint
from jlgc_mailer.mail.tokens import Keyring
from jlgc_mailer.mail.verp import envelope_sender
from jlgc_mailer.states import FeedbackKind
from tests import factories


def delivery(mailer: Mailer) -> int:
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        factories.subscriber(session, news, "Reader@Example.com")
        factories.send(session, mailer, factories.issue(session, mailer), [news])
        return session.scalars(select(Delivery.id)).one()


def complain(mailer: Mailer, sender: str) -> bool:
    with mailer.database.transaction() as session:
        return receive_complaint(session, sender, "test", "spam", mailer.keyring, mailer.clock())


def events(mailer: Mailer) -> list[FeedbackEvent]:
    with mailer.database.reading() as session:
        return list(session.scalars(select(FeedbackEvent)))


def test_a_complaint_with_our_token_is_stored_before_anything_follows_from_it(mailer: Mailer) -> None:
    """Promise 6, F2."""
    delivery_id = delivery(mailer)
    assert complain(mailer, envelope_sender(delivery_id, mailer.keyring, "bounce.example.org"))
    (event,) = events(mailer)
    assert (event.kind, event.delivery_id, event.address_key) == (
        FeedbackKind.COMPLAINT,
        delivery_id,
        "reader@example.com",
    )
    assert event.judged_at is None


def test_forged_and_unknown_tokens_are_not_believed(mailer: Mailer) -> None:
    """F2."""
    delivery_id = delivery(mailer)
    forged = envelope_sender(delivery_id, Keyring((b"another key that is long enough, too",)), "bounce.example.org")
    unknown = envelope_sender(delivery_id + 1000, mailer.keyring, "bounce.example.org")
    for sender in (forged, unknown, "", "b+@bounce.example.org", "someone@example.com"):
        assert not complain(mailer, sender)
    assert events(mailer) == []


def test_a_complaint_counts_even_when_the_subscriber_is_gone(mailer: Mailer) -> None:
    delivery_id = delivery(mailer)
    with mailer.database.transaction() as session:
        session.delete(session.scalars(select(Subscriber)).one())
    assert complain(mailer, envelope_sender(delivery_id, mailer.keyring, "bounce.example.org"))
    assert events(mailer)[0].address_key == "reader@example.com"
