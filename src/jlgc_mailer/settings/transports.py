"""The transports of an installation: those of `transports.toml` in its home folder, or else the one of its settings."""

import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jlgc_mailer.errors import InvalidFile, SettingError
from jlgc_mailer.sending.pace.limits import Limits, Ramp
from jlgc_mailer.sending.routes import Route, fingerprint
from jlgc_mailer.sending.transports.smtp.relay import Relay, Security, Timeouts
from jlgc_mailer.settings import passwords
from jlgc_mailer.settings.environment import Settings
from jlgc_mailer.settings.tables import TransportTable

TRANSPORTS_FILE = "transports.toml"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PORTS = {Security.NONE: 25, Security.STARTTLS: 587, Security.TLS: 465}


def read_routes(settings: Settings) -> tuple[Route, ...]:
    """The routes of the installation; raises InvalidFile, which names the file, the table and the key."""
    file = settings.home / TRANSPORTS_FILE
    if not file.is_file():
        return (_only_route(settings),)
    tables = _tables(file)
    return tuple(_route(name, _checked(file, name, table), settings) for name, table in tables.items())


def _tables(file: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise _fault(file, f"it is not TOML: {error}", "Correct it.") from None
    except UnicodeDecodeError:
        raise _fault(file, "it is not UTF-8 text", "Save it as UTF-8.") from None
    except OSError as error:
        raise _fault(file, str(error.strerror), "Make it readable to this user.") from None
    stray = next((key for key in document if key != "transports"), None)
    if stray is not None:
        raise _fault(f"{file}, {stray}", "is not known", "Write each transport as a table [transports.NAME].")
    tables = document.get("transports")
    if not isinstance(tables, dict) or not tables:
        raise _fault(file, "it names no transport", "Write one as a table [transports.NAME], or remove the file.")
    return tables


def _checked(file: Path, name: str, table: object) -> TransportTable:
    place = f"{file}, [transports.{name}]"
    if not _NAME.fullmatch(name):
        raise _fault(place, "is no name for a transport", "Use up to 63 small letters, digits and hyphens.")
    if not isinstance(table, dict):
        raise _fault(place, "is no table", f"Write [transports.{name}], and its keys below.")
    try:
        return TransportTable.model_validate(table, context={"home": file.parent})
    except ValidationError as error:
        first = error.errors()[0]
        where = " ".join((place, ".".join(map(str, first["loc"])))).strip()
        if first["type"] == "extra_forbidden":
            raise _fault(where, "is not known", "Correct its name, or take it out.") from None
        problem = "is missing" if first["type"] == "missing" else str(first["msg"]).removeprefix("Value error, ")
        raise _fault(where, problem.rstrip("."), "Correct it.") from None


def _fault(place: object, problem: str, remedy: str) -> InvalidFile:
    return InvalidFile(place=place, problem=problem, remedy=remedy)


def _route(name: str, table: TransportTable, settings: Settings) -> Route:
    password, proof = _password(name, table, settings)
    usual = _usual_relay(settings)
    relay = replace(
        usual,
        name=name,
        host=table.host,
        port=table.port or _PORTS[table.security],
        security=table.security,
        user=table.user,
        password=password,
        auth=table.auth,
        ca_file=table.ca_file,
        client_certificate=table.client_certificate,
        client_key=table.client_key,
        ehlo_name=table.ehlo_name or usual.ehlo_name,
        messages_per_connection=table.messages_per_connection or usual.messages_per_connection,
        connections=table.connections or usual.connections,
    )
    limits = Limits(
        per_minute=table.per_minute,
        max_connections=table.max_connections,
        daily_cap=table.daily_cap,
        ramp=Ramp(table.ramp.begins, table.ramp.first_day, table.ramp.factor) if table.ramp else None,
        windows=table.windows,
        zone=table.zone,
        domains=table.domains,
    )
    return Route(name, relay, table.weight, frozenset(table.lists), limits, _mark(relay, proof, settings))


def _only_route(settings: Settings) -> Route:
    relay, limits = _usual_relay(settings), Limits(per_minute=settings.smtp_per_minute or None)
    mark = _mark(relay, settings.smtp_password.get_secret_value(), settings)
    return Route(relay.name, relay, 1, frozenset(), limits, mark)


def _usual_relay(settings: Settings) -> Relay:
    """What JLGC_MAILER_SMTP_* tell of; a table says only what is different."""
    longest, usual = settings.smtp_timeout, Timeouts()
    return Relay(
        name="relay",
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        user=settings.smtp_user,
        password=passwords.known(settings.smtp_password.get_secret_value()),
        auth=settings.smtp_auth,
        ehlo_name=settings.smtp_ehlo_name or None,
        # At its default of 300 seconds all stages are as in RFC 5321 4.5.3.2 (STANDARDS S1).
        timeouts=Timeouts(longest, longest, min(longest, usual.data), min(longest, usual.block), 2 * longest),
        messages_per_connection=settings.smtp_messages_per_connection,
        connections=settings.smtp_connections,
    )


def _mark(relay: Relay, proof: str, settings: Settings) -> str:
    return fingerprint(relay, proof, settings.secret_keys[0].get_secret_value().encode())


def _password(name: str, table: TransportTable, settings: Settings) -> tuple[Callable[[], str], str]:
    """How to get the password, and by what a change of it is noticed."""
    file = settings.home / TRANSPORTS_FILE
    if table.password_command:
        place = f"{file}, [transports.{name}] password_command"
        return passwords.from_command(table.password_command, place, settings.home), table.password_command
    if table.password_file:
        read = passwords.from_file(table.password_file, f"{file}, [transports.{name}] password_file")
        try:
            return read, read()
        except SettingError:
            return read, ""  # told when somebody tries to log in with it
    password = table.password.get_secret_value()
    return passwords.known(password), password
