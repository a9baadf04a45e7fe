"""Recording: set-wise, and the same however often and however late it is told."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import FeedbackEvent
from jlgc_mailer.db.sending import Attempt, Delivery, Send
from jlgc_mailer.mail.replies import Reply
from jlgc_mailer.mail.reports.rules import default_rules
from jlgc_mailer.sending.letters import Recipient
from jlgc_mailer.sending.outcomes import MOST_RESENDS, Outcome, RetryPolicy
from jlgc_mailer.sending.record import Result, record
from jlgc_mailer.sending.uncertain import give_up
from jlgc_mailer.states import DeliveryStatus, FeedbackClass, FeedbackKind, ReplyClass, Stage, UncertainPolicy
from tests import factories

NOW = datetime(2026, 6, 1, 9, 30, tzinfo=UTC)
RETRY = RetryPolicy()
ACCEPTED = Outcome(DeliveryStatus.ACCEPTED, Stage.CONTENT, Reply(250, "Ok: queued as 4XyZ", "2.0.0"), NOW)
DEFERRED = Outcome(DeliveryStatus.DEFERRED, Stage.RCPT, Reply(450, "try again later", "4.2.0"), NOW)
REFUSED = Outcome(DeliveryStatus.REFUSED, Stage.RCPT, Reply(550, "No such user", "5.1.1"), NOW)
UNCERTAIN = Outcome(DeliveryStatus.UNCERTAIN, Stage.CONTENT, None, NOW)


class Told:
    """A planned send, and what is recorded about it."""

    def __init__(self, mailer: Mailer, session: Session, readers: int, policy: UncertainPolicy) -> None:
        news = factories.mailing_list(session)
        for number in range(readers):
            factories.subscriber(session, news, f"r{number}@example.com")
        self.session = session
        self.send = factories.send(session, mailer, factories.issue(session, mailer), [news], on_uncertain=policy)
        self.ids = list(session.scalars(select(Delivery.id).order_by(Delivery.id)))

    def record(self, *outcomes: Outcome, number: int = 1) -> None:
        """Outcomes of the first, second ... delivery."""
        results = [
            Result(Recipient(each, number, NOW, 1, f"r@{each}.example", "", 1, 1), outcome)
            for each, outcome in zip(self.ids, outcomes, strict=False)
        ]
        record(self.session, results, self.send.on_uncertain, "relay", RETRY, default_rules)
        self.session.flush()
        self.session.expire_all()

    @property
    def deliveries(self) -> list[tuple[str, str | None, int]]:
        rows = self.session.scalars(select(Delivery).order_by(Delivery.id))
        return [(row.status.value, row.reason, row.attempts) for row in rows]

    @property
    def events(self) -> int:
        return len(self.session.scalars(select(FeedbackEvent)).all())

    @property
    def attempts(self) -> list[tuple[int, str, str]]:
        rows = self.session.scalars(select(Attempt).order_by(Attempt.delivery_id, Attempt.number))
        return [(row.number, row.outcome.value, row.text) for row in rows]


@pytest.fixture
def told(mailer: Mailer) -> Iterator[Callable[..., Told]]:
    with mailer.database.transaction() as session:
        yield lambda readers=4, policy=UncertainPolicy.HOLD: Told(mailer, session, readers, policy)


def test_every_outcome_becomes_what_it_is(told: Callable[..., Told]) -> None:
    story = told()
    story.record(ACCEPTED, DEFERRED, REFUSED, UNCERTAIN)
    assert story.deliveries == [
        ("accepted", None, 1),
        ("deferred", "greylisted", 1),
        ("refused", "unknown user", 1),
        ("uncertain", None, 1),
    ]
    row = story.session.scalars(select(Attempt).order_by(Attempt.id)).first()
    assert (row.at, row.stage, row.code, row.status, row.text, row.transport) == (
        NOW, Stage.CONTENT, 250, "2.0.0", "Ok: queued as 4XyZ", "relay",
    )  # fmt: skip
    event = story.session.scalars(select(FeedbackEvent)).one()
    assert (event.kind, event.delivery_id, event.diagnosis) == (
        FeedbackKind.REFUSAL, story.ids[2], "550 5.1.1 No such user",
    )  # fmt: skip
    assert (event.feedback_class, event.status, event.believed) == (FeedbackClass.HARD, "5.1.1", True)


def test_a_refusal_is_told_by_its_words_and_not_by_a_status_that_they_deny(told: Callable[..., Told]) -> None:
    """F5, promise 6: a blocked sender and a full mailbox are refused with 5.1.1 too."""
    story = told(2)
    words = "Your IP 192.0.2.1 is listed on the Spamhaus blocklist", "Recipient address rejected: mailbox full"
    story.record(*[Outcome(DeliveryStatus.REFUSED, Stage.RCPT, Reply(550, each, "5.1.1"), NOW) for each in words])
    assert story.deliveries == [("refused", "refused by policy", 1), ("refused", "mailbox full", 1)]
    events = story.session.scalars(select(FeedbackEvent).order_by(FeedbackEvent.delivery_id))
    assert [(event.feedback_class, event.reply_class) for event in events] == [
        (FeedbackClass.BLOCK, ReplyClass.POLICY), (FeedbackClass.SOFT, ReplyClass.MAILBOX_FULL),
    ]  # fmt: skip


def test_a_deferral_is_due_again_later(told: Callable[..., Told]) -> None:
    story = told(1)
    story.record(DEFERRED)
    row = story.session.scalars(select(Delivery)).one()
    assert row.first_attempt_at == NOW
    assert row.next_attempt_at > NOW
    story.record(ACCEPTED, number=2)
    row = story.session.scalars(select(Delivery)).one()
    assert (row.status, row.first_attempt_at, row.next_attempt_at) == (DeliveryStatus.ACCEPTED, NOW, None)


@pytest.mark.parametrize("outcome", [ACCEPTED, DEFERRED, REFUSED, UNCERTAIN])
def test_telling_twice_changes_nothing(told: Callable[..., Told], outcome: Outcome) -> None:
    story = told(1)
    story.record(outcome)
    before = story.deliveries, story.attempts, story.events
    story.record(outcome)
    assert (story.deliveries, story.attempts, story.events) == before


def test_what_the_relay_said_replaces_a_guess_made_meanwhile(told: Callable[..., Told]) -> None:
    """The lease was lost, another worker called the delivery uncertain, then the truth arrives."""
    story = told(1)
    give_up(story.session, story.send.id, story.ids, NOW)
    assert story.deliveries == [("uncertain", None, 1)]
    story.record(ACCEPTED)
    assert story.deliveries == [("accepted", None, 1)]
    assert story.attempts == [(1, "accepted", "Ok: queued as 4XyZ")]


def test_an_uncertain_one_is_no_news_about_what_is_settled(told: Callable[..., Told]) -> None:
    story = told(2)
    story.record(ACCEPTED, DEFERRED)
    story.record(UNCERTAIN, UNCERTAIN)
    assert story.deliveries == [("accepted", None, 1), ("deferred", "greylisted", 1)]


def test_news_of_an_old_attempt_does_not_disturb_a_later_one(told: Callable[..., Told]) -> None:
    story = told(1)
    story.record(DEFERRED)
    story.record(REFUSED, number=2)
    story.record(ACCEPTED, number=1)
    assert story.deliveries == [("refused", "unknown user", 2)]


def test_a_skipped_reader_stays_skipped(told: Callable[..., Told]) -> None:
    story = told(1)
    story.session.execute(update(Delivery).values(status=DeliveryStatus.SKIPPED, reason="unsubscribed"))
    story.record(ACCEPTED)
    assert story.deliveries == [("skipped", "unsubscribed", 0)]


def test_under_resend_the_uncertain_are_tried_again_but_not_for_ever(told: Callable[..., Told]) -> None:
    story = told(1, UncertainPolicy.RESEND)
    for number in range(1, MOST_RESENDS + 1):
        story.record(UNCERTAIN, number=number)
        assert story.deliveries == [("deferred", "uncertain", number)]
    story.record(UNCERTAIN, number=MOST_RESENDS + 1)
    assert story.deliveries == [("uncertain", None, MOST_RESENDS + 1)]


def test_after_days_of_deferrals_it_is_given_up(told: Callable[..., Told]) -> None:
    """S2."""
    story = told(1)
    late = Outcome(DeliveryStatus.DEFERRED, Stage.RCPT, DEFERRED.reply, NOW + timedelta(days=5))
    story.record(late)
    assert story.deliveries == [("refused", "gave up after retries", 1)]
    assert story.session.scalars(select(FeedbackEvent.feedback_class)).all() == [FeedbackClass.SOFT]


def test_hundreds_are_one_statement_on_postgresql(told: Callable[..., Told]) -> None:
    story = told(300)
    story.record(*[ACCEPTED] * 300)
    assert story.deliveries == [("accepted", None, 1)] * 300
    assert len(story.attempts) == 300
    assert story.session.get_one(Send, story.send.id)


def test_whoever_may_have_it_already_is_never_said_to_have_been_given_up(told: Callable[..., Told]) -> None:
    """Promise 1: under `resend`, an attempt with a known reply does not make the one before it known."""
    story = told(1, UncertainPolicy.RESEND)
    story.record(UNCERTAIN)
    story.record(DEFERRED, number=2)
    assert story.deliveries == [("deferred", "uncertain", 2)]
    late = Outcome(DeliveryStatus.DEFERRED, Stage.RCPT, DEFERRED.reply, NOW + timedelta(days=5))
    story.record(late, number=3)
    assert story.deliveries == [("uncertain", None, 3)]
