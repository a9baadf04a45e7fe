"""IMAP and POP3 against servers that fail in every way: nothing is lost, nothing comes twice, nothing is given away."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.errors import SettingError
from jlgc_mailer.feedback.mailboxes.imap import ImapMailbox
from jlgc_mailer.feedback.mailboxes.pop3 import Pop3Mailbox
from jlgc_mailer.feedback.mailboxes.server import Server
from jlgc_mailer.feedback.message import LIMIT
from jlgc_mailer.sending.transports.smtp.relay import Auth, Security
from tests.feedback.mailboxes.conftest import MINUTE, bodies, report, server
from tests.feedback.servers import PASSWORD, TOKEN, USER, Script, imap, pop3
from tests.mta import _write_certificate

KINDS = {"imap": (imap, ImapMailbox), "pop3": (pop3, Pop3Mailbox)}
both = pytest.mark.parametrize("kind", KINDS)
STAGES = [
    *(("imap", stage) for stage in ("greeting", "CAPABILITY", "AUTHENTICATE", "SELECT", "UID SEARCH", "UID FETCH")),
    *(("imap", stage) for stage in ("content", "UID STORE", "UID EXPUNGE", "LOGOUT")),
    *(("pop3", stage) for stage in ("greeting", "USER", "PASS", "LIST", "UIDL", "RETR", "content", "DELE", "QUIT")),
]


@pytest.mark.parametrize(("kind", "stage"), STAGES)
def test_wherever_the_connection_breaks_nothing_is_lost_or_doubled(
    mailer: Mailer, script: Script, kind: str, stage: str
) -> None:
    """F8."""
    serve, make = KINDS[kind]
    script.put(report(1), report(2), report(3))
    script.hang_up_at, script.hang_ups = stage, 1
    with serve(script):
        mailbox = make("office", MINUTE, server(script))
        broken = mailer.collector.collect(mailbox)
        mailer.collector.collect(mailbox)
    assert broken.problem or stage == "LOGOUT"
    assert PASSWORD not in str(broken.problem)
    assert sorted(bodies(mailer)) == [report(1), report(2), report(3)]
    assert script.messages == {}


@pytest.mark.parametrize(
    ("kind", "command", "reply", "told"),
    [
        ("imap", "AUTHENTICATE", "NO [AUTHENTICATIONFAILED] go away", "go away"),
        ("imap", "SELECT", "NO there is no such folder", "there is no such folder"),
        ("imap", "UID SEARCH", "BAD what", "what"),
        ("imap", "UID STORE", "NO read only", "read only"),
        ("pop3", "USER", "no such user", "no such user"),
        ("pop3", "PASS", "[IN-USE] somebody else reads", "somebody else reads"),
        ("pop3", "LIST", "not today", "not today"),
        ("pop3", "DELE", "read only", "message 1 is not deleted: read only"),
        ("pop3", "QUIT", "some were not removed", "some were not removed"),
    ],
)
def test_what_a_server_refuses_is_told_in_its_words(
    mailer: Mailer, script: Script, kind: str, command: str, reply: str, told: str
) -> None:
    serve, make = KINDS[kind]
    script.put(report(1))
    script.refuses[command] = reply
    with serve(script):
        found = mailer.collector.collect(make("office", MINUTE, server(script)))
    assert found.problem is not None
    assert told in found.problem
    assert len(found.problem.splitlines()) == 1


@both
def test_a_wrong_password_is_told_and_not_shown(mailer: Mailer, script: Script, kind: str) -> None:
    serve, make = KINDS[kind]
    with serve(script):
        found = mailer.collector.collect(make("office", MINUTE, server(script, password="falsch")))
    assert found.problem is not None
    assert f"127.0.0.1:{script.port}" in found.problem
    assert "wrong" in found.problem
    assert "falsch" not in found.problem


@both
def test_a_message_that_the_server_cannot_give_does_not_hold_up_the_others(
    mailer: Mailer, script: Script, kind: str
) -> None:
    """F8."""
    serve, make = KINDS[kind]
    script.put(report(1), report(2), report(3))
    script.unreadable.add(2)
    with serve(script):
        found = mailer.collector.collect(make("office", MINUTE, server(script)))
    assert bodies(mailer) == [report(1), report(3)]
    assert script.bodies == [report(2)]
    assert (found.stored, found.waiting) == (2, 1)
    assert found.problem is not None
    assert found.problem.startswith("message 2 is not given: ")


@both
def test_a_message_at_which_the_server_dies_does_not_hold_up_the_others(
    mailer: Mailer, script: Script, kind: str
) -> None:
    """F8: an exception never blocks the queue, not even one of the other end's."""
    serve, make = KINDS[kind]
    script.put(report(1), report(2), report(3))
    script.deadly.add(1)
    with serve(script):
        mailbox = make("office", MINUTE, server(script))
        assert all(mailer.collector.collect(mailbox).problem for _ in range(3))
        assert bodies(mailer) == [report(2), report(3)]
        assert script.bodies == [report(1)]
        script.put(report(4))
        mailer.collector.collect(mailbox)
        assert bodies(mailer) == [report(2), report(3), report(4)]
        script.deadly.clear()
        mailer.collector.collect(mailbox)
    assert bodies(mailer) == [report(2), report(3), report(4), report(1)]
    assert not mailbox.stumbles, "what went well in the end is forgotten"
    assert script.messages == {}


@pytest.mark.parametrize(("kind", "exists"), [("imap", 0), ("imap", 2), ("imap", 1500), ("pop3", 7)])
def test_counts_that_are_wrong_do_no_harm(mailer: Mailer, script: Script, kind: str, exists: int) -> None:
    serve, make = KINDS[kind]
    script.put(report(1), report(2), report(3))
    script.exists = exists
    with serve(script):
        mailbox = make("office", MINUTE, server(script))
        mailer.collector.collect(mailbox)
        script.exists = None
        mailer.collector.collect(mailbox)
    assert bodies(mailer) == [report(1), report(2), report(3)]
    assert script.messages == {}


@both
def test_a_server_that_is_silent_is_given_up(mailer: Mailer, kind: str) -> None:
    _, make = KINDS[kind]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        impatient = Server("127.0.0.1", silent.getsockname()[1], Security.NONE, USER, lambda: "", patience=0.2)
        found = mailer.collector.collect(make("office", MINUTE, impatient))
    assert "it does not answer" in (found.problem or "")


@both
def test_a_server_that_is_not_there_is_told(mailer: Mailer, kind: str) -> None:
    _, make = KINDS[kind]
    nobody = Server("127.0.0.1", 1, Security.NONE, USER, lambda: "")
    assert "127.0.0.1:1 cannot be read: Connection refused." in str(
        mailer.collector.collect(make("office", MINUTE, nobody)).problem
    )


@pytest.mark.parametrize(
    "said", [b"\r\n", b"\xff\xfe\r\n", b"* BYE\r\n", b"-ERR\r\n", b"x" * 100_000, b"* OK\r\n+\r\n"]
)
@both
def test_what_is_no_such_protocol_at_all_is_trouble(mailer: Mailer, kind: str, said: bytes) -> None:
    _, make = KINDS[kind]
    with socket.create_server(("127.0.0.1", 0)) as odd:

        def talk() -> None:
            connection, _ = odd.accept()
            with connection:
                connection.sendall(said)
                time.sleep(0.05)

        thread = threading.Thread(target=talk)
        thread.start()
        odd_one = Server("127.0.0.1", odd.getsockname()[1], Security.NONE, USER, lambda: "", patience=2)
        found = mailer.collector.collect(make("office", MINUTE, odd_one))
        thread.join()
    assert (found.problem or "").startswith(f"The mailbox at 127.0.0.1:{odd_one.port} cannot be read: ")


# --- who we are ---------------------------------------------------------------------------------------------------


@both
def test_xoauth2_logs_in_with_a_fresh_token_each_time(mailer: Mailer, script: Script, kind: str) -> None:
    serve, make = KINDS[kind]
    tokens = iter(["stale", TOKEN])
    with serve(script):
        account = replace(server(script, Auth.XOAUTH2), password=lambda: next(tokens))
        mailbox = make("office", MINUTE, account)
        assert mailer.collector.collect(mailbox).problem
        assert mailer.collector.collect(mailbox).problem is None


def test_a_server_without_plain_is_logged_in_by_login(mailer: Mailer, script: Script) -> None:
    script.capabilities = "UIDPLUS"
    with imap(script):
        found = mailer.collector.collect(ImapMailbox("office", MINUTE, server(script, password="simple")))
    assert found.problem is None


@both
def test_a_password_that_cannot_be_had_is_told(mailer: Mailer, script: Script, kind: str) -> None:
    serve, make = KINDS[kind]

    def fails() -> str:
        raise SettingError(variable="password_command", problem="it ended with status 1", remedy="Mend it.")

    with serve(script):
        found = mailer.collector.collect(make("office", MINUTE, replace(server(script), password=fails)))
    assert found.problem == "Setting password_command: it ended with status 1. Mend it."


def test_a_password_cannot_smuggle_a_command(mailer: Mailer, script: Script) -> None:
    """S11, as for SMTP."""
    with pop3(script):
        mailbox = Pop3Mailbox("office", MINUTE, server(script, password="x\r\nDELE 1"))
        assert "line break" in (mailer.collector.collect(mailbox).problem or "")
    assert "DELE 1" not in script.said


# --- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    _write_certificate(tmp_path)
    return tmp_path / "certificate.pem"


@pytest.fixture
def secured(script: Script, certificate: Path) -> Script:
    script.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    script.tls.load_cert_chain(certificate.with_name("server.pem"))
    return script


Secured = Callable[[Script], Script]


@both
@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
def test_tls_protects_the_password(
    mailer: Mailer, secured: Script, certificate: Path, kind: str, security: Security
) -> None:
    """S8: what was said before the handshake is forgotten; POP3's server here says more than it should."""
    serve, make = KINDS[kind]
    secured.tls_at_once = security is Security.TLS
    secured.put(report(1))
    with serve(secured):
        account = replace(server(secured), security=security, ca_file=certificate)
        found = mailer.collector.collect(make("office", MINUTE, account))
    assert (found.stored, found.problem) == (1, None)


@both
@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
def test_a_certificate_that_nobody_vouches_for_ends_it_before_the_password(
    mailer: Mailer, secured: Script, kind: str, security: Security
) -> None:
    serve, make = KINDS[kind]
    secured.tls_at_once = security is Security.TLS
    with serve(secured):
        found = mailer.collector.collect(make("office", MINUTE, replace(server(secured), security=security)))
    assert "its certificate is not good: " in (found.problem or "")
    assert not any(line.startswith(("USER", "PASS")) or "AUTH" in line for line in secured.said)


@both
def test_a_server_that_refuses_tls_gets_no_password(mailer: Mailer, script: Script, kind: str) -> None:
    serve, make = KINDS[kind]
    script.refuses |= {"STLS": "not here", "STARTTLS": "NO not here"}
    with serve(script):
        found = mailer.collector.collect(make("office", MINUTE, replace(server(script), security=Security.STARTTLS)))
    assert found.problem
    assert not any(line.startswith(("USER", "PASS")) or "AUTH" in line for line in script.said)


# --- what is special about each -----------------------------------------------------------------------------------


def test_imap_keeps_what_it_is_told_to_keep_and_does_not_read_it_again(mailer: Mailer, script: Script) -> None:
    script.put(report(1), report(2))
    with imap(script):
        mailbox = ImapMailbox("office", MINUTE, server(script), after="keep")
        assert mailer.collector.collect(mailbox).taken == 2
        script.put(report(3))
        assert mailer.collector.collect(mailbox).taken == 1
    assert script.bodies == bodies(mailer) == [report(1), report(2), report(3)]
    assert [each.flags for each in script.messages.values()] == [{r"\Seen"}] * 3


@pytest.mark.parametrize("capabilities", ["UIDPLUS MOVE AUTH=PLAIN", "UIDPLUS AUTH=PLAIN", "AUTH=PLAIN"])
def test_imap_moves_to_a_folder_which_it_makes(mailer: Mailer, script: Script, capabilities: str) -> None:
    script.capabilities = capabilities
    script.put(report(1), report(2))
    with imap(script):
        mailbox = ImapMailbox("office", MINUTE, server(script), "INBOX", "move:処理済み & done")
        found = mailer.collector.collect(mailbox)
    assert (found.stored, found.problem) == (2, None)
    assert script.folders == {"&UeZ0Bm4IMH8- &- done": [report(1), report(2)]}
    assert script.messages == {}


def test_imap_expunges_only_what_it_stored_where_the_server_lets_it_choose(mailer: Mailer, script: Script) -> None:
    script.put(report(1), report(2))
    script.unreadable.add(1)
    script.messages[1].flags.add(r"\Deleted")
    with imap(script):
        mailer.collector.collect(ImapMailbox("office", MINUTE, server(script)))
    assert bodies(mailer) == [report(2)]
    assert "UID EXPUNGE 2" in " ".join(script.said)


def test_imap_finds_the_uid_where_the_server_puts_it(mailer: Mailer, script: Script) -> None:
    script.uid_last = True
    script.put(report(1), report(2))
    with imap(script):
        mailer.collector.collect(ImapMailbox("office", MINUTE, server(script)))
    assert bodies(mailer) == [report(1), report(2)]


def test_imap_fetches_large_messages_apart(mailer: Mailer, script: Script) -> None:
    """A constant amount of memory, whatever waits."""
    script.put(*(report(number, b"x" * (LIMIT // 3)) for number in range(5)))
    with imap(script):
        mailer.collector.collect(ImapMailbox("office", MINUTE, server(script)))
    fetched = [line.split()[3] for line in script.said if "BODY.PEEK" in line]
    assert fetched == ["1,2", "3,4", "5"]
    assert len(bodies(mailer)) == 5


def test_imap_does_not_take_more_than_it_asked_for(mailer: Mailer) -> None:
    """F8: a server that announces a terabyte is not believed."""
    with socket.create_server(("127.0.0.1", 0)) as odd:

        def talk() -> None:
            connection, _ = odd.accept()
            with connection, connection.makefile("rb") as lines:
                connection.sendall(b"* OK ready\r\n")
                tag = lines.readline().split()[0]
                connection.sendall(b"* CAPABILITY {1000000000000}\r\n%b OK\r\n" % tag)

        thread = threading.Thread(target=talk)
        thread.start()
        account = Server("127.0.0.1", odd.getsockname()[1], Security.NONE, USER, lambda: "", patience=2)
        found = mailer.collector.collect(ImapMailbox("office", MINUTE, account))
        thread.join()
    assert "it sends 1000000000000 octets" in (found.problem or "")


def test_pop3_takes_lines_of_any_length(mailer: Mailer, script: Script) -> None:
    """The library of Python gives up the mailbox at 2,049 octets."""
    long = report(1, b"." + b"x" * 200_000 + b"\r\n.\r\n")
    script.put(long, report(2))
    with pop3(script):
        assert mailer.collector.collect(Pop3Mailbox("office", MINUTE, server(script))).problem is None
    assert bodies(mailer) == [long, report(2)]


def test_pop3_does_without_names_for_messages(mailer: Mailer, script: Script) -> None:
    script.refuses["UIDL"] = "what"
    script.put(report(1), report(2))
    with pop3(script):
        assert mailer.collector.collect(Pop3Mailbox("office", MINUTE, server(script))).problem is None
    assert bodies(mailer) == [report(1), report(2)]
