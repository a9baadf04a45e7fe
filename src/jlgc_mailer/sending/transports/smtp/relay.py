"""Where the mail goes, and how: the values that describe a relay."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from jlgc_mailer.errors import InvalidInput

_DOMAIN_OR_LITERAL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[A-Za-z0-9.:]+\]")


class Security(StrEnum):
    """How the connection is protected (STANDARDS S8)."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


class Auth(StrEnum):
    """How we say who we are (RFC 4954). `auto` is PLAIN or else LOGIN, as the relay offers."""

    AUTO = "auto"
    PLAIN = "plain"
    LOGIN = "login"
    XOAUTH2 = "xoauth2"


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait at each stage; the defaults are those of RFC 5321 4.5.3.2 (STANDARDS S1)."""

    connect: float = 300
    command: float = 300
    data: float = 120
    block: float = 180
    final: float = 600
    quit: float = 5


def _no_password() -> str:
    return ""


@dataclass(frozen=True)
class Relay:
    """A relay and how to use it. The password is asked for when it is needed, so that a token can be fresh.

    `connections` and `messages_per_connection` are limits for this process; `connection_age` is in seconds (S5).
    """

    name: str
    host: str
    port: int
    security: Security = Security.STARTTLS
    user: str = ""
    password: Callable[[], str] = field(default=_no_password, repr=False)
    auth: Auth = Auth.AUTO
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    ehlo_name: str | None = None
    timeouts: Timeouts = Timeouts()
    messages_per_connection: int = 1000
    connections: int = 10
    connection_age: float = 600

    def __post_init__(self) -> None:
        if self.ehlo_name is not None and not is_ehlo_name(self.ehlo_name):
            raise InvalidInput(what="EHLO name", value=self.ehlo_name, problem="a host name or [address] is needed")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def is_ehlo_name(name: str) -> bool:
    """Whether a name can stand after EHLO as it is (RFC 5321 4.1.1.1; STANDARDS S11)."""
    return len(name) <= 255 and _DOMAIN_OR_LITERAL.fullmatch(name) is not None
