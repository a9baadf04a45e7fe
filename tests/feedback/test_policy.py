"""What follows from an event, as a table that can be read."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.feedback.policy import Event, History, Policy, decide
from jlgc_mailer.states import FeedbackClass, SuppressionReason, Verdict

NOW = datetime(2026, 6, 1, tzinfo=UTC)
POLICY = Policy()
NOTHING = History()


def day(number: float) -> datetime:
    return NOW + timedelta(days=number)


def event(kind: FeedbackClass, **values: object) -> Event:
    return Event(**{"feedback_class": kind, "received_at": NOW, "send_id": 1, "sent_at": NOW, **values})  # type: ignore[arg-type]


def soft(history: History, send_id: int, sent_at: datetime) -> SuppressionReason | None:
    return decide(history, event(FeedbackClass.SOFT, send_id=send_id, sent_at=sent_at), POLICY).reason


@pytest.mark.parametrize(
    ("kind", "verdict", "reason"),
    [
        (FeedbackClass.HARD, Verdict.SUPPRESS, SuppressionReason.UNKNOWN_USER),
        (FeedbackClass.COMPLAINT, Verdict.SUPPRESS, SuppressionReason.COMPLAINT),
        (FeedbackClass.UNSUBSCRIBE, Verdict.WITHDRAW, None),
        (FeedbackClass.SOFT, Verdict.NOTE, None),
        (FeedbackClass.BLOCK, Verdict.NOTE, None),
        (FeedbackClass.AUTO_REPLY, Verdict.NOTE, None),
        (FeedbackClass.CHALLENGE, Verdict.NOTE, None),
        (FeedbackClass.UNKNOWN, Verdict.NOTE, None),
    ],
)
def test_each_class_has_its_consequence(
    kind: FeedbackClass, verdict: Verdict, reason: SuppressionReason | None
) -> None:
    """F6, F7, F9."""
    decision = decide(NOTHING, event(kind), POLICY)
    assert (decision.verdict, decision.reason) == (verdict, reason)
    assert decision.why


@pytest.mark.parametrize("kind", FeedbackClass)
def test_what_is_not_believed_is_noted_and_nothing_else(kind: FeedbackClass) -> None:
    """F2."""
    assert decide(NOTHING, event(kind, believed=False), POLICY).verdict is Verdict.NOTE


def test_a_bounce_of_what_was_sent_before_a_release_does_not_bar_again_however_late_it_comes() -> None:
    history = History(released_at=NOW)
    for sent, verdict in ((-4, Verdict.NOTE), (0, Verdict.NOTE), (0.1, Verdict.SUPPRESS)):
        bounce = event(FeedbackClass.HARD, received_at=day(1), sent_at=day(sent))
        assert decide(history, bounce, POLICY).verdict is verdict


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_complaint_and_the_word_of_a_person_are_as_new_as_they_are_said(by_hand: bool) -> None:
    history = History(released_at=NOW)
    kind = FeedbackClass.HARD if by_hand else FeedbackClass.COMPLAINT
    for received, verdict in ((0, Verdict.NOTE), (0.1, Verdict.SUPPRESS)):
        said = event(kind, received_at=day(received), sent_at=day(-4), by_hand=by_hand)
        assert decide(history, said, POLICY).verdict is verdict


def test_a_hard_bounce_that_is_older_than_a_success_is_history() -> None:
    for received, verdict in ((-1, Verdict.NOTE), (0, Verdict.SUPPRESS)):
        bounce = event(FeedbackClass.HARD, received_at=day(received), sent_at=day(-9))
        assert decide(History(succeeded_at=NOW), bounce, POLICY).verdict is verdict


@pytest.mark.parametrize("kind", [FeedbackClass.UNSUBSCRIBE, FeedbackClass.COMPLAINT])
def test_who_joined_again_since_neither_leaves_nor_complains(kind: FeedbackClass) -> None:
    """L3."""
    for joined, is_over in ((-1, False), (0, False), (0.1, True)):
        verdict = decide(NOTHING, event(kind, joined_at=day(joined)), POLICY).verdict
        assert (verdict is Verdict.NOTE) is is_over


@pytest.mark.parametrize(
    ("before", "last", "reason"),
    [
        ({1: 0, 2: 15}, 30, SuppressionReason.UNREACHABLE),
        ({1: 0, 2: 15}, 29.9, None),
        ({1: 0}, 31, None),
        ({1: 0, 2: 1, 3: 2, 4: 3}, 4, None),
        ({}, 0, None),
    ],
)
def test_soft_bounces_suppress_after_three_sends_that_span_thirty_days(
    before: dict[int, float], last: float, reason: SuppressionReason | None
) -> None:
    """F9."""
    history = History({send_id: day(number) for send_id, number in before.items()})
    assert soft(history, 9, day(last)) is reason


def test_a_success_between_begins_the_count_anew() -> None:
    """F9."""
    failures = {1: day(0), 2: day(15)}
    assert soft(History(failures, succeeded_at=day(20)), 3, day(31)) is None
    assert soft(History(failures, succeeded_at=day(-1)), 3, day(31)) is SuppressionReason.UNREACHABLE


def test_a_release_begins_the_count_anew() -> None:
    failures = {1: day(0), 2: day(15)}
    history = History(failures, released_at=day(20))
    assert (
        decide(history, event(FeedbackClass.SOFT, received_at=day(32), send_id=3, sent_at=day(31)), POLICY).reason
        is None
    )


def test_ten_reports_about_one_send_are_one_failure() -> None:
    history = NOTHING
    for _ in range(10):
        history = history.with_failure(1, day(0))
    assert soft(history, 2, day(40)) is None


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(list(FeedbackClass))), max_size=12), st.randoms())
def test_in_any_order_and_however_often_the_same_follows(
    events: list[tuple[int, FeedbackClass]], random: object
) -> None:
    """Promise 6: soft bounces add up whatever comes first."""

    def suppresses(these: list[tuple[int, FeedbackClass]]) -> bool:
        history, barred = NOTHING, False
        for send_id, kind in these:
            sent_at = day(send_id * 12)
            barred |= decide(history, event(kind, send_id=send_id, sent_at=sent_at), POLICY).reason is not None
            if kind is FeedbackClass.SOFT:
                history = history.with_failure(send_id, sent_at)
        return barred

    shuffled = events + events[: len(events) // 2]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert suppresses(shuffled) == suppresses(events)
