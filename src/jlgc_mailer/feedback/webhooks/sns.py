"""Amazon SNS: is a post from a topic of ours, and the handshake when we subscribe to it (STANDARDS F10)."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from jlgc_mailer.feedback.webhooks import documents
from jlgc_mailer.feedback.webhooks.documents import inside, text
from jlgc_mailer.feedback.webhooks.posted import Guard, Posted, staleness

# "The total policy retry time for an HTTP/S endpoint cannot be greater than 3,600 seconds"; the timestamp stays.
_TRIES = timedelta(minutes=70)
_HOST = r"https://sns\.[a-z]{2}[a-z0-9-]{3,30}\.amazonaws\.com(\.cn)?"
_CERTIFICATE_URL = re.compile(_HOST + r"/SimpleNotificationService-[A-Za-z0-9]{1,64}\.pem")
_SUBSCRIBE_URL = re.compile(_HOST + r"/\?[!-~]{1,2000}")
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
_ENDED = "Amazon SNS ended the subscription of a topic: subscribe this webhook to it again, or take the topic out"


@dataclass(frozen=True)
class SnsSignature(Guard):
    """RSA by a certificate of Amazon SNS, over messages of the topics that we named. `fetch` gets an https address."""

    topics: frozenset[str]
    fetch: Callable[[str], bytes]
    _certificates: dict[str, x509.Certificate] = field(default_factory=dict, repr=False)

    def refusal(self, posted: Posted, now: datetime) -> str | None:
        """Why the post is not genuine; None when it is. What needs no network is asked first."""
        envelope = documents.parse(posted.body)
        if posted.header("x-amz-sns-rawdelivery") == "true":
            return "it is not signed: turn off raw message delivery of the subscription"
        if text(envelope, "TopicArn") not in self.topics:
            return "its topic is not among those of the configuration"
        if not _CERTIFICATE_URL.fullmatch(_exact(envelope, "SigningCertURL")):
            return "its certificate is not at an address of Amazon SNS"
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
            self.fetch(url)
        return None

    def _signature(self, envelope: object, now: datetime) -> str | None:
        keys = _SIGNED.get(text(envelope, "Type"))
        algorithm = _HASHES.get(text(envelope, "SignatureVersion"))
        if keys is None or algorithm is None:
            return "its type or signature version is not known"
        certificate = self._certificate(_exact(envelope, "SigningCertURL"))
        if certificate is None or not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return "its certificate is none, or not valid now"
        key = certificate.public_key()
        try:
            signature = base64.b64decode(_exact(envelope, "Signature"), validate=True)
            if isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, _signed(envelope, keys), padding.PKCS1v15(), algorithm())
                return None
        except (InvalidSignature, binascii.Error, ValueError):
            pass
        return "its signature does not fit: somebody changed the post"

    def _certificate(self, url: str) -> x509.Certificate | None:
        if url not in self._certificates:
            try:
                certificate = x509.load_pem_x509_certificate(self.fetch(url))
            except ValueError:
                return None
            if len(self._certificates) >= _MOST_CERTIFICATES:
                self._certificates.clear()
            self._certificates[url] = certificate
        return self._certificates[url]


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
    if not _SUBSCRIBE_URL.fullmatch(url):
        return False
    query = parse_qs(urlsplit(url).query)
    return query.get("Action") == ["ConfirmSubscription"] and query.get("TopicArn") == [topic]
