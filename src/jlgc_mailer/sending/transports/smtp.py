"""SMTP to a relay, over one connection that is reused for all letters of a batch."""

import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jlgc_mailer.mail.replies import Reply, read_reply
from jlgc_mailer.sending.letters import Letter
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.sending.transports import TransportTrouble
from jlgc_mailer.states import DeliveryStatus, Stage


class Security(StrEnum):
    """How the connection is protected (STANDARDS S8)."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True)
class Relay:
    """Where the mail goes, and how. `timeout` in seconds bounds every wait for a reply (RFC 5321 4.5.3.2)."""

    host: str
    port: int
    security: Security
    user: str
    password: str
    ehlo_name: str | None
    timeout: float
    messages_per_connection: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class SmtpTransport:
    """One connection at a time, opened when first needed and again after trouble or `messages_per_connection`."""

    def __init__(self, relay: Relay, clock: Callable[[], datetime]) -> None:
        self.name = f"smtp {relay}"
        self._relay = relay
        self._clock = clock
        self._connection: smtplib.SMTP | None = None
        self._sent = 0

    def send(self, letter: Letter) -> Outcome:
        """One transaction: MAIL, RCPT, DATA, content."""
        connection = self._ready()
        self._sent += 1
        with self._charged_to_us(Stage.MAIL):
            reply = _command(connection, f"MAIL FROM:<{letter.envelope_sender}>")
            if not reply.is_positive:
                return self._refused_sender(reply)
        with self._charged_to_us(Stage.RCPT):
            reply = _command(connection, f"RCPT TO:<{letter.address}>")
            if not reply.is_positive:
                return self._failed(Stage.RCPT, reply)
            reply = _command(connection, "DATA")
            if reply.code != 354:
                return self._failed(Stage.DATA, reply)
            connection.send(_dot_stuffed(letter.content))
        return self._after_content(connection)

    def close(self) -> None:
        """QUIT, and close in any case."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError, smtplib.SMTPException):
                connection.quit()
            connection.close()

    def _ready(self) -> smtplib.SMTP:
        if self._connection is not None and self._sent >= self._relay.messages_per_connection:
            self.close()
        if self._connection is None:
            self._connection = self._connect()
            self._sent = 0
        return self._connection

    def _connect(self) -> smtplib.SMTP:
        relay = self._relay
        with self._charged_to_us(Stage.CONNECT):
            connection = _dial(relay)
        try:
            with self._charged_to_us(Stage.EHLO):
                connection.ehlo_or_helo_if_needed()
            if relay.security is Security.STARTTLS:
                with self._charged_to_us(Stage.TLS):
                    connection.starttls(context=ssl.create_default_context())
                    connection.ehlo()
            if relay.user:
                with self._charged_to_us(Stage.AUTH):
                    connection.login(relay.user, relay.password)
        except TransportTrouble:
            connection.close()
            raise
        return connection

    def _refused_sender(self, reply: Reply) -> Outcome:
        """Whatever a server says to MAIL FROM is about us, not about the recipient (S3)."""
        self.close()
        raise TransportTrouble(place=self._relay, stage=Stage.MAIL, problem=str(reply))

    def _failed(self, stage: Stage, reply: Reply) -> Outcome:
        """A refusal of this recipient or message; 421, the server's farewell, and nonsense charge nobody (S3)."""
        if reply.code == 421 or not reply.is_failure:
            self.close()
            raise TransportTrouble(place=self._relay, stage=stage, problem=str(reply))
        self._reset()
        status = DeliveryStatus.DEFERRED if reply.is_transient else DeliveryStatus.REFUSED
        return Outcome(status, stage, reply, self._clock())

    def _reset(self) -> None:
        """RSET after a failed transaction (S5); a connection lost here changes nothing about the reply before it."""
        try:
            if self._connection is not None:
                _command(self._connection, "RSET")
        except (OSError, smtplib.SMTPException):
            self.close()

    def _after_content(self, connection: smtplib.SMTP) -> Outcome:
        """The final dot is out: without a reply to it, nobody can know (RFC 1047, S4)."""
        try:
            reply = read_reply(*_decoded(connection.getreply()))
        except (OSError, smtplib.SMTPException):
            self.close()
            return Outcome(DeliveryStatus.UNCERTAIN, Stage.CONTENT, None, self._clock())
        if reply.is_positive:
            return Outcome(DeliveryStatus.ACCEPTED, Stage.CONTENT, reply, self._clock())
        if not reply.is_failure:
            self.close()
            return Outcome(DeliveryStatus.UNCERTAIN, Stage.CONTENT, reply, self._clock())
        return self._failed(Stage.CONTENT, reply)

    @contextmanager
    def _charged_to_us(self, stage: Stage) -> Iterator[None]:
        """Losing the connection here is nobody's fault but the way's: nothing was accepted yet."""
        try:
            yield
        except (OSError, smtplib.SMTPException, ValueError) as error:  # ValueError: a name that cannot be encoded
            self.close()
            raise TransportTrouble(place=self._relay, stage=stage, problem=_sentence(error)) from error


def _dial(relay: Relay) -> smtplib.SMTP:
    if relay.security is Security.TLS:
        return smtplib.SMTP_SSL(
            relay.host, relay.port, relay.ehlo_name, timeout=relay.timeout, context=ssl.create_default_context()
        )
    return smtplib.SMTP(relay.host, relay.port, relay.ehlo_name, timeout=relay.timeout)


def _command(connection: smtplib.SMTP, line: str) -> Reply:
    connection.putcmd(line)
    return read_reply(*_decoded(connection.getreply()))


def _decoded(reply: tuple[int, bytes]) -> tuple[int, str]:
    return reply[0], reply[1].decode("utf-8", "replace")


def _dot_stuffed(content: bytes) -> bytes:
    """The message with its final dot (RFC 5321 4.5.2); lines of ours never begin with a dot, but a header's might."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    return (b"." + stuffed if stuffed.startswith(b".") else stuffed) + b".\r\n"


def _sentence(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return f"{error.smtp_code} {text}"
    return str(error) or type(error).__name__
