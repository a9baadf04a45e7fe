"""What may stand in a table of `transports.toml`."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from jlgc_mailer.audience.zones import zone_named
from jlgc_mailer.errors import InvalidInput
from jlgc_mailer.mail.address import parse_address
from jlgc_mailer.sending.pace.groups import group_of
from jlgc_mailer.sending.pace.windows import Window, parse_window
from jlgc_mailer.sending.transports.smtp.relay import Auth, Security, is_ehlo_name

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
Value = TypeVar("Value")


def _as_written(read: Callable[[str], Value]) -> Callable[[Any], Value]:
    """A reader of text whose InvalidInput becomes the message of a refused key."""

    def validate(value: Any) -> Value:
        if not isinstance(value, str):
            raise ValueError("it has to be a text in quotes")  # noqa: TRY004  (pydantic reports ValueError)
        try:
            return read(value)
        except InvalidInput as error:
            raise ValueError(f"{value!r}: {error.fields['problem']}") from None

    return validate


def _from_home(file: Path, info: ValidationInfo) -> Path:
    file = (info.context or {}).get("home", Path()) / file.expanduser()
    if not file.is_file():
        raise ValueError(f"there is no file {file}")
    return file


Count = Annotated[int, Field(strict=True, ge=1)]
File = Annotated[Path, AfterValidator(_from_home)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)


class RampTable(_Table):
    """`ramp = {from = 2026-12-01, first_day = 200, factor = 1.5}`."""

    begins: date = Field(alias="from")
    first_day: Count
    factor: float = Field(gt=1)


class TransportTable(_Table):
    """`[transports.NAME]`, as docs/transports.md explains it. Fields are checked in this order."""

    host: str = Field(min_length=1)
    security: Security = Security.STARTTLS
    port: Annotated[Count, Field(le=65535)] | None = None
    password: SecretStr = SecretStr("")
    password_file: File | None = None
    password_command: str = ""
    user: str = Field(default="", validate_default=True)
    auth: Auth = Auth.AUTO
    ca_file: File | None = None
    client_certificate: File | None = None
    client_key: File | None = None
    ehlo_name: str = ""
    connections: Annotated[Count, Field(le=1000)] | None = None
    messages_per_connection: Count | None = None
    weight: Count = 1
    lists: tuple[str, ...] = ()
    per_minute: Count | None = None
    max_connections: Count | None = None
    daily_cap: Count | None = None
    ramp: RampTable | None = None
    windows: tuple[Annotated[Window, BeforeValidator(_as_written(parse_window))], ...] = ()
    zone: Annotated[ZoneInfo, BeforeValidator(_as_written(zone_named))] = ZoneInfo("UTC")
    domains: dict[str, Count] = {}

    @field_validator("user")
    @classmethod
    def _with_one_password(cls, user: str, others: ValidationInfo) -> str:
        given = [others.data.get(key) for key in ("password", "password_file", "password_command")]
        if sum(map(bool, given)) > 1:
            raise ValueError("it needs one of password, password_file and password_command, not several")
        if any(given) and not user:
            raise ValueError("is missing beside the password")
        if user and others.data.get("security") is Security.NONE and others.data.get("host") not in _LOOPBACK:
            raise ValueError("its password would go in clear; set security to tls or starttls")
        return user

    @field_validator("client_key")
    @classmethod
    def _with_certificate(cls, key: Path | None, others: ValidationInfo) -> Path | None:
        if key and not others.data.get("client_certificate"):
            raise ValueError("it is of no use without client_certificate")
        return key

    @field_validator("ehlo_name")
    @classmethod
    def _a_host_name(cls, name: str) -> str:
        if name and not is_ehlo_name(name):
            raise ValueError("it is no host name such as mail.example.org")
        return name

    @field_validator("ramp")
    @classmethod
    def _to_a_cap(cls, ramp: RampTable | None, others: ValidationInfo) -> RampTable | None:
        if ramp and not others.data.get("daily_cap"):
            raise ValueError("it needs daily_cap, to which it leads")
        return ramp

    @field_validator("domains")
    @classmethod
    def _by_receiver(cls, domains: dict[str, int]) -> dict[str, int]:
        rates: dict[str, int] = {}
        for domain, rate in domains.items():
            try:
                receiver = group_of(parse_address(f"postmaster@{domain}").domain)
            except InvalidInput:
                raise ValueError(f"{domain!r} is no domain such as gmail.com") from None
            if receiver in rates:
                raise ValueError(f"{domain!r} is of {receiver}, which is named before")
            rates[receiver] = rate
        return rates
