"""Judging draws each consequence once, and only where the evidence is enough."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from jlgc_mailer.audience.suppression import in_force
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import FeedbackEvent
from jlgc_mailer.feedback.judge import decide, judge_waiting
from jlgc_mailer.states import FeedbackKind, ReplyClass, SuppressionReason, Verdict


@pytest.mark.parametrize("reply_class", list(ReplyClass))
def test_of_refusals_only_an_unknown_user_suppresses(reply_class: ReplyClass) -> None:
    """F6, S3: what is said about us, the content or a full mailbox bars nobody."""
    expected = SuppressionReason.UNKNOWN_USER if reply_class is ReplyClass.UNKNOWN_USER else None
    assert decide(FeedbackKind.REFUSAL, reply_class) is expected


@pytest.mark.parametrize("reply_class", list(ReplyClass))
def test_a_complaint_always_suppresses(reply_class: ReplyClass) -> None:
    """F7, F9."""
    assert decide(FeedbackKind.COMPLAINT, reply_class) is SuppressionReason.COMPLAINT


def store(mailer: Mailer, *events: tuple[FeedbackKind, ReplyClass, str]) -> None:
    with mailer.database.transaction() as session:
        session.add_all(
            FeedbackEvent(
                received_at=mailer.clock(),
                source="test",
                kind=kind,
                address_key=key,
                reply_class=reply_class,
                diagnosis="550 no " + "x" * 400,
            )
            for kind, reply_class, key in events
        )


def judge(mailer: Mailer) -> int:
    with mailer.database.transaction() as session:
        return judge_waiting(session, mailer.clock())


UNKNOWN = (FeedbackKind.REFUSAL, ReplyClass.UNKNOWN_USER, "gone@example.com")
FULL = (FeedbackKind.REFUSAL, ReplyClass.MAILBOX_FULL, "full@example.com")


def test_events_are_judged_once_and_keep_their_verdict(mailer: Mailer) -> None:
    store(mailer, UNKNOWN, FULL)
    assert judge(mailer) == 2
    assert judge(mailer) == 0
    with mailer.database.reading() as session:
        verdicts = {each.address_key: each.verdict for each in session.scalars(select(FeedbackEvent))}
        assert [(each.address_key, each.reason) for each in in_force(session)] == [
            ("gone@example.com", SuppressionReason.UNKNOWN_USER)
        ]
    assert verdicts == {"gone@example.com": Verdict.SUPPRESS, "full@example.com": Verdict.NOTE}


def test_the_first_of_two_reasons_stands(mailer: Mailer) -> None:
    store(mailer, UNKNOWN, (FeedbackKind.COMPLAINT, ReplyClass.OTHER, "gone@example.com"))
    judge(mailer)
    with mailer.database.reading() as session:
        assert [each.reason for each in in_force(session)] == [SuppressionReason.UNKNOWN_USER]


def test_judges_that_work_at_once_judge_each_event_once(mailer: Mailer) -> None:
    store(mailer, *[(FeedbackKind.REFUSAL, ReplyClass.UNKNOWN_USER, f"r{n}@example.com") for n in range(40)])
    with ThreadPoolExecutor(4) as pool:
        judged = list(pool.map(lambda _: judge(mailer), range(4)))
    assert sum(judged) + judge(mailer) == 40
    with mailer.database.reading() as session:
        assert len(in_force(session)) == 40
