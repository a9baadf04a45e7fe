"""What providers post, read into signals: any octets give an answer (STANDARDS F8, F10)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.states import ReportForm
from tests.feedback.webhooks.providers import (
    body_of,
    brevo_event,
    mailgun_failure,
    postmark_bounce,
    sendgrid_event,
    ses_bounce,
)
from tests.feedback.webhooks.readings import BLOCK, OWN_RULES, SOFT, UNKNOWN, only, read

FORMS = [form for form in ReportForm if form is not ReportForm.MESSAGE]


def test_the_rules_of_an_operator_are_held_against_what_a_provider_says() -> None:
    """F5: a reply can deny that a bounce is hard; it does not make one hard that the provider calls blocked."""
    said = {"status": "", "reason": "550 The office is closed"}
    closed = body_of([sendgrid_event(**said), sendgrid_event(type="blocked", reason="550 user unknown")])
    first, second = read(ReportForm.SENDGRID, closed, OWN_RULES)
    assert (first.feedback_class, first.rule) == (SOFT, "own-holiday")
    assert (second.feedback_class, second.rule) == (BLOCK, "sendgrid.blocked")


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"bounce", b"7", b'"x"', b"[" * 100_000, b"1" * 10_000, b"null"])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_post_of_a_provider_waits_for_a_person(form: ReportForm, body: bytes) -> None:
    """F8: an exception never blocks the queue."""
    (signal,) = read(form, body)
    assert (signal.feedback_class, signal.rule) == (UNKNOWN, f"{form}.unreadable")


_KEYS = st.sampled_from(
    [*ses_bounce(), *ses_bounce()["bounce"], *ses_bounce()["mail"], *sendgrid_event(), *mailgun_failure(),
     *postmark_bounce(), *brevo_event(), "event-data", "Message", "Type", "complaint", "class", "emailAddress"]
)  # fmt: skip
_WORDS = st.sampled_from(["Bounce", "Complaint", "bounce", "failed", "hard_bounce", "dropped", "permanent", "\ud800\0"])
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=8),
    max_leaves=20,
)


def is_storable(signal: Signal) -> bool:
    """Whether every database takes it: no NUL, no half of a surrogate pair, nothing longer than its column."""
    texts = [signal.recipient, signal.status, signal.remote_mta, signal.diagnosis, signal.rule, signal.event_id]
    written = [text for text in (*texts, *signal.senders, *signal.message_ids) if text is not None]
    lengths = (320, 12, 255, 2000, 80, 255)
    return (
        all("\0" not in text and text == text.encode("utf-8", "replace").decode() for text in written)
        and all(len(text or "") <= most for text, most in zip(texts, lengths, strict=True))
        and 0 <= signal.confidence <= 1
    )


@given(st.sampled_from(FORMS), st.binary(max_size=200) | _ANYTHING.map(lambda found: json.dumps(found).encode()))
def test_any_octets_give_signals_that_can_be_stored(form: ReportForm, body: bytes) -> None:
    """F8, F10."""
    assert all(is_storable(signal) for signal in read(form, body))


@given(st.sampled_from(FORMS), _ANYTHING, st.lists(st.sampled_from(range(6)), min_size=1, max_size=3))
def test_a_genuine_post_with_anything_in_one_place_gives_signals_that_can_be_stored(
    form: ReportForm, anything: object, path: list[int]
) -> None:
    """F8, F10."""
    documents: dict[ReportForm, Any] = {
        ReportForm.SES: ses_bounce(),
        ReportForm.SENDGRID: sendgrid_event(),
        ReportForm.MAILGUN: {"event-data": mailgun_failure()},
        ReportForm.POSTMARK: postmark_bounce(),
        ReportForm.BREVO: brevo_event(),
        ReportForm.GENERIC: {"class": "hard", "recipient": "reader@example.com"},
    }
    document = place = documents[form]
    for step in path:
        keys = list(place)
        key = keys[step % len(keys)]
        if not isinstance(place[key], dict) or not place[key]:
            place[key] = anything
            break
        place = place[key]
    assert all(is_storable(signal) for signal in read(form, json.dumps(document).encode()))


def test_what_no_database_takes_is_left_out() -> None:
    """F8: NUL, and half of a surrogate pair, which JSON may write down."""
    document = dict.fromkeys(("recipient", "diagnosis", "remote_mta", "event_id"), "a\ud800\0\r\nb")
    (signal,) = read(ReportForm.GENERIC, json.dumps(document).encode())
    assert (signal.recipient, signal.remote_mta, signal.diagnosis) == ("a b", "a b", "a b")
    assert signal.event_id == "generic:a b"


def test_a_long_event_id_is_shortened_and_stays_its_own() -> None:
    """F10: idempotent."""
    ids = {only(ReportForm.GENERIC, {"event_id": "x" * 900 + end}).event_id for end in ("a", "a", "b")}
    assert len(ids) == 2
    assert all(each and len(each) <= 255 and each.startswith("generic:") for each in ids)
