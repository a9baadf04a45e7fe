"""A send that comes back too often stops by itself, says why, and is not stopped again for the same numbers."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import Trip
from jlgc_mailer.db.sending import Delivery, Send
from jlgc_mailer.feedback.breaker import Level, trip_breakers, trips
from jlgc_mailer.feedback.policy import Policy
from jlgc_mailer.sending.progress import account
from jlgc_mailer.sending.schedule import pause, resume
from jlgc_mailer.states import BreakerRule, DeliveryStatus, FeedbackClass, SendStatus
from tests.conftest import Clock
from tests.feedback.past import Past, past

HARD, COMPLAINTS = BreakerRule.HARD, BreakerRule.COMPLAINTS


@pytest.mark.parametrize(
    ("rule", "level", "stops"),
    [
        (HARD, Level(11, 200), True),
        (HARD, Level(10, 200), False),
        (HARD, Level(199, 199), False),
        (COMPLAINTS, Level(2, 2000), True),
        (COMPLAINTS, Level(2, 2001), False),
        (COMPLAINTS, Level(2, 1999), False),
        (COMPLAINTS, Level(3, 1999), True),
        (COMPLAINTS, Level(3, 4), True),
        (COMPLAINTS, Level(3, 3001), False),
        (HARD, Level(0, 0), False),
        (COMPLAINTS, Level(0, 0), False),
    ],
)
def test_the_thresholds_are_these(rule: BreakerRule, level: Level, stops: bool) -> None:
    """F9: more than 5 % after 200; 0.1 % or more, once that cannot be one person, and three of few."""
    assert trips(rule, level, None, Policy()) is stops


@given(st.integers(0, 3000), st.integers(2000, 3000), st.sampled_from(BreakerRule))
def test_what_staff_resumed_at_does_not_stop_it_again_unless_it_is_most(
    bad: int, total: int, rule: BreakerRule
) -> None:
    level = Level(min(bad, total), total)
    assert trips(rule, level, level, Policy()) == (level.rate > 0.5)
    assert trips(rule, level, Level(0, total), Policy()) == trips(rule, level, None, Policy())


@pytest.mark.parametrize(
    ("rule", "since", "tolerated", "stops"),
    [
        (HARD, Level(18, 200), Level(12, 200), False),
        (HARD, Level(19, 200), Level(12, 200), True),
        (HARD, Level(200, 200), Level(140, 200), True),
        (HARD, Level(200, 200), Level(200, 200), True),
        (HARD, Level(199, 199), Level(140, 200), False),
        (COMPLAINTS, Level(2, 20), Level(3, 20), False),
        (COMPLAINTS, Level(3, 2000), Level(3, 20), True),
    ],
)
def test_clearly_worse_stops_it_again(rule: BreakerRule, since: Level, tolerated: Level, stops: bool) -> None:
    """F9: half as many again, or most of all, of the recipients since then; three complaints of few are no rate."""
    assert trips(rule, since, tolerated, Policy()) is stops


@pytest.fixture
def story(make_mailer: Callable[..., Mailer], clock: Clock) -> Past:
    """A send to ten, which may stop after six; none is too many, and a second one, of which nothing comes back."""
    limits = {"feedback_hard_after": 6, "feedback_hard_percent": 25, "feedback_complaint_after": 10}
    mailer = make_mailer(**limits, feedback_complaint_percent=20)
    return past(mailer, [clock(), clock() - timedelta(days=1)], readers=10)


def come_back(story: Past, kind: FeedbackClass, readers: Sequence[int], **values: object) -> int:
    """Judge reports about these readers of the first send; how many sends stop."""
    story.store(*[story.event(kind, 1, reader, **values) for reader in readers])
    story.judge()
    with story.mailer.database.transaction() as session:
        return trip_breakers(session, story.mailer.clock(), story.mailer.policy)


def stands(story: Past) -> tuple[list[str], list[str]]:
    """The sends' statuses, and what the first one says about itself."""
    with story.mailer.database.reading() as session:
        statuses = list(session.scalars(select(Send.status).order_by(Send.id)))
        return statuses, [str(stop) for stop in account(session, session.get_one(Send, 1)).stops]


def go_on(story: Past) -> None:
    with story.mailer.database.transaction() as session:
        resume(session, 1)


def test_a_send_with_too_many_hard_bounces_pauses_itself_and_says_why(
    story: Past, caplog: pytest.LogCaptureFixture
) -> None:
    """F9."""
    assert come_back(story, FeedbackClass.HARD, [0, 1]) == 0
    assert stands(story) == (["sending", "sending"], [])
    with caplog.at_level(logging.WARNING):
        assert come_back(story, FeedbackClass.HARD, [2]) == 1
    assert stands(story) == (["paused", "sending"], ["paused by itself: 30.0 % of 10 recipients do not exist"])
    assert "send 1 paused itself: hard bounces, 3 of 10" in caplog.text


def test_complaints_pause_a_send_too(story: Past) -> None:
    """F9, M20."""
    assert come_back(story, FeedbackClass.COMPLAINT, [0]) == 0
    assert come_back(story, FeedbackClass.COMPLAINT, [1]) == 1
    assert stands(story)[1] == ["paused by itself: 20.00 % of 10 readers complained"]


def test_one_recipient_counts_once_and_without_proof_not_at_all(story: Past) -> None:
    """F2: nobody can stop a send with one token, however often it is used."""
    assert come_back(story, FeedbackClass.HARD, [0] * 9) == 0
    assert come_back(story, FeedbackClass.HARD, range(10), believed=False) == 0
    assert come_back(story, FeedbackClass.SOFT, range(10)) == 0
    assert come_back(story, FeedbackClass.BLOCK, range(10)) == 0


def test_before_enough_have_been_sent_nothing_stops_it(story: Past) -> None:
    """F9: the refused count among those tried, the waiting do not."""
    with story.mailer.database.transaction() as session:
        waiting = Delivery.id.in_(story.deliveries[1][5:])
        session.execute(update(Delivery).where(waiting).values(status=DeliveryStatus.PENDING))
    assert come_back(story, FeedbackClass.HARD, [0, 1, 2]) == 0
    with story.mailer.database.transaction() as session:
        tried = Delivery.id == story.deliveries[1][5]
        session.execute(update(Delivery).where(tried).values(status=DeliveryStatus.REFUSED))
    assert come_back(story, FeedbackClass.HARD, []) == 1


def test_once_resumed_the_same_numbers_are_tolerated_until_they_get_clearly_worse(story: Past) -> None:
    """F9: what came in while it stood still is in the numbers that staff resumed at."""
    assert come_back(story, FeedbackClass.HARD, [0, 1, 2]) == 1
    assert come_back(story, FeedbackClass.HARD, [3]) == 0
    assert stands(story)[1] == ["paused by itself: 40.0 % of 10 recipients do not exist"]
    go_on(story)
    assert come_back(story, FeedbackClass.HARD, [4, 5, 6, 7, 8]) == 0
    assert stands(story) == (["sending", "sending"], [])


def tried_later(story: Past, readers: slice) -> None:
    """These of the first send are tried only a minute from now."""
    with story.mailer.database.transaction() as session:
        late = Delivery.id.in_(story.deliveries[1][readers])
        at = story.mailer.clock() + timedelta(minutes=1)
        session.execute(update(Delivery).where(late).values(status=DeliveryStatus.ACCEPTED, first_attempt_at=at))


def test_once_resumed_only_the_recipients_since_then_are_measured(make_mailer: Callable[..., Mailer]) -> None:
    """F9: a send of which nearly all came back before stops again, when nearly all come back since."""
    mailer = make_mailer(feedback_hard_after=4, feedback_hard_percent=25)
    story = past(mailer, [mailer.clock()], readers=10)
    with mailer.database.transaction() as session:
        waiting = Delivery.id.in_(story.deliveries[1][4:])
        session.execute(update(Delivery).where(waiting).values(status=DeliveryStatus.PENDING, first_attempt_at=None))
    assert come_back(story, FeedbackClass.HARD, [0, 1, 2]) == 1
    go_on(story)
    assert come_back(story, FeedbackClass.HARD, [3]) == 0
    tried_later(story, slice(4, 7))
    assert come_back(story, FeedbackClass.HARD, [4, 5, 6]) == 0, "three are too few to tell"
    tried_later(story, slice(7, 8))
    assert come_back(story, FeedbackClass.HARD, []) == 1
    assert stands(story) == (["paused"], ["paused by itself: 87.5 % of 8 recipients do not exist"])


def test_three_complaints_of_few_stop_it_and_three_more_again(make_mailer: Callable[..., Mailer]) -> None:
    """F9, M20: a small list has no rate, but three readers who complain are no accident."""
    mailer = make_mailer()
    story = past(mailer, [mailer.clock()], readers=10)
    assert come_back(story, FeedbackClass.COMPLAINT, [0, 1]) == 0
    assert come_back(story, FeedbackClass.COMPLAINT, [2]) == 1
    assert stands(story) == (["paused"], ["paused by itself: 30.00 % of 10 readers complained"])
    go_on(story)
    tried_later(story, slice(5, 10))
    assert come_back(story, FeedbackClass.COMPLAINT, [3, 5, 6]) == 0
    assert come_back(story, FeedbackClass.COMPLAINT, [7]) == 1


def test_a_send_that_staff_paused_or_that_is_over_is_left_alone(story: Past) -> None:
    with story.mailer.database.transaction() as session:
        pause(session, 1)
    assert come_back(story, FeedbackClass.HARD, range(10)) == 0
    with story.mailer.database.transaction() as session:
        session.execute(update(Send).values(status=SendStatus.FINISHED))
    assert come_back(story, FeedbackClass.HARD, []) == 0
    with story.mailer.database.reading() as session:
        assert session.scalars(select(Trip)).all() == []


def test_a_pause_by_hand_after_it_was_resumed_is_no_fault_of_the_send(story: Past) -> None:
    assert come_back(story, FeedbackClass.HARD, [0, 1, 2]) == 1
    go_on(story)
    with story.mailer.database.transaction() as session:
        pause(session, 1)
    assert stands(story) == (["paused", "sending"], [])
    assert come_back(story, FeedbackClass.HARD, range(10)) == 0
    assert stands(story) == (["paused", "sending"], [])


def test_two_who_look_at_once_pause_it_once(story: Past) -> None:
    story.store(*[story.event(FeedbackClass.HARD, 1, reader) for reader in range(10)])
    story.judge()

    def look(_: int) -> int:
        with story.mailer.database.transaction() as session:
            return trip_breakers(session, story.mailer.clock(), story.mailer.policy)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(look, range(4))) == 1
    assert stands(story)[0] == ["paused", "sending"]
