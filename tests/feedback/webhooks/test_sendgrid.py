"""Twilio SendGrid: lists of events (STANDARDS F10)."""

import pytest

from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.states import FeedbackClass, ReportForm
from tests.feedback.webhooks.providers import body_of, sendgrid_event
from tests.feedback.webhooks.readings import BLOCK, COMPLAINT, HARD, SOFT, UNKNOWN, UNSUBSCRIBE, only, read


def test_a_bounce_of_sendgrid_names_recipient_reason_and_delivery() -> None:
    assert read(ReportForm.SENDGRID, body_of([sendgrid_event()])) == (
        Signal(
            HARD,
            "reader@example.com",
            "5.1.1",
            diagnosis="550 5.1.1 The email account that you tried to reach does not exist",
            rule="sendgrid.bounce",
            message_ids=("token@news.example.org",),
            event_id="sendgrid:Ym91bmNlLTA",
        ),
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"reason": "550 denied", "status": "5.0.0"}, HARD),
        ({"reason": "552 5.2.2 The account is over quota and inactive", "status": "5.2.2"}, SOFT),
        ({"type": "blocked", "reason": "554 5.7.1 blocked by a list", "status": "5.7.1"}, BLOCK),
        ({"type": "blocked", "reason": "552 5.2.2 over quota", "status": "5.2.2"}, SOFT),
        ({"type": "blocked", "reason": "550 5.1.1 user unknown"}, BLOCK),
        ({"type": "blocked", "reason": "unable to get mx info: no such host", "status": ""}, BLOCK),
        ({"bounce_classification": "Invalid Address", "reason": "550 x", "status": ""}, HARD),
        ({"bounce_classification": "Invalid Address", "reason": "", "status": ""}, HARD),
        ({"bounce_classification": "Invalid Address", "reason": "552 5.2.2 over quota", "status": "5.2.2"}, SOFT),
        ({"bounce_classification": "Invalid Address", "reason": "550 5.7.1 blocked using a block list"}, BLOCK),
        ({"reason": "", "status": ""}, UNKNOWN),
        ({"reason": "", "status": "5.0.0"}, UNKNOWN),
        ({"reason": "", "status": "5.1.1"}, HARD),
        ({"bounce_classification": "Reputation"}, BLOCK),
        ({"bounce_classification": "Content"}, BLOCK),
        ({"bounce_classification": "Mailbox Unavailable"}, SOFT),
        ({"event": "deferred", "response": "421 4.7.0 try again later"}, SOFT),
        ({"event": "spamreport"}, COMPLAINT),
        ({"event": "unsubscribe"}, UNSUBSCRIBE),
        ({"event": "group_unsubscribe"}, UNSUBSCRIBE),
        ({"event": "dropped", "reason": "Bounced Address"}, BLOCK),
        ({"event": "dropped", "reason": "Spam Reporting Address"}, BLOCK),
        ({"event": "dropped", "reason": "Unsubscribed Address"}, UNSUBSCRIBE),
        ({"event": "dropped", "reason": "Invalid"}, HARD),
        ({"event": "dropped", "reason": "Spam Content"}, BLOCK),
    ],
)
def test_the_events_of_sendgrid(changes: dict[str, str], expected: FeedbackClass) -> None:
    """F5, F6, F10."""
    assert only(ReportForm.SENDGRID, [sendgrid_event(**changes)]).feedback_class is expected


def test_a_batch_of_sendgrid_keeps_its_order_and_leaves_out_success() -> None:
    kinds = ["processed", "bounce", "delivered", "spamreport", "open", "click", "group_resubscribe", "of_next_year"]
    signals = read(ReportForm.SENDGRID, body_of([sendgrid_event(event=kind) for kind in kinds]))
    assert [signal.feedback_class for signal in signals] == [HARD, COMPLAINT]
