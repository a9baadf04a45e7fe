"""The signed webhook of our own (STANDARDS F10)."""

from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.states import ReportForm
from tests.feedback.webhooks.providers import SENDER
from tests.feedback.webhooks.readings import HARD, UNKNOWN, only


def test_a_generic_post_says_it_in_our_own_words() -> None:
    """F10."""
    document = {
        "class": "hard",
        "recipient": "reader@example.com",
        "status": "5.1.1",
        "diagnosis": "no such user",
        "remote_mta": "mx.example.com",
        "envelope_sender": SENDER,
        "message_id": "<token@news.example.org>",
        "event_id": "7",
    }
    expected = Signal(
        HARD,
        "reader@example.com",
        "5.1.1",
        "mx.example.com",
        "no such user",
        "generic",
        senders=(SENDER,),
        message_ids=("token@news.example.org",),
        event_id="generic:7",
    )
    assert only(ReportForm.GENERIC, document) == expected
    assert only(ReportForm.GENERIC, [document]) == expected
    assert only(ReportForm.GENERIC, [document | {"class": "gone"}]).feedback_class is UNKNOWN
