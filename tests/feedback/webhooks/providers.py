"""The providers as they post: signed with keys of their own, made for each test run."""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from jlgc_mailer.errors import Unreachable
from jlgc_mailer.feedback.webhooks.posted import Posted

NOW = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
SECRET = "geheim, and long enough to be a key"
TOPIC = "arn:aws:sns:eu-west-2:123456789012:newsletter"
CERTIFICATE_URL = "https://sns.eu-west-2.amazonaws.com/SimpleNotificationService-0123abcd.pem"
SUBSCRIBE_URL = f"https://sns.eu-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37"
SENDER = "b+abcdefghijklmnop234567@bounce.example.org"


def seconds(at: datetime) -> str:
    return str(int(at.timestamp()))


def body_of(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


# --- Amazon SNS -----------------------------------------------------------------------------------------------------


@dataclass
class Amazon:
    """A certificate for signing, a place where it is fetched from, and what else was fetched there."""

    begins: datetime = NOW - timedelta(days=30)
    ends: datetime = NOW + timedelta(days=30)
    fetched: list[str] = field(default_factory=list)
    answers: bool = True

    @cached_property
    def key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(65537, 2048)

    @cached_property
    def certificate(self) -> bytes:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        made = x509.CertificateBuilder(name, name, self.key.public_key(), x509.random_serial_number())
        made = made.not_valid_before(self.begins).not_valid_after(self.ends)
        return made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def fetch(self, url: str) -> bytes:
        if not self.answers:
            raise Unreachable(service="provider", place="sns", problem="it is silent", remedy="Wait.")
        self.fetched.append(url)
        return self.certificate if url.endswith(".pem") else b"<ConfirmSubscriptionResponse/>"

    def envelope(self, message: object, kind: str = "Notification", version: str = "1", **changes: Any) -> bytes:
        """What SNS posts; a change of None takes a key out. It is signed after the changes."""
        envelope: dict[str, Any] = {
            "Type": kind,
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Message": message if isinstance(message, str) else json.dumps(message, ensure_ascii=False),
            "Timestamp": "2026-06-01T08:59:58.123Z",
            "SignatureVersion": version,
            "SigningCertURL": CERTIFICATE_URL,
        }
        if kind != "Notification":
            envelope |= {"Token": "2336412f37", "SubscribeURL": SUBSCRIBE_URL}
        envelope = {key: value for key, value in (envelope | changes).items() if value is not None}
        return body_of(envelope | {"Signature": self.sign(envelope)})

    def sign(self, envelope: Mapping[str, str]) -> str:
        """As the documentation of SNS says: names and values, each with a line end, in the order of the alphabet."""
        unsigned = {"Signature", "SignatureVersion", "SigningCertURL", "UnsubscribeURL"}
        text = "".join(f"{key}\n{envelope[key]}\n" for key in sorted(set(envelope) - unsigned))
        algorithm = hashes.SHA1() if envelope.get("SignatureVersion") == "1" else hashes.SHA256()
        return base64.b64encode(self.key.sign(text.encode(), padding.PKCS1v15(), algorithm)).decode()


def ses_bounce(kind: str = "Permanent", subtype: str = "NoEmail", **recipient: str) -> dict[str, Any]:
    """A notification of Amazon SES in the shape that its documentation shows, with the headers of our letter."""
    who = {"emailAddress": "reader@example.com", "action": "failed", "status": "5.1.1"}
    who["diagnosticCode"] = "smtp; 550 5.1.1 user unknown"
    return {
        "notificationType": "Bounce",
        "bounce": {
            "bounceType": kind,
            "bounceSubType": subtype,
            "bouncedRecipients": [who | recipient],
            "reportingMTA": "dsn; mx.example.com",
            "timestamp": "2026-06-01T08:59:50.000Z",
            "feedbackId": "010001-1",
        },
        "mail": {
            "source": SENDER,
            "messageId": "amazon-1",
            "destination": ["reader@example.com"],
            "headers": [{"name": "Message-ID", "value": "<token@news.example.org>"}, {"name": "Subject", "value": "x"}],
        },
    }


# --- the others -----------------------------------------------------------------------------------------------------


class SendGrid:
    """A key pair."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public_key(self) -> str:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return base64.b64encode(self.key.public_key().public_bytes(serialization.Encoding.DER, form)).decode()

    def headers(self, body: bytes, at: datetime = NOW) -> dict[str, str]:
        signature = self.key.sign(seconds(at).encode() + body, ec.ECDSA(hashes.SHA256()))
        return {
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": seconds(at),
        }


def sendgrid_event(**changes: str) -> dict[str, Any]:
    return {
        "email": "reader@example.com",
        "event": "bounce",
        "type": "bounce",
        "status": "5.1.1",
        "reason": "550 5.1.1 The email account that you tried to reach does not exist",
        "smtp-id": "<token@news.example.org>",
        "sg_event_id": "Ym91bmNlLTA",
        "timestamp": int(NOW.timestamp()),
    } | changes


def mailgun(event: Mapping[str, Any], at: datetime = NOW, token: str = "e0b5477167110d68", key: str = SECRET) -> bytes:
    """A post of Mailgun; the signature is over timestamp and token only."""
    signature = hmac.new(key.encode(), f"{seconds(at)}{token}".encode(), "sha256").hexdigest()
    return body_of(
        {"signature": {"timestamp": seconds(at), "token": token, "signature": signature}, "event-data": event}
    )


def mailgun_failure(**changes: Any) -> dict[str, Any]:
    return {
        "event": "failed",
        "severity": "permanent",
        "reason": "bounce",
        "id": "G9Bn5sl1TC6nu79C8C0bwg",
        "recipient": "reader@example.com",
        "delivery-status": {
            "code": 550,
            "enhanced-code": "5.1.1",
            "mx-host": "mx.example.com",
            "message": "5.1.1 <reader@example.com>: Recipient address rejected: User unknown",
        },
        "envelope": {"sender": SENDER, "targets": "reader@example.com"},
        "message": {"headers": {"message-id": "token@news.example.org"}},
    } | changes


def postmark_bounce(**changes: Any) -> dict[str, Any]:
    return {
        "RecordType": "Bounce",
        "ID": 4323372036854775807,
        "Type": "HardBounce",
        "TypeCode": 1,
        "Description": "The server was unable to deliver your message (ex: unknown user, mailbox not found).",
        "Details": "smtp;550 5.1.1 The email account does not exist",
        "Email": "reader@example.com",
        "Content": f"Return-Path: <{SENDER}>\r\nMessage-ID: <token@news.example.org>\r\n\r\nDear reader",
    } | changes


def brevo_event(**changes: Any) -> dict[str, Any]:
    return {
        "event": "hard_bounce",
        "email": "reader@example.com",
        "id": 26224,
        "ts_event": 1604933654,
        "message-id": "<token@news.example.org>",
        "reason": "550 5.1.1 user unknown",
    } | changes


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def generic_headers(body: bytes, at: datetime = NOW, key: str = SECRET) -> dict[str, str]:
    signature = hmac.new(key.encode(), seconds(at).encode() + b"." + body, "sha256").hexdigest()
    return {"X-Signature": f"t={seconds(at)},v1={signature}"}


def posted(body: bytes, headers: Mapping[str, str] | None = None) -> Posted:
    return Posted({key.lower(): value for key, value in (headers or {}).items()}, body)
