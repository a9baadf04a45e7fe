"""Brevo: events, alone or batched (STANDARDS F10)."""

import pytest

from jlgc_mailer.states import FeedbackClass, ReportForm
from tests.feedback.webhooks.providers import body_of, brevo_event
from tests.feedback.webhooks.readings import BLOCK, COMPLAINT, HARD, SOFT, UNSUBSCRIBE, only, read


def test_an_event_of_brevo_is_known_by_what_it_says() -> None:
    """F10: Brevo gives no event id."""
    one, again = only(ReportForm.BREVO, brevo_event()), only(ReportForm.BREVO, brevo_event(id=1, tag="x"))
    other = only(ReportForm.BREVO, brevo_event(ts_event=1604933655))
    assert one.event_id == again.event_id == "brevo:hard_bounce:<token@news.example.org>:reader@example.com:1604933654"
    assert other.event_id != one.event_id
    assert (one.recipient, one.message_ids, one.status) == ("reader@example.com", ("token@news.example.org",), "5.1.1")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, HARD),
        ({"event": "hardBounce"}, HARD),
        ({"reason": "552 5.2.2 mailbox full"}, SOFT),
        ({"event": "soft_bounce"}, SOFT),
        ({"event": "deferred"}, SOFT),
        ({"event": "blocked"}, BLOCK),
        ({"event": "error"}, BLOCK),
        ({"event": "invalid_email"}, HARD),
        ({"event": "invalid_email", "reason": "552 5.2.2 mailbox full"}, SOFT),
        ({"event": "invalid_email", "reason": "550 5.7.1 blocked using a block list"}, BLOCK),
        ({"event": "spam"}, COMPLAINT),
        ({"event": "complaint"}, COMPLAINT),
        ({"event": "unsubscribed"}, UNSUBSCRIBE),
    ],
)
def test_the_events_of_brevo(changes: dict[str, str], expected: FeedbackClass) -> None:
    """F5, F6, F10."""
    assert only(ReportForm.BREVO, brevo_event(**changes)).feedback_class is expected


def test_a_batch_of_brevo_leaves_out_success() -> None:
    batch = [brevo_event(event=kind) for kind in ("request", "delivered", "spam", "opened", "click", "of_next_year")]
    assert [each.feedback_class for each in read(ReportForm.BREVO, body_of(batch))] == [COMPLAINT]
