"""transports.toml: every key, every fault told with file, table and key, no secret told at all."""

import re
import stat
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.errors import InvalidFile, MailerError, SettingError
from jlgc_mailer.sending.pace.limits import Limits, Ramp
from jlgc_mailer.sending.pace.windows import Window
from jlgc_mailer.sending.routes import Route
from jlgc_mailer.sending.transports.smtp.relay import Auth, Security, Timeouts
from jlgc_mailer.settings import TRANSPORTS_FILE, read_routes
from jlgc_mailer.settings.tables import TransportTable
from tests.conftest import make_settings

Read = Callable[..., tuple[Route, ...]]

WHOLE = """
[transports.office]
host = "smtp.example.org"
port = 2525
security = "starttls"
user = "news"
password = "geheim"
auth = "login"
ca_file = "ca.pem"
client_certificate = "client.pem"
client_key = "client.key"
ehlo_name = "mail.example.org"
connections = 3
messages_per_connection = 20
weight = 2
lists = ["news", "jobs"]
per_minute = 600
max_connections = 12
daily_cap = 20_000
ramp = {from = 2026-12-01, first_day = 200, factor = 1.5}
windows = ["Mon-Fri 08:00-18:00", "Sat 10:00-12:00"]
zone = "Europe/London"

[transports.office.domains]
"googlemail.com" = 60
"hotmail.co.uk" = 120

[transports.ses]
host = "email-smtp.eu-west-2.amazonaws.com"
"""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads the routes of a home folder with this transports.toml and these settings."""
    for name in ("ca.pem", "client.pem", "client.key", "password.txt"):
        (tmp_path / name).write_text("geheim-in-file\n", encoding="utf-8")

    def read(text: str | None, **settings: Any) -> tuple[Route, ...]:
        if text is not None:
            (tmp_path / TRANSPORTS_FILE).write_text(text, encoding="utf-8")
        return read_routes(make_settings(tmp_path, **settings))

    return read


def refusal(read: Read, text: str) -> str:
    with pytest.raises(InvalidFile) as caught:
        read(text)
    sentence = str(caught.value)
    assert len(sentence.splitlines()) == 1
    assert "geheim" not in sentence
    return sentence


# --- what is read -------------------------------------------------------------------------------------------------


def test_every_key_finds_its_place(read: Read, tmp_path: Path) -> None:
    office, ses = read(WHOLE)
    relay = office.relay
    assert (office.name, office.weight, office.lists) == ("office", 2, frozenset({"news", "jobs"}))
    assert (relay.name, relay.host, relay.port) == ("office", "smtp.example.org", 2525)
    assert (relay.security, relay.auth) == (Security.STARTTLS, Auth.LOGIN)
    assert (relay.user, relay.password(), relay.ehlo_name) == ("news", "geheim", "mail.example.org")
    assert relay.ca_file == tmp_path / "ca.pem"
    assert (relay.client_certificate, relay.client_key) == (tmp_path / "client.pem", tmp_path / "client.key")
    assert (relay.connections, relay.messages_per_connection) == (3, 20)
    assert office.limits == Limits(
        per_minute=600,
        max_connections=12,
        daily_cap=20_000,
        ramp=Ramp(date(2026, 12, 1), 200, 1.5),
        windows=(Window((0, 1, 2, 3, 4), 480, 1080), Window((5,), 600, 720)),
        zone=ZoneInfo("Europe/London"),
        domains={"gmail.com": 60, "outlook.com": 120},
    )
    assert (ses.name, ses.weight, ses.lists, ses.limits) == ("ses", 1, frozenset(), Limits())
    assert office.fingerprint != ses.fingerprint


def test_a_table_says_only_what_is_different_from_the_settings(read: Read) -> None:
    _, ses = read(WHOLE, smtp_ehlo_name="news.example.org", smtp_connections=4, smtp_messages_per_connection=9)
    assert (ses.relay.ehlo_name, ses.relay.connections, ses.relay.messages_per_connection) == ("news.example.org", 4, 9)
    assert (ses.relay.security, ses.relay.port, ses.relay.user) == (Security.STARTTLS, 587, "")


@pytest.mark.parametrize(("security", "port"), [("tls", 465), ("starttls", 587), ("none", 25)])
def test_the_usual_port_goes_with_the_security(read: Read, security: str, port: int) -> None:
    assert read(f'[transports.a]\nhost = "localhost"\nsecurity = "{security}"')[0].relay.port == port


def test_without_the_file_the_settings_name_one_relay(read: Read) -> None:
    (route,) = read(None, smtp_host="smtp.example.org", smtp_port=465, smtp_security="tls", smtp_user="news",
                    smtp_password="geheim", smtp_auth="login", smtp_connections=7)  # fmt: skip
    relay = route.relay
    assert (route.name, route.weight, route.lists, route.limits) == ("relay", 1, frozenset(), Limits())
    assert (relay.host, relay.port, relay.security, relay.auth) == ("smtp.example.org", 465, Security.TLS, Auth.LOGIN)
    assert (relay.user, relay.password(), relay.connections) == ("news", "geheim", 7)


def test_the_one_relay_may_have_a_rate(read: Read) -> None:
    assert read(None, smtp_per_minute=60)[0].limits == Limits(per_minute=60)


def test_timeouts_are_those_of_the_rfc_unless_the_operator_shortens_them(read: Read) -> None:
    """S1"""
    assert read(None)[0].relay.timeouts == Timeouts()
    short = read(None, smtp_timeout=10)[0].relay.timeouts
    assert (short.connect, short.command, short.data, short.block, short.final) == (10, 10, 10, 10, 20)


def test_the_fingerprint_changes_with_the_password_wherever_it_stands(read: Read, tmp_path: Path) -> None:
    in_place, in_file = (
        f'[transports.a]\nhost = "h.example"\nuser = "u"\n{key}'
        for key in ('password = "geheim"', 'password_file = "password.txt"')
    )
    mark = read(in_place)[0].fingerprint
    assert read(in_place.replace("geheim", "geheim2"))[0].fingerprint != mark
    assert read(in_place + "\nweight = 5")[0].fingerprint == mark
    mark = read(in_file)[0].fingerprint
    (tmp_path / "password.txt").write_text("another\n", encoding="utf-8")
    assert read(in_file)[0].fingerprint != mark


PAPER = (Path(__file__).parents[1] / "docs" / "transports.md").read_text(encoding="utf-8")


def test_the_examples_in_the_paper_are_read(read: Read, tmp_path: Path) -> None:
    for name in ("office-password.txt", "ses-password.txt"):
        (tmp_path / name).write_text("geheim", encoding="utf-8")
    office, ses, m365 = read("".join(re.findall(r"```toml\n(.*?)```", PAPER, re.DOTALL)))
    assert (office.limits.per_minute, ses.limits.domains["gmail.com"], m365.relay.auth) == (600, 300, Auth.XOAUTH2)


def test_the_paper_explains_every_key() -> None:
    rows = re.findall(r"^\| ([a-z_, ]+) \|", PAPER, re.MULTILINE)
    explained = {key for row in rows for key in row.split(", ")}
    assert explained - {"key"} == set(TransportTable.model_fields)


# --- secrets ------------------------------------------------------------------------------------------------------


def test_no_secret_is_printed(read: Read) -> None:
    for route in read(WHOLE):
        assert "geheim" not in f"{route!r} {route} {route.relay!r} {route.fingerprint}"


def test_a_password_file_is_read_when_it_is_needed(read: Read, tmp_path: Path) -> None:
    (route,) = read('[transports.a]\nhost = "h.example"\nuser = "u"\npassword_file = "password.txt"')
    assert route.relay.password() == "geheim-in-file"
    (tmp_path / "password.txt").write_text("fresh", encoding="utf-8")
    assert route.relay.password() == "fresh"


def test_an_unusable_password_file_is_told_when_it_is_needed(read: Read, tmp_path: Path) -> None:
    (route,) = read('[transports.a]\nhost = "h.example"\nuser = "u"\npassword_file = "password.txt"')
    for content in (b"", b"geheim\ngeheim2\n", b"\xff\xfe"):
        (tmp_path / "password.txt").write_bytes(content)
        with pytest.raises(SettingError, match=r"transports.toml, \[transports.a\] password_file: ") as caught:
            route.relay.password()
        assert "geheim" not in str(caught.value)
    (tmp_path / "password.txt").unlink()
    with pytest.raises(SettingError, match="No such file"):
        route.relay.password()


def command(tmp_path: Path, body: str) -> str:
    """A table whose password_command runs this Python."""
    script = tmp_path / "token"
    script.write_text(f"#!{sys.executable}\n{body}\n", encoding="utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return (
        f'[transports.a]\nhost = "h.example"\nuser = "u"\nauth = "xoauth2"\npassword_command = "{script} one \'a b\'"'
    )


def test_a_command_gives_a_fresh_token_each_time(read: Read, tmp_path: Path) -> None:
    counting = (
        "import pathlib, sys; f = pathlib.Path('n'); n = f.read_text() if f.exists() else ''; f.write_text(n + 'x')"
    )
    (route,) = read(command(tmp_path, f"{counting}; print('token', len(n), *sys.argv[1:])"))
    assert [route.relay.password() for _ in range(2)] == ["token 0 one a b", "token 1 one a b"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("import sys; sys.exit('no grant')", "it ended with status 1 and said: no grant"),
        ("import sys; sys.exit(3)", "it ended with status 3 and said: nothing"),
        ("", "it has to give one line"),
        ("print('a'); print('b')", "it has to give one line"),
    ],
)
def test_a_command_that_fails_is_one_sentence(read: Read, tmp_path: Path, body: str, problem: str) -> None:
    (route,) = read(command(tmp_path, body))
    with pytest.raises(SettingError) as caught:
        route.relay.password()
    assert f"transports.toml, [transports.a] password_command: {problem}" in str(caught.value)


def test_a_command_that_is_not_there_is_one_sentence(read: Read) -> None:
    (route,) = read('[transports.a]\nhost = "h.example"\nuser = "u"\npassword_command = "/no/such/program"')
    with pytest.raises(SettingError, match="it cannot be run: No such file"):
        route.relay.password()


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("hots = 'geheim'", "hots is not known"),
        ("port = 65536", "port"),
        ("port = '25'", "port"),
        ("security = 'ssl'", "security"),
        ("auth = 'cram-md5'", "auth"),
        ("user = 'u'\nsecurity = 'none'\npassword = 'geheim'", "user: its password would go in clear"),
        ("password = 'geheim'", "user: is missing beside the password"),
        ("user = 'u'\npassword = 'geheim'\npassword_command = 'geheim'", "user: it needs one of password"),
        ("password_file = 'none.txt'", "password_file: there is no file"),
        ("ca_file = 'none.pem'", "ca_file: there is no file"),
        ("client_key = 'client.key'", "client_key: it is of no use without client_certificate"),
        ("ehlo_name = 'a b'", "ehlo_name: it is no host name"),
        ("connections = 0", "connections"),
        ("messages_per_connection = 0", "messages_per_connection"),
        ("weight = 0", "weight"),
        ("weight = true", "weight"),
        ("lists = 'news'", "lists"),
        ("per_minute = 0", "per_minute"),
        ("per_minute = 1.5", "per_minute"),
        ("max_connections = -1", "max_connections"),
        ("daily_cap = 0", "daily_cap"),
        ("ramp = {from = 2026-12-01, first_day = 1, factor = 2}", "ramp: it needs daily_cap"),
        ("daily_cap = 9\nramp = {from = 2026-12-01, first_day = 1, factor = 1}", "ramp.factor"),
        ("daily_cap = 9\nramp = {from = 2026-12-01, first_day = 1}", "ramp.factor: is missing"),
        ("daily_cap = 9\nramp = {from = 2026-12-01, first_day = 1, factor = 2, to = 3}", "ramp.to is not known"),
        ("windows = ['Mon-Fri 8-18']", "windows.0: 'Mon-Fri 8-18': write it like"),
        ("windows = [8]", "windows.0: it has to be a text"),
        ("zone = 'London'", "zone: 'London': it is no time zone"),
        ("domains = {'gmail com' = 1}", "domains: 'gmail com' is no domain"),
        ("domains = {'gmail.com' = 0}", "domains.gmail.com"),
        ("domains = {'gmail.com' = 1, 'googlemail.com' = 2}", "domains: 'googlemail.com' is of gmail.com"),
    ],
)
def test_a_bad_key_is_told_with_file_and_table(read: Read, tmp_path: Path, line: str, where: str) -> None:
    sentence = refusal(read, f"[transports.office]\nhost = 'h.example'\n{line}")
    assert sentence.startswith(f"{tmp_path / TRANSPORTS_FILE}, [transports.office] ")
    assert where in sentence.replace(": is not known", " is not known")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[transports.a", "it is not TOML"),
        ("", "it names no transport"),
        ("[transports]", "it names no transport"),
        ("transports = 1", "it names no transport"),
        ("[transport.a]\nhost = 'h'", "transport: is not known"),
        ("[transports.a]", "[transports.a] host: is missing"),
        ("[transports]\na = 1", "[transports.a]: is no table"),
        ("[transports.'My relay']\nhost = 'h'", "[transports.My relay]: is no name for a transport"),
    ],
)
def test_a_bad_file_is_told(read: Read, tmp_path: Path, text: str, problem: str) -> None:
    sentence = refusal(read, text)
    assert sentence.startswith(str(tmp_path / TRANSPORTS_FILE))
    assert problem in sentence


def test_a_file_that_is_no_text_is_told(read: Read, tmp_path: Path) -> None:
    (tmp_path / TRANSPORTS_FILE).write_bytes("# 日本".encode("cp932"))
    with pytest.raises(InvalidFile, match="it is not UTF-8 text"):
        read(None)


_PIECES = st.sampled_from(WHOLE.split()) | st.text(max_size=12) | st.sampled_from(["\n", " ", "=", '"', "[", "]"])


@given(st.lists(_PIECES, max_size=30).map(" ".join) | st.text(max_size=60))
def test_any_file_gives_routes_or_one_sentence(read: Read, text: str) -> None:
    try:
        assert read(text)
    except MailerError as error:
        assert len(str(error).splitlines()) == 1
