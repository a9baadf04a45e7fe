"""One frozen Settings, read from the environment and from `settings.env` in the home folder.

Variables of the environment win. What is missing or wrong is named with its variable.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from jlgc_mailer.errors import SettingError
from jlgc_mailer.sending.transports.smtp import Security

PREFIX = "JLGC_MAILER_"
FILE_NAME = "settings.env"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Settings(BaseSettings):
    """Everything that differs between installations."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Path = Field(description="folder of the database and of settings.env")
    database_url: str = Field(default="", description="sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME")
    broker_url: str = Field(default="memory://", description="memory:// for one process, redis://HOST:PORT/N for many")
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
    sender_id: str = Field(default="jlgcmailer", pattern=r"^[A-Za-z0-9]{5,15}$", description="last part of Feedback-ID")

    smtp_host: str = "127.0.0.1"
    smtp_port: int = Field(default=25, ge=1, le=65535)
    smtp_security: Security = Security.NONE
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_ehlo_name: str = ""
    smtp_timeout: float = Field(default=300, gt=0, description="seconds to wait for a reply")
    smtp_messages_per_connection: int = Field(default=500, ge=1)

    web_host: str = "127.0.0.1"
    web_port: int = Field(default=8025, ge=0, le=65535)
    worker_concurrency: int = Field(default=4, ge=1, le=200)
    batch_size: int = Field(default=100, ge=1, le=10_000)
    lease_seconds: int = Field(default=60, ge=1)
    tick_seconds: float = Field(default=2, gt=0)
    hold_seconds: float = Field(default=30, ge=0, description="wait after the relay failed")
    retry_greylist_seconds: float = Field(default=300, ge=0)
    retry_first_seconds: float = Field(default=1800, ge=0)
    retry_longest_seconds: float = Field(default=8 * 3600, ge=0)
    retry_give_up_seconds: float = Field(default=4 * 86400, ge=0)

    @field_validator("secret_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        return tuple(key.strip() for key in value.split(",")) if isinstance(value, str) else value

    @field_validator("secret_keys")
    @classmethod
    def _long_keys(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not keys or any(len(key.get_secret_value()) < 32 for key in keys):
            raise ValueError("each key needs at least 32 characters")
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

    @property
    def effective_database_url(self) -> str:
        """The database to use: a SQLite file in the home folder unless another is named."""
        return self.database_url or f"sqlite:///{self.home / 'mailer.db'}"

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
    try:
        return Settings(_env_file=file if file.is_file() else None, home=home, **overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise _setting_error(error, file) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(variable=str(file), problem="cannot be read", remedy=str(error)) from None


def _setting_error(error: ValidationError, file: Path) -> SettingError:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "?"
    variable = name.upper() if name.lower().startswith(PREFIX.lower()) else f"{PREFIX}{name.upper()}"
    if first["type"] == "missing":
        problem, remedy = "is missing", f"Run jlgc-mailer init, or set it in {file} or in the environment."
    elif first["type"] == "extra_forbidden":
        problem, remedy = "is not known", f"Correct its name in {file}."
    else:
        problem = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
        remedy = f"Correct it in {file} or in the environment."
    return SettingError(variable=variable, problem=problem, remedy=remedy)
