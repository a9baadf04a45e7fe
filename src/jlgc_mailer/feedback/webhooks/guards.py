"""The guards that need nothing but what was posted and a secret (STANDARDS F10). All comparisons take constant time."""

import base64
import binascii
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from jlgc_mailer.feedback.webhooks import documents
from jlgc_mailer.feedback.webhooks.posted import Guard, Posted, Refusal, moment, staleness

# As long as each provider tries again, so that nothing is lost while we cannot be reached. A copy that comes within
# this time changes nothing: the same body is stored once (and of Mailgun, a token brings one body).
_SENDGRID_TRIES = timedelta(hours=25)  # "up to 24 hours"
MAILGUN_TRIES = timedelta(hours=9)  # "during 8 hours"
_GENERIC_TRIES = timedelta(minutes=5)  # each try is signed anew
_NO_ID = "each event needs an event_id, which no other event has"
_WRONG = Refusal("its signature does not fit: the key is another's, or somebody changed the post")


@dataclass(frozen=True)
class Credentials(Guard):
    """Postmark and Brevo: a user and password (RFC 7617), or without a user a bearer token (RFC 6750)."""

    user: str
    secret: Callable[[], str]

    def refusal(self, posted: Posted, now: datetime) -> Refusal | None:
        """Why the post is not genuine; None when it is."""
        scheme, _, given = posted.header("authorization").partition(" ")
        wanted = self.secret()
        if self.user:
            wanted = base64.b64encode(f"{self.user}:{wanted}".encode()).decode()
        if scheme.lower() != ("basic" if self.user else "bearer"):
            why = "it brings no user and password" if self.user else "it brings no token"
            return Refusal(why, HTTPStatus.UNAUTHORIZED)
        is_right = _same(given.strip(), wanted)
        return None if is_right else Refusal("its user, password or token is wrong", HTTPStatus.UNAUTHORIZED)


@dataclass(frozen=True)
class SendGridSignature(Guard):
    """ECDSA with P-256 and SHA-256 over timestamp and body."""

    public_key: ec.EllipticCurvePublicKey

    def refusal(self, posted: Posted, now: datetime) -> Refusal | None:
        """Why the post is not genuine; None when it is."""
        timestamp = posted.header("x-twilio-email-event-webhook-timestamp")
        try:
            signature = base64.b64decode(posted.header("x-twilio-email-event-webhook-signature"), validate=True)
            signed = timestamp.encode("utf-8", "replace") + posted.body
            self.public_key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, binascii.Error, ValueError):
            return _WRONG
        return staleness(moment(timestamp), now, _SENDGRID_TRIES)


@dataclass(frozen=True)
class MailgunSignature(Guard):
    """HMAC-SHA256 over timestamp and token. It does not cover the rest of the body: hence `once`."""

    secret: Callable[[], str]

    def refusal(self, posted: Posted, now: datetime) -> Refusal | None:
        """Why the post is not genuine; None when it is."""
        document = documents.parse(posted.body)
        timestamp, token, given = (
            documents.text(document, "signature", key) for key in ("timestamp", "token", "signature")
        )
        if not token or not _same(given, _hmac(self.secret(), f"{timestamp}{token}".encode())):
            return _WRONG
        return staleness(moment(timestamp), now, MAILGUN_TRIES)

    def once(self, posted: Posted) -> str | None:
        """The token."""
        return documents.text(documents.parse(posted.body), "signature", "token")


@dataclass(frozen=True)
class GenericSignature(Guard):
    """`X-Signature: t=SECONDS,v1=HEX`: HMAC-SHA256 over `SECONDS.body`."""

    secret: Callable[[], str]

    def refusal(self, posted: Posted, now: datetime) -> Refusal | None:
        """Why the post is not genuine; None when it is."""
        parts = dict(part.strip().partition("=")[::2] for part in posted.header("x-signature").split(","))
        timestamp = parts.get("t", "")
        signed = timestamp.encode("utf-8", "replace") + b"." + posted.body
        if not _same(parts.get("v1", ""), _hmac(self.secret(), signed)):
            return _WRONG
        return staleness(moment(timestamp), now, _GENERIC_TRIES)

    def fault(self, posted: Posted) -> str | None:
        """Without an id, the same words about the next letter would be the same event."""
        events = documents.listed({"events": documents.parse(posted.body)}, "events")
        return None if all(documents.text(each, "event_id") for each in events) else _NO_ID


def _hmac(secret: str, signed: bytes) -> str:
    return hmac.digest(secret.encode(), signed, "sha256").hex()


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
