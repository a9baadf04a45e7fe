"""Amazon SNS: is a post from a topic of ours, and the handshake when we subscribe to it (STANDARDS F10)."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from jlgc_mailer.errors import Unreachable
from jlgc_mailer.feedback.webhooks import documents
from jlgc_mailer.feedback.webhooks.documents import inside, text
from jlgc_mailer.feedback.webhooks.posted import Guard, Posted, Refusal, staleness

# "The total policy retry time for an HTTP/S endpoint cannot be greater than 3,600 seconds"; the timestamp stays.
_TRIES = timedelta(minutes=70)
_AT_AMAZON = re.compile(r"https://sns\.([a-z0-9-]{1,40})\.amazonaws\.com(?:\.cn)?/([!-~]{1,2000})")
_CERTIFICATE = re.compile(r"SimpleNotificationService-[A-Za-z0-9]{1,64}\.pem")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
# The keys that are signed, in this order, by Type; a key that is not there is left out (only Subject may be).
_SIGNED: Mapping[str, tuple[str, ...]] = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
# SHA-1 is what topics use until their owner chooses version 2.
_HASHES: Mapping[str, Callable[[], hashes.HashAlgorithm]] = {"1": hashes.SHA1, "2": hashes.SHA256}
_MOST_CERTIFICATES = 20
_REMEMBERED = timedelta(minutes=1)  # that Amazon cannot be reached: each try may hold up a thread for ten seconds
_ENDED = "Amazon SNS ended the subscription of a topic: subscribe this webhook to it again, or take the topic out"


@dataclass(frozen=True)
class SnsSignature(Guard):
    """RSA by a certificate of Amazon SNS, over messages of the topics that we named.

    `fetch` gets what is at an https address, None when nothing is; it raises Unreachable.
    """

    topics: frozenset[str]
    fetch: Callable[[str], bytes | None]
    _certificates: dict[str, x509.Certificate] = field(default_factory=dict, repr=False)
    _silences: dict[str, tuple[datetime, Unreachable]] = field(default_factory=dict, repr=False)  # by region

    def refusal(self, posted: Posted, now: datetime) -> Refusal | None:
        """Why the post is not genuine; None when it is. What needs no network is asked first."""
        envelope = documents.parse(posted.body)
        if posted.header("x-amz-sns-rawdelivery") == "true":
            return Refusal("it is not signed: turn off raw message delivery of the subscription")
        topic = text(envelope, "TopicArn")
        if topic not in self.topics:
            return Refusal("its topic is not among those of the configuration")
        if not _CERTIFICATE.fullmatch(_asked_for(_exact(envelope, "SigningCertURL"), topic)):
            return Refusal("its certificate is not at an address of Amazon SNS in the region of the topic")
        return staleness(_timestamp(envelope), now, _TRIES) or self._signature(envelope, now)

    def afterwards(self, posted: Posted) -> str | None:
        """Confirm a subscription; tell of one that ended."""
        envelope = documents.parse(posted.body)
        kind, url = text(envelope, "Type"), _exact(envelope, "SubscribeURL")
        if kind == "UnsubscribeConfirmation":
            return _ENDED
        if kind == "SubscriptionConfirmation":
            if not _confirms(url, text(envelope, "TopicArn")):
                return "a subscription was not confirmed: its address is not one of Amazon SNS"
            if self.fetch(url) is None:
                return "a subscription was not confirmed: Amazon SNS did not take it; request confirmation there again"
        return None

    def _signature(self, envelope: object, now: datetime) -> Refusal | None:
        keys = _SIGNED.get(text(envelope, "Type"))
        algorithm = _HASHES.get(text(envelope, "SignatureVersion"))
        if keys is None or algorithm is None:
            return Refusal("its type or signature version is not known")
        certificate = self._certificate(_exact(envelope, "SigningCertURL"), _region(text(envelope, "TopicArn")), now)
        if certificate is None or not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return Refusal("its certificate is none, or not valid now")
        key = certificate.public_key()
        try:
            signature = base64.b64decode(_exact(envelope, "Signature"), validate=True)
            if isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, _signed(envelope, keys), padding.PKCS1v15(), algorithm())
                return None
        except (InvalidSignature, binascii.Error, ValueError):
            pass
        return Refusal("its signature does not fit: somebody changed the post")

    def _certificate(self, url: str, region: str, now: datetime) -> x509.Certificate | None:
        if url not in self._certificates:
            try:
                certificate = x509.load_pem_x509_certificate(self._fetch(url, region, now) or b"")
            except ValueError:
                return None
            if len(self._certificates) >= _MOST_CERTIFICATES:
                self._certificates.clear()
            self._certificates[url] = certificate
        return self._certificates[url]

    def _fetch(self, url: str, region: str, now: datetime) -> bytes | None:
        """Whoever knows a topic can make us ask Amazon for certificates; while it is silent we do not ask again."""
        silence = self._silences.get(region)
        if silence and abs(now - silence[0]) < _REMEMBERED:
            raise Unreachable(**silence[1].fields)
        try:
            return self.fetch(url)
        except Unreachable as error:
            self._silences[region] = now, error
            raise


def _signed(envelope: object, keys: tuple[str, ...]) -> bytes:
    present = [key for key in keys if key != "Subject" or isinstance(inside(envelope, key), str)]
    return "".join(f"{key}\n{_exact(envelope, key)}\n" for key in present).encode("utf-8", "surrogatepass")


def _exact(envelope: object, key: str) -> str:
    found = inside(envelope, key)
    return found if isinstance(found, str) else ""


def _timestamp(envelope: object) -> datetime | None:
    try:
        sent_at = datetime.fromisoformat(_exact(envelope, "Timestamp"))
    except ValueError:
        return None
    return sent_at if sent_at.tzinfo else None


def _confirms(url: str, topic: str) -> bool:
    """Whether the address does nothing but confirm the subscription of this topic."""
    path, _, query = _asked_for(url, topic).partition("?")
    asked = parse_qs(query)
    return not path and asked.get("Action") == ["ConfirmSubscription"] and asked.get("TopicArn") == [topic]


def _asked_for(url: str, topic: str) -> str:
    """What the address asks Amazon SNS for, in the region of the topic; nothing if it is an address of another."""
    found = _AT_AMAZON.fullmatch(url)
    return found[2] if found and found[1] == _region(topic) else ""


def _region(topic: str) -> str:
    """`arn:aws:sns:REGION:ACCOUNT:NAME`."""
    return topic.split(":")[3]
