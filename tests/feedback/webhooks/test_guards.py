"""Genuine posts are known from all others by their signature or password (STANDARDS F10)."""

import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.feedback.webhooks.guards import Credentials, GenericSignature, MailgunSignature, SendGridSignature
from jlgc_mailer.feedback.webhooks.posted import Guard
from jlgc_mailer.settings import passwords
from tests.feedback.webhooks.providers import (
    NOW,
    SECRET,
    SendGrid,
    basic,
    body_of,
    generic_headers,
    mailgun,
    mailgun_failure,
    posted,
    sendgrid_event,
)

secret: Callable[[], str] = passwords.known(SECRET)
BODY = body_of([sendgrid_event()])


@pytest.fixture(scope="module")
def sendgrid() -> SendGrid:
    return SendGrid()


def guard_of(sendgrid: SendGrid) -> Guard:
    return SendGridSignature(sendgrid.key.public_key())


# --- SendGrid -------------------------------------------------------------------------------------------------------

# The vector that SendGrid publishes with its client libraries: key, signature, timestamp, and the body with its CRLF.
_PUBLISHED_KEY = (
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfS\n"
    "mpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==\n"
    "-----END PUBLIC KEY-----\n"
)
_PUBLISHED_HEADERS = {
    "X-Twilio-Email-Event-Webhook-Signature": (
        "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
    ),
    "X-Twilio-Email-Event-Webhook-Timestamp": "1600112502",
}
_PUBLISHED_EVENT = {
    "email": "hello@world.com",
    "event": "dropped",
    "reason": "Bounced Address",
    "sg_event_id": "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",
    "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
    "smtp-id": "<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>",
    "timestamp": 1600112492,
}
_PUBLISHED_BODY = json.dumps([_PUBLISHED_EVENT], separators=(",", ":")).encode() + b"\r\n"
_THEN = datetime.fromtimestamp(1600112502, UTC)


def published() -> SendGridSignature:
    key = load_pem_public_key(_PUBLISHED_KEY.encode())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return SendGridSignature(key)


def test_the_vector_that_sendgrid_publishes_is_genuine() -> None:
    """F10."""
    assert published().refusal(posted(_PUBLISHED_BODY, _PUBLISHED_HEADERS), _THEN) is None


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (_PUBLISHED_BODY.removesuffix(b"\r\n"), {}),
        (_PUBLISHED_BODY.replace(b"hello", b"hallo"), {}),
        (_PUBLISHED_BODY, {"X-Twilio-Email-Event-Webhook-Timestamp": "1600112503"}),
        (_PUBLISHED_BODY, {"X-Twilio-Email-Event-Webhook-Signature": "MEUC"}),
        (_PUBLISHED_BODY, {"X-Twilio-Email-Event-Webhook-Signature": "鍵"}),
        (
            _PUBLISHED_BODY,
            {  # the wrong signature that SendGrid publishes
                "X-Twilio-Email-Event-Webhook-Signature": (
                    "MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH3j/0="
                )
            },
        ),
    ],
)
def test_an_altered_vector_of_sendgrid_is_refused(body: bytes, headers: dict[str, str]) -> None:
    """F10: timestamp and raw body are signed."""
    refusal = published().refusal(posted(body, _PUBLISHED_HEADERS | headers), _THEN)
    assert refusal
    assert "signature" in refusal.why


def test_a_post_of_another_sendgrid_account_is_refused(sendgrid: SendGrid) -> None:
    assert guard_of(SendGrid()).refusal(posted(BODY, sendgrid.headers(BODY)), NOW)
    assert guard_of(sendgrid).refusal(posted(BODY), NOW)


# --- all that are signed --------------------------------------------------------------------------------------------

_MOMENTS = [
    (timedelta(0), None),
    (timedelta(minutes=4), None),
    (timedelta(minutes=-4), None),
    (timedelta(minutes=-6), "future"),
    (timedelta(days=2), "too old"),
]


@pytest.mark.parametrize(("age", "why"), _MOMENTS)
@pytest.mark.parametrize("kind", ["sendgrid", "mailgun", "generic"])
def test_a_stale_timestamp_is_refused(sendgrid: SendGrid, kind: str, age: timedelta, why: str | None) -> None:
    """F10: also one of the future, which would be a post recorded in advance."""
    at = NOW - age
    event = mailgun(mailgun_failure(), at)
    refusal = {
        "sendgrid": lambda: guard_of(sendgrid).refusal(posted(BODY, sendgrid.headers(BODY, at)), NOW),
        "mailgun": lambda: MailgunSignature(secret).refusal(posted(event), NOW),
        "generic": lambda: GenericSignature(secret).refusal(posted(BODY, generic_headers(BODY, at)), NOW),
    }[kind]()
    assert (refusal is None) if why is None else (refusal is not None and why in refusal.why)
    assert refusal is None or refusal.status == HTTPStatus.SERVICE_UNAVAILABLE


@pytest.mark.parametrize(
    ("kind", "hours"),
    [("sendgrid", 24), ("mailgun", 8)],
)
def test_as_long_as_a_provider_tries_again_its_post_is_taken(sendgrid: SendGrid, kind: str, hours: int) -> None:
    """Promise 6: what could not be stored at once is not lost."""
    at = NOW - timedelta(hours=hours)
    if kind == "sendgrid":
        assert guard_of(sendgrid).refusal(posted(BODY, sendgrid.headers(BODY, at)), NOW) is None
    else:
        assert MailgunSignature(secret).refusal(posted(mailgun(mailgun_failure(), at)), NOW) is None


# --- Mailgun --------------------------------------------------------------------------------------------------------


def test_the_signature_of_mailgun_is_hex_hmac_over_timestamp_and_token() -> None:
    """F10: in the shape that Mailgun's manual shows."""
    timestamp, token = "1770920772", "e0b5477167110d68991efc6b9f89f0a11066af27834600e123"
    signature = hmac.new(SECRET.encode(), (timestamp + token).encode(), "sha256").hexdigest()
    body = body_of({"signature": {"token": token, "timestamp": timestamp, "signature": signature}, "event-data": {}})
    guard, then = MailgunSignature(secret), datetime.fromtimestamp(1770920772, UTC)
    assert guard.refusal(posted(body), then) is None
    assert guard.once(posted(body)) == token
    for changed in (token, timestamp, signature):
        other = changed[:-1] + ("0" if changed[-1] != "0" else "1")
        assert guard.refusal(posted(body.replace(changed.encode(), other.encode())), then)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"signature": 7}', b'{"signature": {"token": ""}}', b"\xff"])
def test_a_post_without_a_signature_of_mailgun_is_refused(body: bytes) -> None:
    assert MailgunSignature(secret).refusal(posted(body), NOW)


def test_a_post_without_a_token_is_refused_although_it_is_signed() -> None:
    """F10: without a token nothing would make it one for one use."""
    assert MailgunSignature(secret).refusal(posted(mailgun(mailgun_failure(), token="")), NOW)


def test_a_post_signed_with_another_key_is_refused() -> None:
    assert MailgunSignature(secret).refusal(posted(mailgun(mailgun_failure(), key="another")), NOW)
    assert GenericSignature(secret).refusal(posted(BODY, generic_headers(BODY, key="another")), NOW)


# --- generic --------------------------------------------------------------------------------------------------------


def test_the_generic_signature_covers_timestamp_and_body() -> None:
    """F10."""
    guard, headers = GenericSignature(secret), generic_headers(BODY)
    assert guard.refusal(posted(BODY, headers), NOW) is None
    assert guard.refusal(posted(BODY + b" ", headers), NOW)
    later = headers["X-Signature"].replace("t=1", "t=2")
    assert guard.refusal(posted(BODY, {"X-Signature": later}), NOW)


@given(st.text())
def test_any_header_is_refused_and_never_an_exception(sendgrid: SendGrid, header: str) -> None:
    """F8."""
    names = ("x-signature", "authorization", "x-twilio-email-event-webhook-signature",
             "x-twilio-email-event-webhook-timestamp")  # fmt: skip
    post = posted(BODY, dict.fromkeys(names, header))
    guards = (GenericSignature(secret), Credentials("u", secret), Credentials("", secret), guard_of(sendgrid))
    assert all(guard.refusal(post, NOW) for guard in guards)


# --- passwords ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "headers", "genuine"),
    [
        ("postmark", basic("postmark", SECRET), True),
        ("postmark", {"Authorization": basic("postmark", SECRET)["Authorization"].replace("Basic", "basic")}, True),
        ("郵便", basic("郵便", SECRET), True),
        ("postmark", basic("postmark", SECRET + "x"), False),
        ("postmark", basic("other", SECRET), False),
        ("postmark", {"Authorization": f"Bearer {SECRET}"}, False),
        ("postmark", {}, False),
        ("", {"Authorization": f"Bearer {SECRET}"}, True),
        ("", {"Authorization": "Bearer x"}, False),
        ("", {"Authorization": "Bearer"}, False),
        ("", basic("", SECRET), False),
        ("", {}, False),
    ],
)
def test_user_and_password_or_token(user: str, headers: dict[str, str], genuine: bool) -> None:
    """F10: Postmark brings HTTP Basic, Brevo that or a bearer token. Postmark would give up on 403."""
    refusal = Credentials(user, secret).refusal(posted(BODY, headers), NOW)
    assert (refusal is None) is genuine
    assert refusal is None or refusal.status == HTTPStatus.UNAUTHORIZED


def test_no_secret_is_printed(sendgrid: SendGrid) -> None:
    guards = (Credentials("u", secret), MailgunSignature(secret), GenericSignature(secret))
    assert SECRET not in repr(guards)
    assert all(SECRET not in str(guard.refusal(posted(BODY), NOW)) for guard in guards)
