"""Postmark: bounces, spam complaints and changes of subscription (STANDARDS F10)."""

from typing import Any

import pytest

from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.states import FeedbackClass, ReportForm
from tests.feedback.webhooks.providers import SENDER, body_of, postmark_bounce
from tests.feedback.webhooks.readings import BLOCK, COMPLAINT, HARD, SOFT, UNKNOWN, UNSUBSCRIBE, only, read


def test_a_bounce_of_postmark_names_recipient_reason_and_delivery() -> None:
    assert only(ReportForm.POSTMARK, postmark_bounce()) == Signal(
        HARD,
        "reader@example.com",
        "5.1.1",
        diagnosis="smtp;550 5.1.1 The email account does not exist",
        rule="postmark.HardBounce",
        senders=(SENDER,),
        message_ids=("token@news.example.org",),
        event_id="postmark:Bounce:4323372036854775807",
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("HardBounce", HARD),
        ("BadEmailAddress", HARD),
        ("Transient", SOFT),
        ("DnsError", SOFT),
        ("SoftBounce", SOFT),
        ("Unsubscribe", UNSUBSCRIBE),
        ("Subscribe", UNKNOWN),
        ("AutoResponder", FeedbackClass.AUTO_REPLY),
        ("AddressChange", FeedbackClass.AUTO_REPLY),
        ("SpamNotification", BLOCK),
        ("Unknown", UNKNOWN),
        ("VirusNotification", BLOCK),
        ("ChallengeVerification", FeedbackClass.CHALLENGE),
        ("SpamComplaint", COMPLAINT),
        ("ManuallyDeactivated", BLOCK),
        ("Blocked", BLOCK),
        ("DMARCPolicy", BLOCK),
        ("OfNextYear", UNKNOWN),
    ],
)
def test_the_types_of_postmark(kind: str, expected: FeedbackClass) -> None:
    """F6, F10."""
    assert only(ReportForm.POSTMARK, postmark_bounce(Type=kind, Details="")).feedback_class is expected


def test_a_hard_bounce_of_postmark_that_is_a_full_mailbox_is_soft() -> None:
    """F5."""
    assert only(ReportForm.POSTMARK, postmark_bounce(Details="smtp;552 5.2.2 over quota")).feedback_class is SOFT


def test_a_complaint_of_postmark() -> None:
    document = postmark_bounce(RecordType="SpamComplaint", Type="SpamComplaint", Details="Test spam complaint")
    assert only(ReportForm.POSTMARK, document).feedback_class is COMPLAINT


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [UNSUBSCRIBE]),
        ({"SuppressSending": False}, []),
        ({"Origin": "Customer"}, []),
        ({"SuppressionReason": "HardBounce"}, []),
    ],
)
def test_only_a_reader_who_asked_is_unsubscribed_by_postmark(
    changes: dict[str, Any], expected: list[FeedbackClass]
) -> None:
    """F10: bounces and complaints change a subscription too, and have posts of their own."""
    document = {
        "RecordType": "SubscriptionChange",
        "Recipient": "reader@example.com",
        "Origin": "Recipient",
        "SuppressSending": True,
        "SuppressionReason": "ManualSuppression",
        "ChangedAt": "2026-06-01T08:00:00Z",
        "MessageID": "883953f4",
    } | changes
    assert [each.feedback_class for each in read(ReportForm.POSTMARK, body_of(document))] == expected
