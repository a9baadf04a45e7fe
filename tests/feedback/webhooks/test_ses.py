"""Amazon SES: both formats, in the envelope of SNS or bare (STANDARDS F10)."""

import pytest

from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.states import FeedbackClass, ReportForm
from tests.feedback.webhooks.providers import SENDER, Amazon, body_of, ses_bounce
from tests.feedback.webhooks.readings import BLOCK, COMPLAINT, HARD, SOFT, UNKNOWN, only, read


def test_a_bounce_of_ses_names_recipient_reason_and_delivery() -> None:
    """F1, F10: our delivery is in the envelope sender and in the Message-ID of the headers."""
    assert only(ReportForm.SES, ses_bounce()) == Signal(
        HARD,
        "reader@example.com",
        "5.1.1",
        "mx.example.com",
        "smtp; 550 5.1.1 user unknown",
        "ses.Permanent.NoEmail",
        senders=(SENDER,),
        message_ids=("token@news.example.org",),
        event_id="ses:bounce:010001-1:2026-06-01T08:59:50.000Z:reader@example.com",
    )


def test_the_envelope_of_sns_and_both_formats_of_ses_say_the_same() -> None:
    """F10."""
    notification = ses_bounce()
    published = {"eventType" if key == "notificationType" else key: value for key, value in notification.items()}
    bodies = [body_of(notification), body_of(published), Amazon().envelope(notification), Amazon().envelope(published)]
    assert len({read(ReportForm.SES, body) for body in bodies}) == 1


@pytest.mark.parametrize(
    ("kind", "subtype", "diagnosis", "expected"),
    [
        ("Permanent", "General", "smtp; 550 5.1.1 user unknown", HARD),
        ("Permanent", "General", "smtp; 554 delivery error", HARD),
        ("Permanent", "General", "smtp; 552 5.2.2 over quota", SOFT),
        ("Permanent", "General", "smtp; 550 5.7.1 blocked using a block list", BLOCK),
        ("Permanent", "NoEmail", "smtp; 550 no", HARD),
        ("Permanent", "NoEmail", "", HARD),
        ("Permanent", "NoEmail", "smtp; 552 5.2.2 over quota", SOFT),
        ("Permanent", "NoEmail", "smtp; 550 5.7.1 blocked using a block list", BLOCK),
        ("Permanent", "Suppressed", "Amazon SES has suppressed sending to this address", HARD),
        ("Permanent", "OnAccountSuppressionList", "Amazon SES did not send the message", BLOCK),
        ("Transient", "General", "smtp; 421 4.4.2 timeout", SOFT),
        ("Transient", "MailboxFull", "", SOFT),
        ("Transient", "MessageTooLarge", "", BLOCK),
        ("Transient", "ContentRejected", "", BLOCK),
        ("Transient", "AttachmentRejected", "", BLOCK),
        ("Undetermined", "Undetermined", "", UNKNOWN),
        ("Permanent", "OfNextYear", "smtp; 550 5.1.1 user unknown", UNKNOWN),
    ],
)
def test_the_types_of_ses_bounces(kind: str, subtype: str, diagnosis: str, expected: FeedbackClass) -> None:
    """F5, F6, F10: hard is believed unless the reply says otherwise; the account's own list proves nothing new."""
    document = ses_bounce(kind, subtype, diagnosticCode=diagnosis, status="5.0.0")
    assert only(ReportForm.SES, document).feedback_class is expected


def test_each_recipient_of_a_ses_bounce_has_a_signal_and_a_delayed_one_is_soft() -> None:
    document = ses_bounce()
    document["bounce"]["bouncedRecipients"].append({"emailAddress": "b@example.com", "action": "delayed"})
    first, second = read(ReportForm.SES, body_of(document))
    assert (first.feedback_class, second.feedback_class, second.recipient) == (HARD, SOFT, "b@example.com")
    assert first.event_id != second.event_id


@pytest.mark.parametrize(
    ("complaint", "expected"),
    [
        ({"complaintFeedbackType": "abuse"}, COMPLAINT),
        ({}, COMPLAINT),
        ({"complaintFeedbackType": "other"}, COMPLAINT),
        ({"complaintFeedbackType": "not-spam"}, UNKNOWN),
        ({"complaintFeedbackType": "auth-failure"}, BLOCK),
        ({"complaintSubType": "OnAccountSuppressionList"}, BLOCK),
    ],
)
def test_the_types_of_ses_complaints(complaint: dict[str, str], expected: FeedbackClass) -> None:
    """F7, F10: not-spam never suppresses, OnAccountSuppressionList is no new complaint."""
    document = {
        "notificationType": "Complaint",
        "complaint": complaint
        | {"complainedRecipients": [{"emailAddress": "reader@example.com"}], "feedbackId": "010001-2"},
        "mail": ses_bounce()["mail"],
    }
    signal = only(ReportForm.SES, document)
    assert (signal.feedback_class, signal.recipient, signal.senders) == (expected, "reader@example.com", (SENDER,))


def test_a_delay_and_a_rejection_of_ses() -> None:
    mail = ses_bounce()["mail"]
    delayed = [{"emailAddress": "reader@example.com", "status": "4.4.1", "diagnosticCode": "smtp; 421 later"}]
    delay = {"eventType": "DeliveryDelay", "deliveryDelay": {"delayedRecipients": delayed}, "mail": mail}
    rejection = {"eventType": "Reject", "reject": {"reason": "Bad content"}, "mail": mail}
    assert (only(ReportForm.SES, delay).feedback_class, only(ReportForm.SES, delay).status) == (SOFT, "4.4.1")
    assert only(ReportForm.SES, rejection).feedback_class is BLOCK


@pytest.mark.parametrize("kind", ["Delivery", "Send", "Open", "Click", "Rendering Failure", "OfNextYear"])
def test_what_ses_tells_of_success_is_no_signal(kind: str) -> None:
    assert read(ReportForm.SES, body_of({"eventType": kind, kind.lower(): {}, "mail": {}})) == ()


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "Notification"])
def test_the_plain_words_of_sns_are_no_signal(kind: str) -> None:
    """The handshake, and what SES writes once when a topic is connected."""
    words = "Successfully validated SNS topic for Amazon SES event publishing."
    assert read(ReportForm.SES, Amazon().envelope(words, kind)) == ()
