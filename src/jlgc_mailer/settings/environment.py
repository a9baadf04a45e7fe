"""One frozen Settings, read from the environment and from `settings.env` in the home folder.

Variables of the environment win. What is missing or wrong is named with its variable.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from jlgc_mailer.errors import InvalidInput, SettingError
from jlgc_mailer.mail.address import Address, parse_address
from jlgc_mailer.mail.tokens import Keyring
from jlgc_mailer.sending.transports.smtp.relay import Auth, Security, is_ehlo_name

PREFIX = "JLGC_MAILER_"
FILE_NAME = "settings.env"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Settings(BaseSettings):
    """Everything that differs between installations."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Path = Field(description="folder of the database and of settings.env")
    database_url: str = Field(
        default="", repr=False, description="sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME"
    )
    broker_url: str = Field(
        default="memory://", repr=False, description="memory:// for one process, redis://HOST:PORT/N for many"
    )
    secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        description="signs links and envelopes; new keys first, separated by commas, old ones kept for reading"
    )
    public_url: str = Field(default="http://127.0.0.1:8025", description="where readers reach the web pages")
    console_password: SecretStr = Field(default=SecretStr(""), description="opens the pages of sends")

    organisation_en: str = "Our organisation"
    organisation_ja: str = "わたしたちの団体"
    postal_address: str = "Street, Town, Postcode, Country"
    contact: str = "newsletter@localhost.localdomain"
    mail_domain: str = Field(default="localhost.localdomain", description="domain of List-Id and Message-ID")
    bounce_domain: str = Field(default="localhost.localdomain", description="domain of envelope senders")
    dkim_domain: str = Field(default="", description="domain that signs; mail_domain when it is empty")
    sender_id: str = Field(default="jlgcmailer", pattern=r"^[A-Za-z0-9]{5,15}$", description="last part of Feedback-ID")

    smtp_host: str = "127.0.0.1"
    smtp_port: int = Field(default=25, ge=1, le=65535)
    smtp_security: Security = Security.NONE
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_auth: Auth = Auth.AUTO
    smtp_ehlo_name: str = ""
    smtp_timeout: float = Field(default=300, gt=0, description="seconds to wait for a reply")
    smtp_connections: int = Field(default=5, ge=1, le=1000, description="at most, of each worker process or thread")
    smtp_messages_per_connection: int = Field(default=500, ge=1)
    smtp_per_minute: int = Field(default=0, ge=0, description="messages of all workers; 0 is no limit")

    web_host: str = "127.0.0.1"
    web_port: int = Field(default=8025, ge=0, le=65535)
    worker_concurrency: int = Field(default=4, ge=1, le=200)
    batch_size: int = Field(default=500, ge=1, le=10_000)
    lease_seconds: int = Field(default=60, ge=1)
    tick_seconds: float = Field(default=2, gt=0)
    turn_seconds: float = Field(default=20, ge=0, description="how long a worker goes on claiming batches")
    retry_greylist_seconds: float = Field(default=300, ge=0)
    retry_first_seconds: float = Field(default=1800, ge=0)
    retry_longest_seconds: float = Field(default=8 * 3600, ge=0)
    retry_give_up_seconds: float = Field(default=4 * 86400, ge=0)
    feedback_match_days: float = Field(default=30, gt=0, description="how long reports about a message count")
    feedback_keep_days: float = Field(default=180, gt=0, le=36_500, description="how long settled reports are kept")
    feedback_soft_sends: int = Field(default=3, ge=1, description="so many sends that fail in a row suppress, when")
    feedback_soft_days: float = Field(default=30, ge=0, description="so many days are between the first and the last")
    feedback_hard_percent: float = Field(default=5, gt=0, le=100, description="a send with more of it pauses itself")
    feedback_hard_after: int = Field(default=200, ge=1, description="recipients before it may")
    feedback_complaint_percent: float = Field(default=0.1, gt=0, le=100, description="a send with it pauses itself")
    feedback_complaint_after: int = Field(default=2000, ge=1, description="recipients before it may; 3 do of fewer")

    @field_validator("secret_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        return tuple(key.strip() for key in value.split(",")) if isinstance(value, str) else value

    @field_validator("secret_keys")
    @classmethod
    def _long_keys(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not keys or any(len(key.get_secret_value()) < 32 for key in keys):
            raise ValueError("each key needs at least 32 characters")
        if len({Keyring((key.get_secret_value().encode(),)).key_id for key in keys}) < len(keys):
            raise ValueError(
                "two keys have the same mark in tokens, which happens once in 256 times. Make another new one"
            )
        return keys

    @field_validator("public_url")
    @classmethod
    def _https(cls, url: str) -> str:
        parts = urlsplit(url)
        if not parts.hostname or parts.scheme not in ("http", "https"):
            raise ValueError("it is no web address such as https://news.example.org")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ValueError("readers' one-click unsubscribe needs https (RFC 8058 3.1)")
        return url.rstrip("/")

    @field_validator("smtp_user")
    @classmethod
    def _no_password_in_clear(cls, user: str, others: ValidationInfo) -> str:
        in_clear = others.data.get("smtp_security") is Security.NONE
        if user and in_clear and others.data.get("smtp_host") not in _LOOPBACK:
            raise ValueError("its password would go in clear; set JLGC_MAILER_SMTP_SECURITY to tls or starttls")
        return user

    @field_validator("smtp_ehlo_name")
    @classmethod
    def _a_host_name(cls, name: str) -> str:
        if name and not is_ehlo_name(name):
            raise ValueError("it is no host name such as mail.example.org")
        return name

    @field_validator("mail_domain", "bounce_domain", "dkim_domain")
    @classmethod
    def _a_labels(cls, domain: str, field: ValidationInfo) -> str:
        if not domain and field.field_name == "dkim_domain":
            return domain
        return _address(f"postmaster@{domain}", "it is no domain such as news.example.org").domain

    @field_validator("contact")
    @classmethod
    def _plain_address(cls, contact: str) -> str:
        return _address(contact, "it is no address such as newsletter@example.org").spec

    @field_validator("feedback_keep_days")
    @classmethod
    def _beyond_the_match(cls, days: float, others: ValidationInfo) -> float:
        if days < others.data.get("feedback_match_days", 0):  # a report that came again would be news, and count again
            raise ValueError("reports must be kept for at least JLGC_MAILER_FEEDBACK_MATCH_DAYS")
        return days

    @property
    def effective_database_url(self) -> str:
        """The database to use: a SQLite file in the home folder unless another is named."""
        return self.database_url or f"sqlite:///{self.home / 'mailer.db'}"

    @property
    def signing_domain(self) -> str:
        """The d= of our signatures."""
        return self.dkim_domain or self.mail_domain

    @property
    def has_redis(self) -> bool:
        """Whether several processes share the broker; the other kind is the memory of this one."""
        return not self.broker_url.startswith("memory:")

    @property
    def is_public(self) -> bool:
        """Whether others than this machine reach the pages."""
        return urlsplit(self.public_url).hostname not in _LOOPBACK

    @property
    def lease(self) -> timedelta:
        """How long a silent worker is believed to be alive."""
        return timedelta(seconds=self.lease_seconds)


def default_home() -> Path:
    """The folder that JLGC_MAILER_HOME names, else `.jlgc-mailer` in the user's own."""
    return Path(os.environ.get(f"{PREFIX}HOME") or Path.home() / ".jlgc-mailer")


def read_settings(home: Path, **overrides: object) -> Settings:
    """Settings of the installation in `home`; raises SettingError, which names the variable."""
    file = home / FILE_NAME
    _check_environment()
    try:
        if file.is_file():
            _check_lines(file)
        return Settings(_env_file=file if file.is_file() else None, home=home, **overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise _setting_error(error, file) from None
    except UnicodeDecodeError:
        raise SettingError(variable=file, problem="it is not UTF-8 text", remedy="Save it as UTF-8.") from None
    except OSError as error:
        raise SettingError(variable=file, problem=error.strerror, remedy="Make it readable to this user.") from None


def _check_environment() -> None:
    """Raise SettingError for a variable that pydantic would pass over: a slip in its name must not go unnoticed."""
    for name in os.environ:
        if name.startswith(PREFIX):
            _check_name(name, "the environment")


def _check_lines(file: Path) -> None:
    """Raise SettingError for a line that python-dotenv would pass over with a warning, and for an unknown name."""
    with file.open(encoding="utf-8") as stream:
        for found in parse_stream(stream):
            if found.error or (found.key and found.value is None):
                remedy = "Write NAME=value, with the value in quotes if it holds a space, a quotation mark or #."
                line = found.original.line
                raise SettingError(variable=f"{file}:{line}", problem="the line cannot be read", remedy=remedy)
            if found.key:
                _check_name(found.key, str(file))


def _check_name(name: str, place: str) -> None:
    if not name.startswith(PREFIX) or name.removeprefix(PREFIX).lower() not in Settings.model_fields:
        remedy = f"Correct its name in {place}, or take it out."
        raise SettingError(variable=name, problem="is not known", remedy=remedy)


def _address(text: str, problem: str) -> Address:
    """An address in plain ASCII."""
    try:
        address = parse_address(text)
    except InvalidInput:
        raise ValueError(problem) from None
    if not address.spec.isascii():
        raise ValueError(problem)
    return address


def _setting_error(error: ValidationError, file: Path) -> SettingError:
    first = error.errors()[0]
    variable = f"{PREFIX}{first['loc'][0]}".upper()
    if first["type"] == "missing":
        problem, remedy = "is missing", f"Run jlgc-mailer init, or set it in {file} or in the environment."
    else:
        problem = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
        remedy = f"Correct it in {file} or in the environment."
    return SettingError(variable=variable, problem=problem, remedy=remedy)
