"""The listener: what it takes, what it refuses, and that 250 is said only after the commit (promise 6)."""

import asyncio
import contextlib
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import RawReport
from jlgc_mailer.feedback import listener as listener_module
from jlgc_mailer.feedback import receiving
from jlgc_mailer.feedback.content import SMALL, UNSIGNED, Allowance
from jlgc_mailer.feedback.health import ways_in
from jlgc_mailer.feedback.listener import Listener
from jlgc_mailer.feedback.message import LIMIT
from jlgc_mailer.mail.reports.envelope import OurAddresses
from jlgc_mailer.mail.tokens import Keyring, Purpose
from jlgc_mailer.mail.verp import envelope_sender, leaving_address
from jlgc_mailer.states import ReportForm, ReportStatus
from tests.conftest import SECRET, Clock
from tests.mta import _write_certificate

KEYRING = Keyring((SECRET.encode(),))
OURS = envelope_sender(7, KEYRING, "bounce.example.org")
UNSUBSCRIBE = leaving_address(KEYRING.sign(Purpose.UNSUBSCRIBE, 7, 1), "bounce.example.org")
FORGED = envelope_sender(7, Keyring((b"a key of somebody else",)), "bounce.example.org")
REPORT = b"Subject: Undelivered\r\n\r\n.dot\r\n..\r\nno such user\r\n"


@dataclass
class Running:
    """A listener in a thread of its own."""

    listener: Listener
    port: int
    stop: Callable[[], None]

    def lmtp(self) -> smtplib.LMTP:
        return smtplib.LMTP("127.0.0.1", self.port, timeout=20)

    def smtp(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.port, timeout=20)


@contextmanager
def running(mailer: Mailer, *, is_lmtp: bool = True, tls: ssl.SSLContext | None = None) -> Iterator[Running]:
    started, loop = threading.Event(), asyncio.new_event_loop()
    ended, made = asyncio.Event(), []

    async def serve() -> None:
        addresses = OurAddresses(mailer.settings.bounce_domain, mailer.keyring, {"postmaster", "abuse"})
        own = Listener(mailer.database, addresses, mailer.clock, tls)
        server = await loop.create_server(own.lmtp if is_lmtp else own.smtp, "127.0.0.1", 0)
        made.append((own, server.sockets[0].getsockname()[1]))
        started.set()
        await own.serve(server, ended)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(10)

    def stop() -> None:
        loop.call_soon_threadsafe(ended.set)

    try:
        yield Running(*made[0], stop)
    finally:
        stop()
        thread.join(30)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


@pytest.fixture
def lmtp(mailer: Mailer) -> Iterator[Running]:
    with running(mailer) as started:
        yield started


@pytest.fixture
def smtp(mailer: Mailer) -> Iterator[Running]:
    with running(mailer, is_lmtp=False) as started:
        yield started


def stored(mailer: Mailer) -> Sequence[RawReport]:
    with mailer.database.reading() as session:
        return session.scalars(select(RawReport).order_by(RawReport.id)).all()


def bodies(mailer: Mailer) -> list[bytes]:
    with mailer.database.reading() as session:
        return list(session.scalars(select(RawReport.body).order_by(RawReport.id)))


class Raw:
    """A client that says exactly what a test wants, and reads replies."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.lines = self.socket.makefile("rb")
        self.reply()

    def reply(self) -> str:
        """A whole reply; only its last line."""
        while True:
            line = self.lines.readline().decode()
            if line[3:4] != "-":
                return line.strip()

    def say(self, line: str) -> str:
        self.socket.sendall(f"{line}\r\n".encode("utf-8", "surrogateescape"))
        return self.reply()

    def begin(self, *recipients: str, greeting: str = "LHLO client.example") -> None:
        """As far as 354."""
        assert self.say(greeting).startswith("250")
        assert self.say("MAIL FROM:<>").startswith("250")
        for address in recipients:
            assert self.say(f"RCPT TO:<{address}>").startswith("250")
        assert self.say("DATA").startswith("354")

    def close(self) -> None:
        self.lines.close()
        self.socket.close()


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.01)


@contextmanager
def raw(port: int) -> Iterator[Raw]:
    client = Raw(port)
    try:
        yield client
    finally:
        client.close()


# --- what it takes ------------------------------------------------------------------------------------------------


def test_a_report_is_in_the_database_when_250_is_said(mailer: Mailer, lmtp: Running) -> None:
    """Promise 6; the null sender, and the content to the octet."""
    with lmtp.lmtp() as client:
        assert client.sendmail("", [OURS], REPORT) == {}
        (report,) = stored(mailer)
        assert bodies(mailer) == [REPORT]
    assert (report.source, report.form, report.status) == ("listener", ReportForm.MESSAGE, ReportStatus.WAITING)
    assert (report.envelope_from, report.envelope_to) == ("", OURS)


def test_several_recipients_are_a_report_each_with_a_reply_each(mailer: Mailer, lmtp: Running) -> None:
    """RFC 2033 4.2."""
    with raw(lmtp.port) as client:
        client.begin(OURS, UNSUBSCRIBE, "Postmaster@bounce.example.org", "abuse@BOUNCE.example.org")
        client.socket.sendall(REPORT.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert [client.reply() for _ in range(4)] == ["250 2.0.0 Stored"] * 4
        assert client.say("NOOP").startswith("250")
    assert len(stored(mailer)) == 4
    others = {"postmaster@bounce.example.org", "abuse@bounce.example.org"}
    assert {each.envelope_to for each in stored(mailer)} == {OURS, UNSUBSCRIBE} | others


def wide(text: str, letters: int) -> str:
    """The same domain for IDNA, with some of its letters in full width: those whose bits are set."""
    bits = {place for place, letter in enumerate(text) if letters >> place & 1 and letter.isalpha()}
    return "".join(chr(ord(letter) + 0xFEE0) if place in bits else letter for place, letter in enumerate(text))


def test_an_address_in_all_the_ways_to_write_it_is_one(mailer: Mailer, smtp: Running) -> None:
    """F1, F8: nobody makes a hundred reports of one."""
    _, domain = OURS.split("@")
    ways = [OURS.replace(domain, wide(domain, each * 37)) for each in range(1, 60)]
    ways += [OURS, OURS.upper(), f'"{OURS.partition("@")[0]}"@{domain}']
    with raw(smtp.port) as client:
        assert client.say("EHLO mx.example").startswith("250")
        assert client.say("MAIL FROM:<> SMTPUTF8").startswith("250")
        assert {client.say(f"RCPT TO:<{way}>") for way in ways} == {"250 2.1.5 Ok"}
        client.say("DATA")
        assert client.say(REPORT.decode().replace("\r\n.", "\r\n..") + ".") == "250 2.0.0 Stored"
    assert [each.envelope_to for each in stored(mailer)] == [OURS]


def test_a_recipient_that_is_told_again_is_answered_again_and_stored_once(mailer: Mailer, lmtp: Running) -> None:
    """RFC 2033 4.2: a reply for each RCPT, also for the same address."""
    with raw(lmtp.port) as client:
        client.begin(OURS, OURS, UNSUBSCRIBE, OURS)
        client.socket.sendall(b"x\r\n.\r\n")
        assert [client.reply() for _ in range(4)] == ["250 2.0.0 Stored"] * 4
        assert client.say("NOOP").startswith("250")
    assert [each.envelope_to for each in stored(mailer)] == [OURS, UNSUBSCRIBE]


def test_over_smtp_there_is_one_reply_for_all(mailer: Mailer, smtp: Running) -> None:
    with raw(smtp.port) as client:
        client.begin(OURS, UNSUBSCRIBE, greeting="EHLO mx.example")
        client.socket.sendall(REPORT + b".\r\n")
        assert client.reply() == "250 2.0.0 Stored"
        assert client.say("QUIT").startswith("221")
    assert len(stored(mailer)) == 2


def test_the_same_report_again_is_stored_once(mailer: Mailer, lmtp: Running) -> None:
    """A mail server that did not hear our reply sends it again."""
    for _ in range(2):
        with lmtp.lmtp() as client:
            assert client.sendmail("someone@example.com", [OURS], REPORT) == {}
    assert [each.envelope_from for each in stored(mailer)] == ["someone@example.com"]


def test_addresses_and_headers_beyond_ascii_are_taken(mailer: Mailer, smtp: Running) -> None:
    """RFC 6531."""
    with smtp.smtp() as client:
        client.ehlo()
        assert client.has_extn("smtputf8")
        text = "Subject: 配信エラー\r\n\r\n宛先不明\r\n".encode()
        client.sendmail("花子@例え.jp", [OURS], text, ["SMTPUTF8", "BODY=8BITMIME"])
    assert [each.envelope_from for each in stored(mailer)] == ["花子@例え.jp"]
    assert bodies(mailer) == [text]


def test_it_offers_what_lmtp_servers_have_to(lmtp: Running) -> None:
    """RFC 2033 5; and no login."""
    with lmtp.lmtp() as client:
        client.ehlo()
        offered = set(client.esmtp_features)
        size = client.esmtp_features["size"]
    assert offered >= {"pipelining", "enhancedstatuscodes", "8bitmime"}
    assert "auth" not in offered
    assert int(size) == LIMIT


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 61])
def test_it_does_not_matter_where_packets_are_split(mailer: Mailer, lmtp: Running, piece: int) -> None:
    said = b"LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<%b>\r\nDATA\r\n" % OURS.encode()
    said += b"\r\n..\r\n.x\n.\r\r\n..\r\n.\n\r\n\r\n.\r\nQUIT\r\n"
    with raw(lmtp.port) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(said), piece):
            client.socket.sendall(said[start : start + piece])
        replies = [client.reply() for _ in range(6)]
    assert [reply[:3] for reply in replies] == ["250", "250", "250", "354", "250", "221"]
    assert bodies(mailer) == [b"\r\n.\r\nx\n.\r\r\n.\r\n\n\r\n\r\n"]


def test_a_line_may_be_as_long_as_it_likes(mailer: Mailer, lmtp: Running) -> None:
    """F8: no refusal for ever of what other programs have written."""
    text = b"Subject: x\r\n\r\n" + b"y" * 300_000 + b"\r\n." + b"z" * 70_000 + b"\r\n"
    with lmtp.lmtp() as client:
        client.sendmail("", [OURS], text)
    assert bodies(mailer) == [text]


def test_only_a_lone_dot_on_its_own_line_ends_a_message(mailer: Mailer, lmtp: Running) -> None:
    """S10: bare line feeds end nothing, so nothing can be smuggled in behind them."""
    smuggled = b"x\n.\nMAIL FROM:<a@example.com>\r\nRCPT TO:<%b>\n.\r\ny\r\n" % OURS.encode()
    with raw(lmtp.port) as client:
        client.begin(OURS)
        client.socket.sendall(smuggled + b".\r\n")
        assert client.reply() == "250 2.0.0 Stored"
    assert bodies(mailer) == [smuggled]


def test_many_at_once_are_all_stored_and_counted(mailer: Mailer) -> None:
    def send(number: int) -> None:
        with listener.lmtp() as client:
            for part in range(5):
                assert client.sendmail("", [OURS], b"Subject: %d %d\r\n\r\nx\r\n" % (number, part)) == {}

    with running(mailer) as listener, ThreadPoolExecutor(40) as pool:
        list(pool.map(send, range(40)))
    assert len(stored(mailer)) == 200
    with mailer.database.reading() as session:
        assert [way.stored for way in ways_in(session)] == [200]


# --- what it refuses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "someone@example.com",
        "someone@bounce.example.org",
        OURS.replace("@bounce.", "@"),
        f"{OURS}.example.com",
        "b+aekq2hv6nb5xw4c7@bounce.example.org",
        FORGED,
        "b+no-token!@bounce.example.org",
        "b+@bounce.example.org",
        "someone%example.com@bounce.example.org",
        "postmaster@example.org",
    ],
)
def test_it_is_no_relay(mailer: Mailer, lmtp: Running, address: str) -> None:
    with raw(lmtp.port) as client:
        client.say("LHLO client.example")
        client.say("MAIL FROM:<>")
        assert client.say(f"RCPT TO:<{address}>").startswith("550 5.1.1 ")
        assert client.say("DATA").startswith("503 5.5.1 ")
        assert client.say(f"RCPT TO:<{OURS}>").startswith("250")
    assert stored(mailer) == []


@pytest.mark.parametrize("is_declared", [True, False])
def test_what_is_too_large_is_refused_for_each_recipient(mailer: Mailer, lmtp: Running, is_declared: bool) -> None:
    """F8; RFC 1870 6: at MAIL where the size is told, else when it has come."""
    with raw(lmtp.port) as client:
        client.say("LHLO client.example")
        if is_declared:
            assert client.say(f"MAIL FROM:<> SIZE={LIMIT + 1}").startswith("552 5.3.4 ")
        else:
            client.say("RSET")
            client.begin(OURS, UNSUBSCRIBE)
            for _ in range(LIMIT // 65536 + 1):
                client.socket.sendall((b"x" * 1022 + b"\r\n") * 64)
            client.socket.sendall(b".\r\n")
            assert [client.reply()[:9] for _ in range(2)] == ["552 5.3.4"] * 2
        client.begin(OURS)
        client.socket.sendall(b"small\r\n.\r\n")
        assert client.reply().startswith("250")
    assert bodies(mailer) == [b"small\r\n"]


def lines(octets: int) -> bytes:
    """A text of so many octets."""
    return (b"x" * 62 + b"\r\n") * (octets // 64)


@pytest.mark.parametrize("recipients", [("postmaster",), ("abuse", "postmaster")])
def test_without_a_token_a_message_has_to_be_small(mailer: Mailer, lmtp: Running, recipients: tuple[str, ...]) -> None:
    """F8: anybody may write it. SIZE tells the limit of reports, which is larger."""
    addresses = [f"{name}@bounce.example.org" for name in recipients]
    with raw(lmtp.port) as client:
        for content, reply in ((lines(UNSIGNED), "250 2.0.0"), (lines(UNSIGNED) + b"\r\n", "552 5.3.4")):
            client.begin(*addresses)
            client.socket.sendall(content + b".\r\n")
            assert [client.reply()[:9] for _ in addresses] == [reply] * len(addresses)
    assert bodies(mailer) == [lines(UNSIGNED)] * len(addresses)


@pytest.mark.parametrize("recipients", [[OURS], ["postmaster@bounce.example.org", UNSUBSCRIBE]])
def test_with_a_token_it_may_be_larger(mailer: Mailer, lmtp: Running, recipients: list[str]) -> None:
    with raw(lmtp.port) as client:
        client.begin(*recipients)
        client.socket.sendall(lines(UNSIGNED + 64) + b".\r\n")
        assert [client.reply() for _ in recipients] == ["250 2.0.0 Stored"] * len(recipients)
    assert bodies(mailer) == [lines(UNSIGNED + 64)] * len(recipients)


def test_many_small_messages_without_a_token_are_much(mailer: Mailer, lmtp: Running) -> None:
    """F8: each takes a row, however short it is."""
    lmtp.listener.allowance = Allowance(10 * 1024, mailer.clock().date())
    with raw(lmtp.port) as client:
        replies = []
        for number in range(12):
            client.begin("postmaster@bounce.example.org")
            replies.append(client.say(f"{number}\r\n.")[:3])
    assert replies == ["250"] * 9 + ["452"] * 3


def test_without_a_token_only_so_much_is_stored_in_a_day(
    mailer: Mailer, lmtp: Running, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """F8: strangers cannot fill the disk; 452, so that what is honest comes again. Logged once a day."""
    lmtp.listener.allowance = Allowance(3 * (UNSIGNED + 1024), mailer.clock().date())
    both = ["postmaster@bounce.example.org", "abuse@bounce.example.org"]

    def replies(recipients: list[str], number: int) -> list[str]:
        with raw(lmtp.port) as client:
            client.begin(*recipients)
            client.socket.sendall(b"%d\r\n" % number + lines(UNSIGNED - 64) + b".\r\n")
            return [client.reply()[:9] for _ in recipients]

    assert replies([*both, both[0]], 1) == ["250 2.0.0"] * 3, "who is told again has no second copy"
    assert replies(both, 2) == ["452 4.3.1"] * 2, "each recipient has a copy of it"
    assert replies(both[:1], 3) == ["250 2.0.0"]
    assert replies(both[:1], 4) == ["452 4.3.1"]
    assert replies([OURS], 5) == ["250 2.0.0"], "reports come in as ever"
    assert caplog.text.count("messages without a token have brought ") == 1
    clock.forward(days=1)
    assert replies(both, 6) == ["250 2.0.0"] * 2
    assert len(stored(mailer)) == 6


@pytest.mark.parametrize(
    "line",
    [
        "VRFY \udcff",
        "RCPT TO:<b+\udcff@bounce.example.org>",
        "MAIL FROM:<",
        "RCPT TO:<(((@b>",
        "\udcff\udcfe",
        "EHLO x",
    ],
)
def test_nonsense_is_answered_and_the_conversation_goes_on(mailer: Mailer, lmtp: Running, line: str) -> None:
    with raw(lmtp.port) as client:
        client.say("LHLO client.example")
        assert client.say(line)[0] in "245"
        client.say("RSET")
        client.begin(OURS)
        client.socket.sendall(b"x\r\n.\r\n")
        assert client.reply().startswith("250")
    assert len(stored(mailer)) == 1


def test_a_sender_that_no_database_takes_is_cleaned(mailer: Mailer, smtp: Running) -> None:
    with raw(smtp.port) as client:
        client.say("EHLO mx.example")
        assert client.say("MAIL FROM:<a\udcffb@example.com> SMTPUTF8").startswith("250")
        client.say(f"RCPT TO:<{OURS}>")
        client.say("DATA")
        assert client.say("x\r\n.").startswith("250")
    assert [each.envelope_from for each in stored(mailer)] == ["a?b@example.com"]


# --- when things are not well -------------------------------------------------------------------------------------


def test_while_the_database_is_away_it_says_try_again(make_mailer: Callable[..., Mailer]) -> None:
    """Promise 6: 451, so that nothing is lost; never 5xx for what is our fault."""
    deaf = make_mailer(database_url="postgresql+psycopg://nobody@127.0.0.1:1/none")
    with running(deaf) as listener, raw(listener.port) as client:
        client.begin(OURS, UNSUBSCRIBE)
        client.socket.sendall(REPORT + b".\r\n")
        assert [client.reply()[:9] for _ in range(2)] == ["451 4.3.0"] * 2
        assert client.say("NOOP").startswith("250")


def test_a_fault_of_ours_is_try_again_too(mailer: Mailer, lmtp: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bool:
        raise RuntimeError("a mistake")

    with raw(lmtp.port) as client:
        client.begin(OURS, UNSUBSCRIBE)
        with monkeypatch.context() as patch:
            patch.setattr(listener_module, "store", broken)
            client.socket.sendall(REPORT + b".\r\n")
            assert [client.reply()[:9] for _ in range(2)] == ["451 4.3.0"] * 2
        client.begin(OURS)
        client.socket.sendall(REPORT + b".\r\n")
        assert client.reply().startswith("250")
    assert len(stored(mailer)) == 1


def test_while_nobody_can_be_told_of_its_health_it_takes_reports(
    mailer: Mailer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Promise 6: whatever a database says to the note, as one that is read-only, the listener stays."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("cannot execute INSERT in a read-only transaction")

    with monkeypatch.context() as patch:
        patch.setattr(listener_module.health, "seen", broken)
        with running(mailer) as listener, listener.lmtp() as client:
            wait_until(lambda: "read-only" in caplog.text)
            assert client.sendmail("", [OURS], REPORT) == {}
    assert bodies(mailer) == [REPORT]


def test_a_client_that_leaves_in_the_middle_leaves_nothing(mailer: Mailer, lmtp: Running) -> None:
    with raw(lmtp.port) as client:
        client.begin(OURS)
        client.socket.sendall(REPORT)
    with lmtp.lmtp() as other:
        other.sendmail("", [UNSUBSCRIBE], b"x\r\n")
    assert bodies(mailer) == [b"x\r\n"]


def test_others_are_served_while_the_database_is_slow(mailer: Mailer, lmtp: Running) -> None:
    """The loop never waits for the database."""
    with mailer.database.transaction() as session, raw(lmtp.port) as client, raw(lmtp.port) as other:
        session.add(
            RawReport(received_at=mailer.clock(), source="x", form=ReportForm.MESSAGE, digest="0" * 64, body=b"")
        )
        session.flush()  # SQLite has one writer, and that is us
        client.begin(OURS)
        client.socket.sendall(REPORT + b".\r\n")
        assert other.say("NOOP").startswith("250")
        session.commit()
        assert client.reply().startswith("250")


def test_those_who_say_nothing_more_keep_nobody_out(mailer: Mailer, lmtp: Running) -> None:
    """F8: room is taken by octets that are held, and not by whoever might send some."""
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(raw(lmtp.port)).begin(OURS)
        with lmtp.lmtp() as client:
            assert client.sendmail("", [UNSUBSCRIBE], REPORT) == {}
    assert bodies(mailer) == [REPORT]


def test_without_room_a_large_message_is_to_come_again_and_small_ones_are_taken(mailer: Mailer, lmtp: Running) -> None:
    """F8: the memory of all messages together is bounded."""
    lmtp.listener.room.free = 3 * SMALL
    large = (b"x" * 1022 + b"\r\n") * (3 * SMALL // 1024)
    with raw(lmtp.port) as first, raw(lmtp.port) as second:
        for client in (first, second):
            client.begin(OURS)
            client.socket.sendall(large)
            wait_until(lambda: lmtp.listener.room.free < 2 * SMALL)
        with lmtp.lmtp() as other:
            other.sendmail("", [UNSUBSCRIBE], REPORT)
        for client, reply in ((second, "452 4.3.1"), (first, "250 2.0.0")):
            client.socket.sendall(b".\r\n")
            assert client.reply()[:9] == reply
        second.begin(OURS)
        second.socket.sendall(large + b"again\r\n.\r\n")
        assert second.reply().startswith("250")
    assert bodies(mailer) == [REPORT, large, large + b"again\r\n"]
    assert lmtp.listener.room.free == 3 * SMALL


def test_a_client_that_left_gives_its_room_back(lmtp: Running) -> None:
    before = lmtp.listener.room.free
    with raw(lmtp.port) as client:
        client.begin(OURS)
        client.socket.sendall((b"x" * 1022 + b"\r\n") * 1024)
        wait_until(lambda: lmtp.listener.room.free < before)
    wait_until(lambda: lmtp.listener.room.free == before)


def test_silence_ends_a_connection_and_slow_content_does_not(
    mailer: Mailer, lmtp: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 5321 4.5.3.2.5: each piece of the content has the whole time."""
    monkeypatch.setattr(receiving, "_SECONDS", 1)
    with raw(lmtp.port) as slow, raw(lmtp.port) as silent:
        silent.begin(OURS)
        slow.begin(OURS)
        for _ in range(6):
            slow.socket.sendall(b"x\r\n")
            time.sleep(0.4)
        slow.socket.sendall(b".\r\n")
        assert slow.reply().startswith("250")
        assert silent.lines.readline() == b""
    assert bodies(mailer) == [b"x\r\n" * 6]


def test_a_message_that_drips_for_ever_is_sent_away(lmtp: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "_LONGEST", 0.5)
    with raw(lmtp.port) as client:
        client.begin(OURS)
        for _ in range(4):
            client.socket.sendall(b"x\r\n")
            time.sleep(0.1)
        assert client.reply().startswith("421 4.4.2 ")
        assert client.lines.readline() == b""


def test_of_one_address_there_are_only_so_many_connections(mailer: Mailer, smtp: Running) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(raw(smtp.port)) for _ in range(20)]
        assert all(client.say("NOOP").startswith("250") for client in clients)
        with socket.create_connection(("127.0.0.1", smtp.port), 20) as more, more.makefile("rb") as lines:
            assert lines.read().startswith(b"421 4.7.0 ")
        clients[0].close()
        wait_until(lambda: len(smtp.listener.connections) == 19)
        with smtp.smtp() as client:
            client.sendmail("", [OURS], REPORT)
    assert len(stored(mailer)) == 1


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
    ],
)
def test_whoever_has_a_network_of_ipv6_addresses_is_one_client(host: str, client: str) -> None:
    """RFC 4291 2.5.4."""
    assert receiving.client_at(host) == client


class Peer(asyncio.Transport):
    """The other end of a connection, at an address that a test cannot have; keeps what it hears."""

    def __init__(self, host: str) -> None:
        super().__init__({"peername": (host, 25, 0, 0)})
        self.heard = b""
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.heard += bytes(data)

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True


def test_a_network_of_ipv6_addresses_has_no_more_places_than_an_address(mailer: Mailer) -> None:
    async def connect() -> list[Peer]:
        listener = Listener(mailer.database, OurAddresses("bounce.example.org", KEYRING), mailer.clock)
        peers = [Peer(f"2001:db8::{number:x}") for number in range(1, 22)] + [Peer("2001:db8:0:1::1")]
        for peer in peers:
            listener.smtp().connection_made(peer)
        await asyncio.sleep(0.05)
        return peers

    heard = [peer.heard[:4] for peer in asyncio.run(connect())]
    assert heard == [b"220 "] * 20 + [b"421 ", b"220 "]


def test_of_all_together_there_are_only_so_many_connections(lmtp: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "_CONNECTIONS", 30)
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(raw(lmtp.port))
        with socket.create_connection(("127.0.0.1", lmtp.port), 20) as more, more.makefile("rb") as lines:
            assert lines.read().startswith(b"421 4.7.0 ")


def test_told_to_end_it_lets_a_message_arrive_and_sends_everybody_else_away(mailer: Mailer) -> None:
    with running(mailer) as listener, raw(listener.port) as busy, raw(listener.port) as idle:
        idle.say("LHLO client.example")
        busy.begin(OURS)
        busy.socket.sendall(REPORT)
        time.sleep(0.1)
        listener.stop()
        assert idle.reply().startswith("421 4.3.2 ")
        assert idle.lines.readline() == b""
        busy.socket.sendall(b".\r\n")
        assert busy.reply() == "250 2.0.0 Stored"
        assert busy.reply().startswith("421 4.3.2 ")
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", listener.port), 5):
            pytest.fail("it still listens")
    assert len(stored(mailer)) == 1


def test_its_health_tells_that_it_is_there_and_what_came(mailer: Mailer) -> None:
    with running(mailer) as listener, listener.lmtp() as client:
        for address in (OURS, UNSUBSCRIBE, OURS):
            client.sendmail("", [address], REPORT)
    with mailer.database.reading() as session:
        (way,) = ways_in(session)
    assert (way.name, way.stored, way.tried_at, way.problem) == ("listener", 2, mailer.clock(), None)


def test_starttls_protects_who_wants_it(mailer: Mailer, tmp_path: Path) -> None:
    _write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    trusting = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
    with ExitStack() as stack:
        listener = stack.enter_context(running(mailer, is_lmtp=False, tls=context))
        client = stack.enter_context(listener.smtp())
        client.starttls(context=trusting)
        client.ehlo()
        assert not client.has_extn("auth")
        client.sendmail("", [OURS], REPORT)
    assert bodies(mailer) == [REPORT]
