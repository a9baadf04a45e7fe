"""Amazon SNS: only messages of our topics, signed by Amazon, and the handshake (STANDARDS F10)."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.errors import Unreachable
from jlgc_mailer.feedback.webhooks.sns import SnsSignature
from tests.feedback.webhooks.providers import (
    CERTIFICATE_URL,
    NOW,
    SUBSCRIBE_URL,
    TOPIC,
    Amazon,
    body_of,
    posted,
    ses_bounce,
)

KINDS = ["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]


@pytest.fixture(scope="module")
def keys() -> Amazon:
    return Amazon()


@pytest.fixture
def amazon(keys: Amazon) -> Amazon:
    """The keys are made once, as that takes time."""
    keys.fetched.clear()
    keys.answers = True
    return keys


@pytest.fixture
def guard(amazon: Amazon) -> SnsSignature:
    return SnsSignature(frozenset({TOPIC}), amazon.fetch)


def refusal(guard: SnsSignature, body: bytes) -> str:
    refused = guard.refusal(posted(body), NOW)
    assert refused is not None
    return refused.why


def changed(body: bytes, **changes: object) -> bytes:
    """The envelope with changes that are not signed."""
    return body_of(json.loads(body) | changes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", ["1", "2"])
def test_what_amazon_signed_is_genuine(guard: SnsSignature, amazon: Amazon, kind: str, version: str) -> None:
    """F10: SHA-1 and SHA-256, over the keys of each type in their order."""
    assert guard.refusal(posted(amazon.envelope(ses_bounce(), kind, version)), NOW) is None
    assert amazon.fetched == [CERTIFICATE_URL]


def test_a_subject_is_signed_when_there_is_one(guard: SnsSignature, amazon: Amazon) -> None:
    """F10."""
    body = amazon.envelope(ses_bounce(), Subject="Amazon SES Email Event 通知")
    assert guard.refusal(posted(body), NOW) is None
    assert "signature" in refusal(guard, changed(body, Subject="another"))
    assert "signature" in refusal(guard, changed(amazon.envelope(ses_bounce()), Subject="added"))


_SIGNED = ["Message", "MessageId", "Timestamp", "Type", "Signature"]
_ALSO_SIGNED = ["Token", "SubscribeURL"]  # in confirmations


@pytest.mark.parametrize(
    ("kind", "key"),
    [(kind, key) for kind in KINDS for key in _SIGNED + (_ALSO_SIGNED if kind != "Notification" else [])],
)
def test_an_altered_message_is_refused(guard: SnsSignature, amazon: Amazon, kind: str, key: str) -> None:
    """F10."""
    body = amazon.envelope(ses_bounce(), kind)
    others = {"Timestamp": "2026-06-01T08:59:59.123Z", "Type": KINDS[KINDS.index(kind) - 1], "Signature": "AAAA"}
    refusal(guard, changed(body, **{key: others.get(key, "another")}))
    refusal(guard, changed(body, **{key: None}))


def test_a_message_of_one_topic_is_none_of_another(amazon: Amazon) -> None:
    """F10."""
    guard = SnsSignature(frozenset({TOPIC, f"{TOPIC}2"}), amazon.fetch)
    assert "signature" in refusal(guard, changed(amazon.envelope(ses_bounce()), TopicArn=f"{TOPIC}2"))


def test_a_signature_of_somebody_else_is_refused(guard: SnsSignature) -> None:
    assert "signature" in refusal(guard, Amazon().envelope(ses_bounce()))


def test_a_signature_of_one_version_is_none_of_the_other(guard: SnsSignature, amazon: Amazon) -> None:
    body = amazon.envelope(ses_bounce(), version="2")
    assert "signature" in refusal(guard, changed(body, SignatureVersion="1"))
    assert "version" in refusal(guard, changed(body, SignatureVersion="3"))


@pytest.mark.parametrize("topic", [TOPIC + "2", TOPIC.replace("eu-west-2", "eu-west-1"), "", None, [TOPIC]])
def test_another_topic_is_refused_without_asking_amazon(guard: SnsSignature, amazon: Amazon, topic: Any) -> None:
    """F10: whoever has an account at Amazon can have anything signed."""
    body = changed(amazon.envelope(ses_bounce()), TopicArn=topic)
    assert "topic" in refusal(guard, body)
    assert amazon.fetched == []


@pytest.mark.parametrize(
    "url",
    [
        CERTIFICATE_URL.replace("https", "http"),
        CERTIFICATE_URL.replace("amazonaws.com", "amazonaws.com.evil.org"),
        CERTIFICATE_URL.replace("amazonaws.com", "evil.org"),
        CERTIFICATE_URL.replace("amazonaws.com", "amazonaws.com:8443"),
        CERTIFICATE_URL.replace("amazonaws.com", "amazonaws.com@evil.org"),
        CERTIFICATE_URL.replace("amazonaws.com", "amazonaws.com.cn.evil.org"),
        CERTIFICATE_URL.replace("https://", "https://evil.org@"),
        CERTIFICATE_URL.replace("https://", "https://user:password@"),
        CERTIFICATE_URL.replace("https://", "https://evil.org/"),
        CERTIFICATE_URL.replace("https://", "https://evil-"),
        CERTIFICATE_URL.replace("sns.eu-west-2.", "sns-eu-west-2."),
        CERTIFICATE_URL.replace("eu-west-2", "eu-west-1"),
        CERTIFICATE_URL.replace("eu-west-2", "zz-nowhere-7"),
        CERTIFICATE_URL.replace("sns.", "s3."),
        CERTIFICATE_URL.replace("sns.eu-west-2", "sns.evil.org/.eu-west-2"),
        CERTIFICATE_URL.replace("sns.eu-west-2", "sns.eu-west-2.evil"),
        CERTIFICATE_URL.replace("/Simple", "/evil/Simple"),
        CERTIFICATE_URL.replace("/Simple", "/../Simple"),
        CERTIFICATE_URL.replace("Simple", "Complicated"),
        CERTIFICATE_URL + "?x",
        CERTIFICATE_URL + "#x",
        CERTIFICATE_URL + "\n",
        CERTIFICATE_URL.removesuffix(".pem"),
        " " + CERTIFICATE_URL,
        "",
        None,
    ],
)
def test_a_foreign_certificate_is_not_even_fetched(guard: SnsSignature, amazon: Amazon, url: str | None) -> None:
    """F10: the signature itself is right."""
    body = amazon.envelope(ses_bounce(), SigningCertURL=url)
    assert "certificate" in refusal(guard, body)
    assert amazon.fetched == []


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("cn-north-1", "sns.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "sns.us-gov-west-1.amazonaws.com"),
    ],
)
def test_other_regions_of_amazon_are_known(amazon: Amazon, region: str, host: str) -> None:
    """F10: each by the certificate of its own, and confirmed there."""
    topic, url = TOPIC.replace("eu-west-2", region), CERTIFICATE_URL.replace("sns.eu-west-2.amazonaws.com", host)
    guard = SnsSignature(frozenset({TOPIC, topic}), amazon.fetch)
    subscribe = SUBSCRIBE_URL.replace("sns.eu-west-2.amazonaws.com", host).replace("eu-west-2", region)
    changes = {"TopicArn": topic, "SigningCertURL": url, "SubscribeURL": subscribe}
    post = posted(amazon.envelope("You have chosen", "SubscriptionConfirmation", **changes))
    assert guard.refusal(post, NOW) is None
    assert guard.afterwards(post) is None
    assert amazon.fetched == [url, subscribe]


@pytest.mark.parametrize(
    ("timestamp", "why"),
    [
        ("2026-06-01T07:49:00.000Z", "too old"),
        ("2026-05-01T08:59:58.123Z", "too old"),
        ("2026-06-01T09:06:00.000Z", "future"),
        ("2026-06-01T08:59:58", "cannot be read"),
        ("yesterday", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_stale_message_is_refused(guard: SnsSignature, amazon: Amazon, timestamp: str | None, why: str) -> None:
    """F10: SNS tries for an hour at most, with the timestamp of the first time."""
    assert why in refusal(guard, amazon.envelope(ses_bounce(), Timestamp=timestamp))
    assert guard.refusal(posted(amazon.envelope(ses_bounce(), Timestamp="2026-06-01T08:00:00.000Z")), NOW) is None


@pytest.mark.parametrize(("begins", "ends"), [(-2, -1), (1, 2)])
def test_a_certificate_that_is_not_valid_now_is_refused(begins: int, ends: int) -> None:
    """F10."""
    amazon = Amazon(NOW + timedelta(days=begins), NOW + timedelta(days=ends))
    guard = SnsSignature(frozenset({TOPIC}), amazon.fetch)
    assert "not valid now" in refusal(guard, amazon.envelope(ses_bounce()))


def test_what_is_no_certificate_is_refused(amazon: Amazon) -> None:
    guard = SnsSignature(frozenset({TOPIC}), lambda _url: b"<html>")
    assert "certificate" in refusal(guard, amazon.envelope(ses_bounce()))


def test_a_certificate_is_fetched_once(guard: SnsSignature, amazon: Amazon) -> None:
    for _ in range(3):
        assert guard.refusal(posted(amazon.envelope(ses_bounce())), NOW) is None
    assert amazon.fetched == [CERTIFICATE_URL]


def test_a_flood_of_certificates_does_not_fill_the_memory(guard: SnsSignature, amazon: Amazon) -> None:
    for number in range(50):
        url = CERTIFICATE_URL.replace("0123abcd", str(number))
        assert guard.refusal(posted(amazon.envelope(ses_bounce(), SigningCertURL=url)), NOW) is None
    assert len(guard._certificates) <= 20


def test_when_amazon_does_not_answer_nothing_is_decided(guard: SnsSignature, amazon: Amazon) -> None:
    """Promise 6: the post comes again."""
    amazon.answers = False
    with pytest.raises(Unreachable):
        guard.refusal(posted(amazon.envelope(ses_bounce())), NOW)


def test_while_amazon_is_silent_it_is_asked_once_a_minute(amazon: Amazon) -> None:
    """F10: strangers must not keep threads waiting, not even with a new address each time."""
    asked: list[str] = []

    def fetch(url: str) -> bytes | None:
        asked.append(url)
        return amazon.fetch(url)

    guard = SnsSignature(frozenset({TOPIC}), fetch)
    amazon.answers = False
    for second in (0, 1, 59, 60, 61):
        url = CERTIFICATE_URL.replace("0123abcd", str(second))
        with pytest.raises(Unreachable, match="it is silent"):
            guard.refusal(posted(amazon.envelope(ses_bounce(), SigningCertURL=url)), NOW + timedelta(seconds=second))
    assert [url.rpartition("-")[2] for url in asked] == ["0.pem", "60.pem"]
    amazon.answers = True
    assert guard.refusal(posted(amazon.envelope(ses_bounce())), NOW + timedelta(seconds=121)) is None


def test_the_silence_of_one_region_is_none_of_another(amazon: Amazon) -> None:
    topic = TOPIC.replace("eu-west-2", "us-east-1")
    guard = SnsSignature(frozenset({TOPIC, topic}), amazon.fetch)
    amazon.answers = False
    with pytest.raises(Unreachable):
        guard.refusal(posted(amazon.envelope(ses_bounce())), NOW)
    amazon.answers = True
    url = CERTIFICATE_URL.replace("eu-west-2", "us-east-1")
    post = posted(amazon.envelope(ses_bounce(), TopicArn=topic, SigningCertURL=url))
    assert guard.refusal(post, NOW) is None


def test_a_certificate_that_amazon_does_not_have_is_a_forgery(amazon: Amazon) -> None:
    """F10: it is no silence, and holds up nobody else."""
    guard = SnsSignature(frozenset({TOPIC}), lambda url: amazon.fetch(url) if url == CERTIFICATE_URL else None)
    forged = amazon.envelope(ses_bounce(), SigningCertURL=CERTIFICATE_URL.replace("0123abcd", "forged"))
    assert "certificate is none" in refusal(guard, forged)
    assert guard.refusal(posted(amazon.envelope(ses_bounce())), NOW) is None


def test_raw_delivery_is_refused_with_what_to_do(guard: SnsSignature) -> None:
    post = posted(body_of(ses_bounce()), {"x-amz-sns-rawdelivery": "true"})
    assert "turn off raw message delivery" in str(guard.refusal(post, NOW))


@given(
    st.binary(max_size=100)
    | st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=9), st.text(st.characters(codec="utf-8"), max_size=9)
    ).map(body_of)
)
def test_any_octets_are_refused(amazon: Amazon, body: bytes) -> None:
    """F8."""
    refusal(SnsSignature(frozenset({TOPIC}), amazon.fetch), body)


# --- the handshake --------------------------------------------------------------------------------------------------


def test_a_subscription_is_confirmed_afterwards(guard: SnsSignature, amazon: Amazon) -> None:
    """F10: SubscribeURL is visited only after verifying; refusing alone visits nothing."""
    post = posted(amazon.envelope("You have chosen to subscribe", "SubscriptionConfirmation"))
    assert guard.refusal(post, NOW) is None
    assert SUBSCRIBE_URL not in amazon.fetched
    assert guard.afterwards(post) is None
    assert amazon.fetched.count(SUBSCRIBE_URL) == 1


@pytest.mark.parametrize(
    "url",
    [
        SUBSCRIBE_URL.replace("https", "http"),
        SUBSCRIBE_URL.replace("amazonaws.com", "amazonaws.com.evil.org"),
        SUBSCRIBE_URL.replace("https://", "https://evil.org@"),
        SUBSCRIBE_URL.replace("sns.eu-west-2", "sns.eu-west-1"),
        SUBSCRIBE_URL.replace("/?", "/evil?"),
        SUBSCRIBE_URL.replace("/?", ":8080/?"),
        SUBSCRIBE_URL.replace("ConfirmSubscription", "Publish"),
        SUBSCRIBE_URL.replace("newsletter", "another"),
        SUBSCRIBE_URL + "&Action=Publish",
        SUBSCRIBE_URL + "\r\nHost: evil.org",
        "file:///etc/passwd",
        "",
    ],
)
def test_nothing_but_the_confirmation_at_amazon_is_visited(guard: SnsSignature, amazon: Amazon, url: str) -> None:
    """F10: even if it is signed."""
    post = posted(amazon.envelope("You have chosen", "SubscriptionConfirmation", SubscribeURL=url))
    assert "not confirmed" in str(guard.afterwards(post))
    assert amazon.fetched == []


def test_a_confirmation_that_amazon_does_not_take_is_told(amazon: Amazon) -> None:
    """As when its token is too old."""
    guard = SnsSignature(frozenset({TOPIC}), lambda _url: None)
    post = posted(amazon.envelope("You have chosen to subscribe", "SubscriptionConfirmation"))
    assert "request confirmation there again" in str(guard.afterwards(post))


def test_an_ended_subscription_is_told_and_not_taken_up_again(guard: SnsSignature, amazon: Amazon) -> None:
    post = posted(amazon.envelope("You have chosen to deactivate", "UnsubscribeConfirmation"))
    assert "ended the subscription" in str(guard.afterwards(post))
    assert amazon.fetched == []


def test_a_notification_has_no_sequel(guard: SnsSignature, amazon: Amazon) -> None:
    assert guard.afterwards(posted(amazon.envelope(ses_bounce()))) is None
    assert amazon.fetched == []
