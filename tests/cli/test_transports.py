"""`transports`: what is configured, how it is, and going on after trouble."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.sending import Batch
from jlgc_mailer.sending import routes
from jlgc_mailer.sending.claim import hold_send
from jlgc_mailer.sending.transports import Trouble
from jlgc_mailer.settings import TRANSPORTS_FILE, read_routes, read_settings
from jlgc_mailer.states import Stage
from tests import factories
from tests.cli.conftest import Command
from tests.fakes import Receiver, listening
from tests.servers import free_port

TWO = """
[transports.office]
host = "smtp.example.org"
weight = 3
lists = ["news", "jobs"]
per_minute = 600

[transports.night]
host = "night.example.org"
security = "tls"
windows = ["{day} {hour:02}:00-{hour:02}:30"]
"""


@pytest.fixture
def two(installed: Path) -> Path:
    """An installation with two transports, one of which is closed now."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    text = TWO.format(day=f"{yesterday:%a}", hour=yesterday.hour)
    (installed / TRANSPORTS_FILE).write_text(text, encoding="utf-8")
    return installed


def pause(home: Path, name: str, problem: str, *, for_operator: bool = False) -> None:
    mailer = Mailer(read_settings(home))
    route = next(route for route in read_routes(mailer.settings) if route.name == name)
    with mailer.database.transaction() as session:
        routes.pause(session, route, Trouble(str(route.relay), Stage.AUTH, problem, for_operator), mailer.clock())
    mailer.database.close()


@contextmanager
def saying(*replies: str) -> Iterator[int]:
    """A relay that says these, one for each thing said to it; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            connection, _ = server.accept()
            with connection:
                for reply in replies:
                    connection.sendall(reply.encode())
                    connection.recv(1000)

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


@pytest.mark.usefixtures("two")
def test_transports_are_listed_with_limits_and_state(run: Command) -> None:
    office, night = run("transports", "list", "--json").json()
    assert office == {
        "name": "office",
        "relay": "smtp.example.org:587",
        "weight": 3,
        "lists": "jobs, news",
        "limits": "600 a minute",
        "today": 0,
        "state": "ready",
        "until": None,
        "problem": None,
    }
    assert (night["relay"], night["lists"], night["state"]) == ("night.example.org:465", "all", "closed")
    assert night["problem"].startswith("night sends ")
    assert "office smtp.example.org:587 3 jobs, news 600 a minute 0 ready" in run("transports", "list").words()


@pytest.mark.usefixtures("installed")
def test_without_a_file_the_one_relay_is_listed(run: Command) -> None:
    (relay,) = run("transports", "list", "--json").json()
    assert (relay["name"], relay["relay"], relay["limits"], relay["state"]) == (
        "relay",
        "127.0.0.1:25",
        "none",
        "ready",
    )


def test_a_paused_transport_says_until_when_and_why_and_is_resumed(two: Path, run: Command) -> None:
    """S3"""
    pause(two, "office", "451 later")
    office = run("transports", "list", "--json").json()[0]
    assert office["state"] == "paused"
    assert datetime.fromisoformat(office["until"]) > datetime.now(UTC)
    assert office["problem"] == "The relay smtp.example.org:587 does not take mail (auth): 451 later."
    assert run("transports", "resume", "office").words() == "office is used again."
    assert run("transports", "list", "--json").json()[0]["state"] == "ready"
    assert run("transports", "resume", "office").words() == "office was not paused."


def test_batches_that_waited_for_a_transport_are_due_when_it_is_resumed(two: Path, run: Command) -> None:
    mailer = Mailer(read_settings(two))
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        factories.subscriber(session, news)
        send = factories.send(session, mailer, factories.issue(session, mailer), [news])
        hold_send(session, send.id, mailer.clock() + timedelta(hours=1), "office is stopped")
    run("transports", "resume", "office").words()
    with mailer.database.reading() as session:
        batch = session.scalars(select(Batch)).one()
        assert batch.due_at <= mailer.clock()
        assert batch.hold is None
    mailer.database.close()


def test_a_transport_that_waits_for_the_operator_is_stopped(two: Path, run: Command) -> None:
    """S3: 535"""
    pause(two, "office", "535 wrong password", for_operator=True)
    office = run("transports", "list", "--json").json()[0]
    assert (office["state"], office["until"]) == ("stopped", None)
    file = two / TRANSPORTS_FILE
    file.write_text(file.read_text(encoding="utf-8").replace("smtp.example", "mail.example"), encoding="utf-8")
    assert run("transports", "list", "--json").json()[0]["state"] == "ready"


@pytest.mark.usefixtures("two")
def test_a_transport_that_is_not_there_is_told(run: Command) -> None:
    for command in ("resume", "check"):
        told = run("transports", command, "relay").sentence(1)
        assert told == "There is no transport 'relay'. See: jlgc-mailer transports list"


def test_a_fault_in_the_file_is_one_sentence(two: Path, run: Command) -> None:
    (two / TRANSPORTS_FILE).write_text('[transports.a]\nhots = "x"', encoding="utf-8")
    told = run("transports", "list").sentence(1)
    assert told == f"{two / TRANSPORTS_FILE}, [transports.a] host: is missing. Correct it."


@pytest.mark.usefixtures("home")
def test_checking_needs_no_database_and_says_what_the_relay_offers(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(Receiver()) as receiver:
        monkeypatch.setenv("JLGC_MAILER_SMTP_PORT", str(receiver.port))
        said = run("transports", "check").words()
        assert said.startswith(f"relay: 127.0.0.1:{receiver.port} takes us. It offers ")
        assert receiver.received == []


@pytest.mark.usefixtures("home")
def test_checking_logs_in(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JLGC_MAILER_SMTP_USER", "office")
    monkeypatch.setenv("JLGC_MAILER_SMTP_PASSWORD", "geheim")
    offers = "250-relay.example\r\n250-PIPELINING\r\n250-DSN\r\n250 AUTH LOGIN PLAIN\r\n"
    with saying("220 hello\r\n", offers, "235 2.7.0 welcome\r\n", "221 bye\r\n") as port:
        monkeypatch.setenv("JLGC_MAILER_SMTP_PORT", str(port))
        said = run("transports", "check", "relay").words()
    assert said == f"relay: 127.0.0.1:{port} takes us. It offers PIPELINING, DSN, AUTH LOGIN PLAIN."
    with saying("220 hello\r\n", offers, "535 5.7.8 wrong password\r\n") as port:
        monkeypatch.setenv("JLGC_MAILER_SMTP_PORT", str(port))
        told = run("transports", "check", "relay").sentence(1)
    assert told == f"The relay 127.0.0.1:{port} does not take mail (auth): 535 5.7.8 wrong password."


def test_checking_all_goes_on_after_one_that_fails(home: Path, run: Command) -> None:
    closed = free_port()
    with listening(Receiver()) as receiver:
        home.mkdir()
        (home / TRANSPORTS_FILE).write_text(
            "\n".join(
                f'[transports.{name}]\nhost = "127.0.0.1"\nsecurity = "none"\nport = {port}'
                for name, port in (("down", closed), ("up", receiver.port))
            ),
            encoding="utf-8",
        )
        ended = run("transports", "check")
    assert ended.status == 1
    assert ended.out.startswith("up: ")
    assert ended.err.startswith(f"Error: The relay 127.0.0.1:{closed} does not take mail (connect): ")
