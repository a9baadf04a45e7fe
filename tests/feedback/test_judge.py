"""Judging draws each consequence once, and only where the evidence is enough."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, select, update

from jlgc_mailer.audience.suppression import release
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import Alert, FeedbackEvent
from jlgc_mailer.db.people import ConsentRecord, Subscriber, Subscription, Suppression
from jlgc_mailer.db.sending import Delivery
from jlgc_mailer.feedback import judge
from jlgc_mailer.states import ConsentAction, DeliveryStatus, FeedbackClass, FeedbackKind, SubscriptionStatus, Verdict
from tests.conftest import Clock
from tests.feedback.past import Past, past

HARD, SOFT, BLOCK, COMPLAINT = (
    FeedbackClass.HARD, FeedbackClass.SOFT, FeedbackClass.BLOCK, FeedbackClass.COMPLAINT,
)  # fmt: skip


def days(clock: Clock, *numbers: float) -> list[datetime]:
    return [clock() + timedelta(days=number) for number in numbers]


@pytest.fixture
def once(mailer: Mailer, clock: Clock) -> Past:
    """One send, just now."""
    return past(mailer, [clock()])


def test_events_are_judged_once_and_keep_their_verdict_and_why(once: Past) -> None:
    """F6, F9."""
    once.store(once.event(HARD), once.event(SOFT, reader=1), once.event(HARD, reader=1, believed=False, why="forged"))
    assert once.judge() == 3
    assert once.judge() == 0
    assert once.suppressed == {"r0@example.com": "unknown user"}
    assert [(each.verdict, each.why) for each in once.events] == [
        (Verdict.SUPPRESS, "there is no such mailbox"),
        (Verdict.NOTE, "it may be a passing trouble"),
        (Verdict.NOTE, "forged"),
    ]


def test_a_suppression_says_where_it_comes_from_and_since_when(once: Past) -> None:
    once.store(once.event(HARD, source="lmtp", diagnosis="550 no such user " + "x" * 400))
    once.judge()
    with once.mailer.database.reading() as session:
        bar = session.scalars(select(Suppression)).one()
    assert bar.source.startswith("lmtp: 550 no such user x")
    assert bar.created_at == once.events[0].received_at


def test_the_first_of_two_reasons_stands(once: Past) -> None:
    once.store(once.event(COMPLAINT), once.event(HARD))
    once.judge()
    assert once.suppressed == {"r0@example.com": "complaint"}


def test_what_is_about_us_bars_nobody_and_tells_operators_once(once: Past, caplog: pytest.LogCaptureFixture) -> None:
    """F6: the alert is one line for each send and rule, however many bounces there are; no address is in the log."""
    said = "554 5.7.1 <r0@example.com>: listed"
    with caplog.at_level(logging.WARNING):
        once.store(*[once.event(BLOCK, rule="spamhaus", diagnosis=said) for _ in range(5)], once.event(BLOCK))
        once.judge()
        once.store(once.event(BLOCK, reader=1, rule="spamhaus", diagnosis="listed again"))
        once.judge()
    assert once.suppressed == {}
    warnings = [record.getMessage() for record in caplog.records if "blocked" in record.getMessage()]
    assert sorted(warnings) == [
        "send 1 is blocked somewhere (other reason). See: jlgc-mailer feedback list",
        "send 1 is blocked somewhere (spamhaus). See: jlgc-mailer feedback list",
    ]
    with once.mailer.database.reading() as session:
        alerts = list(session.scalars(select(Alert).order_by(Alert.rule)))
    assert [(each.send_id, each.rule, each.diagnosis) for each in alerts] == [
        (1, "other reason", "what it says"),
        (1, "spamhaus", said),
    ]


def test_a_mailbox_that_fails_for_weeks_is_barred_by_the_third_send(mailer: Mailer, clock: Clock) -> None:
    """F9."""
    story = past(mailer, days(clock, -35, -20, -1))
    for send_id in (1, 2, 2, 3):
        story.store(story.event(SOFT, send_id))
        story.judge()
    assert story.suppressed == {"r0@example.com": "unreachable"}
    assert [each.verdict for each in story.events] == [Verdict.NOTE, Verdict.NOTE, Verdict.NOTE, Verdict.SUPPRESS]


@pytest.mark.parametrize("between", [FeedbackClass.AUTO_REPLY, BLOCK, None])
def test_a_send_that_got_through_between_begins_the_count_anew(
    mailer: Mailer, clock: Clock, between: FeedbackClass | None
) -> None:
    """F9: what comes back as a block or an automatic reply is no failing mailbox."""
    story = past(mailer, days(clock, -50, -40, -30, -1))
    story.store(*[story.event(SOFT, send_id) for send_id in (1, 2, 4)])
    story.store(*[story.event(between, 3)] if between else [])
    story.judge()
    assert story.suppressed == {}
    story.store(story.event(SOFT, 3))
    story.judge()
    assert story.suppressed == {"r0@example.com": "unreachable"}, "now it is known that nothing got through"


def test_what_is_not_believed_counts_neither_as_a_failure_nor_against_a_success(mailer: Mailer, clock: Clock) -> None:
    """F2."""
    story = past(mailer, days(clock, -50, -40, -30, -1))
    story.store(*[story.event(SOFT, send_id, believed=send_id == 4) for send_id in (1, 2, 3, 4)])
    story.judge()
    story.store(story.event(SOFT, 1), story.event(SOFT, 2), story.event(SOFT, 4))
    story.judge()
    assert story.suppressed == {}


def test_an_old_report_that_is_not_believed_is_no_failure_later(mailer: Mailer, clock: Clock) -> None:
    """F2: here nothing ever got through, so that one failure more would be enough."""
    story = past(mailer, days(clock, -40, -20, -1))
    with mailer.database.transaction() as session:
        session.execute(update(Delivery).values(status=DeliveryStatus.REFUSED))
    for send_id in (1, 2, 3):
        story.store(story.event(SOFT, send_id, believed=send_id != 2))
        story.judge()
    assert story.suppressed == {}


def test_the_mailboxes_of_others_count_for_themselves(mailer: Mailer, clock: Clock) -> None:
    story = past(mailer, days(clock, -35, -20, -1))
    story.store(story.event(SOFT, 1), story.event(SOFT, 2), story.event(SOFT, 3, reader=1))
    story.judge()
    assert story.suppressed == {}


def test_a_refusal_while_sending_counts_like_a_bounce(mailer: Mailer, clock: Clock) -> None:
    """Promise 6."""
    story = past(mailer, days(clock, -35, -20, -1))
    refusal = {"kind": FeedbackKind.REFUSAL}
    story.store(*[story.event(SOFT, 1, **refusal), story.event(SOFT, 2), story.event(SOFT, 3, **refusal)])
    story.judge()
    assert story.suppressed == {"r0@example.com": "unreachable"}


def test_after_a_release_only_what_is_new_bars_again(once: Past, clock: Clock) -> None:
    once.store(once.event(HARD))
    once.judge()
    clock.forward(hours=1)
    with once.mailer.database.transaction() as session:
        release(session, "r0@example.com", "it was a mistake", clock())
    clock.forward(hours=1)
    once.store(once.event(HARD))
    once.judge()
    assert once.suppressed == {}, "it is about what was sent before"
    with once.mailer.database.transaction() as session:
        session.execute(update(Delivery).values(first_attempt_at=clock()))
    once.store(once.event(HARD))
    once.judge()
    assert once.suppressed == {"r0@example.com": "unknown user"}


def test_sends_that_all_come_back_late_bar_the_address(mailer: Mailer, clock: Clock) -> None:
    """F9, S2: of what was sent since the one that bounces, nobody knows yet that it got through."""
    now = clock()
    times = days(clock, *range(0, 42, 3))
    story = past(mailer, times)
    with mailer.database.transaction() as session:
        session.execute(update(Delivery).values(status=DeliveryStatus.PENDING, first_attempt_at=None))
    for send_id, at in enumerate(times, 1):
        with mailer.database.transaction() as session:
            accepted = {"status": DeliveryStatus.ACCEPTED, "first_attempt_at": at}
            session.execute(update(Delivery).where(Delivery.send_id == send_id).values(accepted))
        if send_id > 1:
            clock.now = at + timedelta(days=2)
            story.store(story.event(SOFT, send_id - 1))
            story.judge()
        if at < now + timedelta(days=30):
            assert story.suppressed == {}
    assert story.suppressed == {"r0@example.com": "unreachable"}


def test_who_unsubscribes_by_mail_has_left_as_by_the_button(once: Past) -> None:
    """L3, L4, M11: with a record, and repeating it changes nothing."""
    once.store(once.event(FeedbackClass.UNSUBSCRIBE, source="imap"), once.event(FeedbackClass.UNSUBSCRIBE))
    once.judge()
    with once.mailer.database.reading() as session:
        ties = list(session.scalars(select(Subscription.status).order_by(Subscription.id)))
        withdrawn = select(ConsentRecord).where(ConsentRecord.action == ConsentAction.WITHDRAWN)
        record = session.scalars(withdrawn).one()
    assert ties == [SubscriptionStatus.UNSUBSCRIBED, SubscriptionStatus.CONFIRMED]
    assert (record.how, record.wording) == ("unsubscribed by mail", "imap: what it says")
    assert [each.verdict for each in once.events] == [Verdict.WITHDRAW] * 2
    assert once.suppressed == {}


def test_without_its_send_a_wish_to_leave_ends_everything(once: Past) -> None:
    """L4: as after a restored backup."""
    once.store(once.event(FeedbackClass.UNSUBSCRIBE, delivery_id=None))
    once.judge()
    with once.mailer.database.reading() as session:
        ties = list(session.scalars(select(Subscription.status).order_by(Subscription.id)))
    assert ties == [SubscriptionStatus.UNSUBSCRIBED, SubscriptionStatus.CONFIRMED]


def test_who_was_erased_can_still_be_barred_and_cannot_leave_again(once: Past) -> None:
    """L5."""
    with once.mailer.database.transaction() as session:
        session.delete(session.scalars(select(Subscriber).order_by(Subscriber.id)).first())
    kinds = [FeedbackClass.UNSUBSCRIBE, SOFT, COMPLAINT]
    once.store(*[once.event(kind) for kind in kinds])
    assert once.judge() == 3
    assert once.suppressed == {"r0@example.com": "complaint"}


def test_judges_that_work_at_once_judge_each_event_once(mailer: Mailer, clock: Clock) -> None:
    story = past(mailer, days(clock, -35, -20, -1), readers=20)
    story.store(*[story.event(SOFT, send_id, reader) for send_id in (1, 2, 3) for reader in range(20)])
    with ThreadPoolExecutor(4) as pool:
        judged = list(pool.map(lambda _: story.judge(), range(4)))
    assert sum(judged) + story.judge() == 60
    assert set(story.suppressed.values()) == {"unreachable"}
    assert len(story.suppressed) == 20
    assert sum(each.verdict is Verdict.SUPPRESS for each in story.events) == 20


class Killed(Exception):
    """The end of a process."""


def test_a_judge_that_is_killed_between_any_two_statements_changes_nothing(once: Past) -> None:
    """Promise 6: verdict and consequence are one transaction."""
    kinds = [HARD, BLOCK, FeedbackClass.UNSUBSCRIBE, SOFT]
    once.store(*[once.event(kind, reader=number % 2) for number, kind in enumerate(kinds)])
    survived, deaths = False, 0
    while not survived:
        survived = _judge_until(once, deaths)
        if not survived:
            deaths += 1
            assert all(each.judged_at is None for each in once.events)
            assert once.suppressed == {}
            with once.mailer.database.reading() as session:
                assert session.scalars(select(Alert)).all() == []
    assert deaths >= 8
    assert once.suppressed == {"r0@example.com": "unknown user"}


def _judge_until(story: Past, statement: int) -> bool:
    """Judge; die before that statement. Whether it came to its end."""
    seen = 0

    def count(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen > statement + 1:  # the first is BEGIN on SQLite, or the lock
            raise Killed

    engine = story.mailer.database.engine
    event.listen(engine, "before_cursor_execute", count)
    try:
        story.judge()
    except Killed:
        return False
    finally:
        event.remove(engine, "before_cursor_execute", count)
    return True


def test_many_events_cost_a_few_statements(mailer: Mailer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set-wise: the number of statements does not grow with that of events."""
    story = past(mailer, [clock()], readers=60)
    kinds = [HARD, SOFT, BLOCK, COMPLAINT]

    def statements(events: Sequence[FeedbackEvent]) -> int:
        seen: list[str] = []
        listener = lambda *args: seen.append(args[2])  # noqa: E731
        story.store(*events)
        event.listen(mailer.database.engine, "before_cursor_execute", listener)
        story.judge()
        event.remove(mailer.database.engine, "before_cursor_execute", listener)
        return len(seen)

    few = statements([story.event(kinds[n % 4], reader=n) for n in range(4)])
    assert statements([story.event(kinds[n % 4], reader=n) for n in range(4, 60)]) == few
    monkeypatch.setattr(judge, "_AT_ONCE", 10)
    story.store(*[story.event(SOFT, reader=n) for n in range(25)])
    assert [story.judge() for _ in range(4)] == [10, 10, 5, 0]


_about = st.tuples(
    st.sampled_from([HARD, SOFT, SOFT, SOFT, BLOCK, COMPLAINT, FeedbackClass.UNKNOWN, FeedbackClass.AUTO_REPLY]),
    st.integers(1, 5),
    st.integers(0, 1),
)


def test_any_order_and_repetition_of_the_same_events_bars_the_same(mailer: Mailer, clock: Clock) -> None:
    """Promise 6, F9: with a judge at work at any moment between them."""
    story = past(mailer, days(clock, -60, -45, -30, -15, -1))

    @settings(max_examples=25)
    @given(st.lists(_about, max_size=10), st.data())
    def holds(events: list[tuple[FeedbackClass, int, int]], data: st.DataObject) -> None:
        expected = outcome(events, {len(events)})
        shuffled = data.draw(st.permutations(events + events[: len(events) // 2]))
        pauses = data.draw(st.sets(st.integers(0, len(shuffled))))
        assert outcome(shuffled, pauses) == expected

    def outcome(events: Sequence[tuple[FeedbackClass, int, int]], pauses: set[int]) -> set[str]:
        with mailer.database.transaction() as session:
            for table in (FeedbackEvent, Suppression):
                session.execute(delete(table))
        for number, about in enumerate(events):
            if number in pauses:
                story.judge()
            story.store(story.event(*about))
        while story.judge():
            pass
        return set(story.suppressed)

    holds()
