"""A server that keeps mailboxes for others: where it is, and how we say who we are."""

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from jlgc_mailer.sending.transports.smtp.relay import Auth, Security

PATIENCE = 30  # seconds to connect, and for each reply; a worker stands still meanwhile


@dataclass(frozen=True)
class Server:
    """An account on a server. The password is asked for at each login, so that a token can be fresh."""

    host: str
    port: int
    security: Security
    user: str
    password: Callable[[], str] = field(repr=False)
    auth: Auth = Auth.AUTO
    ca_file: Path | None = None
    patience: float = PATIENCE

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def tls(self) -> ssl.SSLContext:
        """What its certificate is verified with."""
        return ssl.create_default_context(cafile=self.ca_file)

    def connect(self) -> socket.socket:
        """A connection, with TLS on it if it begins so."""
        plain = socket.create_connection((self.host, self.port), self.patience)
        if self.security is not Security.TLS:
            return plain
        return self.secured(plain)

    def secured(self, plain: socket.socket) -> socket.socket:
        """The same connection with TLS on it; closed when that fails."""
        try:
            return self.tls().wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise

    def sasl(self, mechanism: Auth) -> bytes:
        """What is said in PLAIN (RFC 4616) or XOAUTH2."""
        if mechanism is Auth.XOAUTH2:
            return f"user={self.user}\x01auth=Bearer {self.password()}\x01\x01".encode()
        return f"\0{self.user}\0{self.password()}".encode()


def words_of(error: Exception) -> str:
    """What went wrong, for people; never what we said."""
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
