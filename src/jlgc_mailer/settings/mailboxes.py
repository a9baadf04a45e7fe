"""The mailboxes that feedback is collected from: [mailboxes.NAME] of `feedback.toml`, as docs/feedback.md explains."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints, ValidationInfo, field_validator

from jlgc_mailer.feedback.mailboxes import Mailbox
from jlgc_mailer.feedback.mailboxes.imap import ImapMailbox
from jlgc_mailer.feedback.mailboxes.maildir import Maildir
from jlgc_mailer.feedback.mailboxes.mbox import Mbox
from jlgc_mailer.feedback.mailboxes.pop3 import Pop3Mailbox
from jlgc_mailer.feedback.mailboxes.server import Server
from jlgc_mailer.sending.transports.smtp.relay import Auth, Security
from jlgc_mailer.settings import passwords
from jlgc_mailer.settings.environment import Settings
from jlgc_mailer.settings.feedback_file import FeedbackTable, place_of, read_feedback_tables
from jlgc_mailer.settings.tables import Count, File

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_IMAP_PORTS = {Security.NONE: 143, Security.STARTTLS: 143, Security.TLS: 993}
_POP3_PORTS = {Security.NONE: 110, Security.STARTTLS: 110, Security.TLS: 995}
_After = Annotated[str, StringConstraints(pattern=r"^(?:delete|keep|move:.+)$")]


class _MailboxTable(FeedbackTable):
    every: Annotated[Count, Field(ge=5)] = 60  # seconds; beat looks every five

    @property
    def interval(self) -> timedelta:
        return timedelta(seconds=self.every)


class _ServerTable(_MailboxTable):
    host: str = Field(min_length=1)
    security: Security = Security.TLS
    port: Annotated[Count, Field(le=65535)] | None = None
    password: SecretStr = SecretStr("")
    password_file: File | None = None
    password_command: str = ""
    user: str = Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")
    auth: Auth = Auth.AUTO
    ca_file: File | None = None

    @field_validator("user")
    @classmethod
    def _with_one_password(cls, user: str, others: ValidationInfo) -> str:
        given = [others.data.get(key) for key in ("password", "password_file", "password_command")]
        if sum(map(bool, given)) != 1:
            raise ValueError("it needs one of password, password_file and password_command")
        if others.data.get("security") is Security.NONE and others.data.get("host") not in _LOOPBACK:
            raise ValueError("its password would go in clear; set security to tls or starttls")
        return user


class ImapTable(_ServerTable):
    """`kind = "imap"`."""

    folder: str = Field(default="INBOX", min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")
    after: _After = "delete"


class Pop3Table(_ServerTable):
    """`kind = "pop3"`. It has no folders and no memory of what was seen, so what is stored is deleted."""


class MaildirTable(_MailboxTable):
    """`kind = "maildir"`."""

    path: Path
    after: Literal["delete", "keep"] = "delete"


class MboxTable(_MailboxTable):
    """`kind = "mbox"`. What is stored is cut out of the file."""

    path: Path


_KINDS: dict[str, type[_MailboxTable]] = {
    "imap": ImapTable,
    "pop3": Pop3Table,
    "maildir": MaildirTable,
    "mbox": MboxTable,
}


def read_mailboxes(settings: Settings) -> tuple[Mailbox, ...]:
    """The mailboxes of the installation; raises InvalidFile, which names the file, the table and the key."""
    tables = read_feedback_tables(settings.home, "mailboxes", _KINDS)
    return tuple(_mailbox(name, table, settings.home) for name, table in tables.items())


def _mailbox(name: str, table: _MailboxTable, home: Path) -> Mailbox:
    match table:
        case ImapTable():
            return ImapMailbox(name, table.interval, _server(name, table, _IMAP_PORTS, home), table.folder, table.after)
        case Pop3Table():
            return Pop3Mailbox(name, table.interval, _server(name, table, _POP3_PORTS, home))
        case MaildirTable():
            return Maildir(name, table.interval, home / table.path.expanduser(), keeps=table.after == "keep")
        case MboxTable():
            return Mbox(name, table.interval, home / table.path.expanduser())
    raise TypeError(table)


def _server(name: str, table: _ServerTable, ports: dict[Security, int], home: Path) -> Server:
    return Server(
        host=table.host,
        port=table.port or ports[table.security],
        security=table.security,
        user=table.user,
        password=_password(name, table, home),
        auth=table.auth,
        ca_file=table.ca_file,
    )


def _password(name: str, table: _ServerTable, home: Path) -> Callable[[], str]:
    if table.password_command:
        return passwords.from_command(
            table.password_command, place_of(home, "mailboxes", name, "password_command"), home
        )
    if table.password_file:
        return passwords.from_file(table.password_file, place_of(home, "mailboxes", name, "password_file"))
    return passwords.known(table.password.get_secret_value())
