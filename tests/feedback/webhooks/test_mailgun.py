"""Mailgun: one event of a webhook (STANDARDS F10)."""

from typing import Any

import pytest

from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.states import FeedbackClass, ReportForm
from tests.feedback.webhooks.providers import SENDER, mailgun, mailgun_failure
from tests.feedback.webhooks.readings import BLOCK, COMPLAINT, HARD, OWN_RULES, SOFT, UNKNOWN, UNSUBSCRIBE, read


def test_a_failure_of_mailgun_names_recipient_reason_and_delivery() -> None:
    (signal,) = read(ReportForm.MAILGUN, mailgun(mailgun_failure()), OWN_RULES)
    assert signal == Signal(
        HARD,
        "reader@example.com",
        "5.1.1",
        "mx.example.com",
        "5.1.1 <reader@example.com>: Recipient address rejected: User unknown",
        "own-unknown",
        senders=(SENDER,),
        message_ids=("token@news.example.org",),
        event_id="mailgun:G9Bn5sl1TC6nu79C8C0bwg",
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"severity": "temporary"}, SOFT),
        ({"reason": "suppress-bounce"}, BLOCK),
        ({"reason": "suppress-complaint"}, BLOCK),
        ({"reason": "suppress-unsubscribe"}, UNSUBSCRIBE),
        ({"reason": "old"}, SOFT),
        ({"delivery-status": {"code": 550, "message": "5.7.1 Message rejected as spam"}}, BLOCK),
        ({"delivery-status": {"code": 554, "message": "delivery error"}}, UNKNOWN),
        ({"delivery-status": {"code": 552, "enhanced-code": "5.2.2"}}, SOFT),
        ({"event": "complained"}, COMPLAINT),
        ({"event": "unsubscribed"}, UNSUBSCRIBE),
        ({"event": "rejected", "reject": {"reason": "Sandbox subdomains are for test purposes only"}}, BLOCK),
    ],
)
def test_the_events_of_mailgun(changes: dict[str, Any], expected: FeedbackClass) -> None:
    """F5: Mailgun calls permanent whatever was refused with 5xx, so only the reply proves a hard bounce."""
    (signal,) = read(ReportForm.MAILGUN, mailgun(mailgun_failure(**changes)))
    assert signal.feedback_class is expected


@pytest.mark.parametrize("kind", ["accepted", "delivered", "opened", "clicked", "of_next_year"])
def test_what_mailgun_tells_of_success_is_no_signal(kind: str) -> None:
    assert read(ReportForm.MAILGUN, mailgun(mailgun_failure(event=kind))) == ()
