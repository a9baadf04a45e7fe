"""The webhooks that providers post to: [webhooks.NAME] of `feedback.toml`, as docs/webhooks.md explains."""

import base64
import binascii
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import BeforeValidator, Field, SecretStr, StringConstraints, ValidationInfo, field_validator

from jlgc_mailer.feedback.webhooks.fetching import fetch as fetch_over_https
from jlgc_mailer.feedback.webhooks.guards import Credentials, GenericSignature, MailgunSignature, SendGridSignature
from jlgc_mailer.feedback.webhooks.posted import Guard, Webhook
from jlgc_mailer.feedback.webhooks.sns import SnsSignature
from jlgc_mailer.settings import passwords
from jlgc_mailer.settings.environment import Settings
from jlgc_mailer.settings.feedback_file import FeedbackTable, place_of, read_feedback_tables
from jlgc_mailer.settings.tables import File
from jlgc_mailer.states import ReportForm

_Topic = Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$")]
_User = Annotated[str, StringConstraints(pattern=r"^[^:\x00-\x1f\x7f]*$")]


def _public_key(key: object) -> object:
    try:
        loaded = load_der_public_key(base64.b64decode(str(key), validate=True))
    except (ValueError, binascii.Error):
        loaded = None
    if not isinstance(loaded, ec.EllipticCurvePublicKey) or not isinstance(loaded.curve, ec.SECP256R1):
        raise ValueError("it is no verification key as SendGrid shows it, one line that begins with MFkw")  # noqa: TRY004  (pydantic reports ValueError)
    return loaded


class SesTable(FeedbackTable):
    """`kind = "ses"`."""

    topics: tuple[_Topic, ...] = Field(min_length=1)


class SendGridTable(FeedbackTable):
    """`kind = "sendgrid"`."""

    public_key: Annotated[ec.EllipticCurvePublicKey, BeforeValidator(_public_key)]


class SecretTable(FeedbackTable):
    """What the other kinds have: a secret, in place or wherever it is kept."""

    secret: SecretStr = SecretStr("")
    secret_file: File | None = None
    secret_command: str = Field(default="", validate_default=True)

    @field_validator("secret_command")
    @classmethod
    def _with_one_secret(cls, command: str, others: ValidationInfo) -> str:
        given = (others.data.get("secret"), others.data.get("secret_file"), command)
        if sum(map(bool, given)) != 1:
            raise ValueError("it needs one of secret, secret_file and secret_command")
        return command


class MailgunTable(SecretTable):
    """`kind = "mailgun"`: the secret is the HTTP webhook signing key."""


class PostmarkTable(SecretTable):
    """`kind = "postmark"`: the secret is the password of `user`."""

    user: _User = Field(min_length=1)


class BrevoTable(SecretTable):
    """`kind = "brevo"`: the secret is the password of `user`, or without one a bearer token."""

    user: _User = ""


class GenericTable(SecretTable):
    """`kind = "generic"`: the secret is the key of the signature."""


_KINDS: Mapping[str, type[FeedbackTable]] = {
    ReportForm.SES: SesTable,
    ReportForm.SENDGRID: SendGridTable,
    ReportForm.MAILGUN: MailgunTable,
    ReportForm.POSTMARK: PostmarkTable,
    ReportForm.BREVO: BrevoTable,
    ReportForm.GENERIC: GenericTable,
}


def read_webhooks(settings: Settings, fetch: Callable[[str], bytes | None] = fetch_over_https) -> Mapping[str, Webhook]:
    """The webhooks of the installation by name; raises InvalidFile, which names the file, the table and the key."""
    tables = read_feedback_tables(settings.home, "webhooks", _KINDS)
    forms = {kind: ReportForm(form) for form, kind in _KINDS.items()}
    return {
        name: Webhook(name, forms[type(table)], _guard(name, table, settings.home, fetch))
        for name, table in tables.items()
    }


def _guard(name: str, table: FeedbackTable, home: Path, fetch: Callable[[str], bytes | None]) -> Guard:
    match table:
        case SesTable():
            return SnsSignature(frozenset(table.topics), fetch)
        case SendGridTable():
            return SendGridSignature(table.public_key)
        case MailgunTable():
            return MailgunSignature(_secret(name, table, home))
        case PostmarkTable() | BrevoTable():
            return Credentials(table.user, _secret(name, table, home))
        case GenericTable():
            return GenericSignature(_secret(name, table, home))
    raise TypeError(table)


def _secret(name: str, table: SecretTable, home: Path) -> Callable[[], str]:
    """A command is run once: anybody can post, and must not be able to have us run it again and again."""
    if table.secret_command:
        place = place_of(home, "webhooks", name, "secret_command")
        return cache(passwords.from_command(table.secret_command, place, home))
    if table.secret_file:
        return passwords.from_file(table.secret_file, place_of(home, "webhooks", name, "secret_file"))
    return passwords.known(table.secret.get_secret_value())
