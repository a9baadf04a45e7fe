"""The whole way out, against scripted relays on loopback."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from jlgc_mailer.sending.letters import Letter
from jlgc_mailer.sending.transports.smtp import SmtpTransport
from tests.sending.transports.smtp.conftest import QUICK
from tests.sending.transports.smtp.peers import Peer, Script, Talk, following, listening, talking, wait_until
from tests.sending.transports.supplies import Stock, a_letter, accepted, letters

Make = Callable[..., SmtpTransport]
MakeStock = Callable[..., Stock]


# Every letter, once, as itself


@pytest.mark.parametrize("offers", [["PIPELINING", "DSN"], []])
def test_every_letter_arrives_once_under_its_own_envelope_sender(
    make_transport: Make, make_stock: MakeStock, offers: Sequence[str]
) -> None:
    script = Script(offers=offers)
    with listening(following(script)) as site:
        stock = make_stock(letters(50))
        assert make_transport(site.port, connections=3).deliver(stock) is None
    assert stock.statuses == accepted(50)
    assert sorted(each.address for each in script.received) == sorted(each.address for each in stock.given)
    for each in script.received:
        number = each.address[1:].partition("@")[0]
        assert each.sender == f"b+{number}@bounce.example.org"
        assert each.content == a_letter(int(number)).content


def test_no_content_goes_out_before_it_was_noted(make_transport: Make, make_stock: MakeStock) -> None:
    early: list[str] = []
    stock = make_stock(letters(100))
    script = Script(rcpt={"r7@example.com": ["550 5.1.1 No"]})
    script.on_write = lambda data: early.extend(
        letter.address
        for letter in stock.given
        if letter.content[:12] in data and letter.address not in stock.announced
    )
    with listening(following(script)) as site:
        assert make_transport(site.port, connections=4).deliver(stock) is None
    assert early == []
    assert stock.announced == set(stock.statuses) - {"r7@example.com"}


def test_settled_and_going_out_are_noted_together(make_transport: Make, make_stock: MakeStock) -> None:
    """One note a round: with one connection in steady flow, one a letter, and one for the last answer."""
    with listening(following(Script())) as site:
        stock = make_stock(letters(30))
        make_transport(site.port).deliver(stock)
    assert stock.notes == 31


def test_replies_that_come_octet_by_octet_change_nothing(make_transport: Make, make_stock: MakeStock) -> None:
    script = Script(rcpt={"r3@example.com": ["550-5.1.1 No\r\n550 5.1.1 such user"]})
    with listening(following(script, octets_at_once=1)) as site:
        stock = make_stock(letters(8))
        assert make_transport(site.port, connections=2).deliver(stock) is None
    assert stock.statuses == accepted(8) | {"r3@example.com": "refused"}


def test_a_relay_that_reads_slowly_gets_whole_letters(make_transport: Make, make_stock: MakeStock) -> None:
    """Writes are partial: the letters are larger than what the other end takes at once."""
    script = Script()
    given = [a_letter(n, size=1_500_000) for n in range(6)]
    with listening(following(script, read_at_once=30_000), receive_buffer=4096) as site:
        stock = make_stock(given)
        assert make_transport(site.port, connections=2).deliver(stock) is None
    assert stock.statuses == accepted(6)
    assert {each.address: each.content for each in script.received} == {each.address: each.content for each in given}


def test_letters_that_cannot_be_written_down_are_refused_alone(make_transport: Make, make_stock: MakeStock) -> None:
    """STANDARDS S9, S11."""
    given = [a_letter(0), a_letter(1, "山@example.com"), a_letter(2, "a b@example.com"), a_letter(3)]
    with listening(following(Script())) as site:
        stock = make_stock(given)
        assert make_transport(site.port).deliver(stock) is None
    assert stock.outcomes["山@example.com"].reply
    assert [str(outcome.reply)[:9] for outcome in stock.outcomes.values() if outcome.status == "refused"] == [
        "553 5.6.7",
        "554 5.6.0",
    ]
    assert stock.statuses["r0@example.com"] == stock.statuses["r3@example.com"] == "accepted"


def test_international_addresses_go_where_they_can(make_transport: Make, make_stock: MakeStock) -> None:
    """STANDARDS S9, M15."""
    script = Script(offers=["PIPELINING", "SMTPUTF8", "DSN"])
    with listening(following(script)) as site:
        stock = make_stock([a_letter(0, "山@example.com"), a_letter(1)])
        make_transport(site.port).deliver(stock)
    assert set(stock.statuses.values()) == {"accepted"}
    assert "MAIL FROM:<b+0@bounce.example.org> RET=HDRS ENVID=id-0 SMTPUTF8" in script.commands
    assert "RCPT TO:<山@example.com> NOTIFY=FAILURE,DELAY ORCPT=utf-8;\\x{5C71}@example.com" in script.commands
    assert "MAIL FROM:<b+1@bounce.example.org> RET=HDRS ENVID=id-1" in script.commands


# Stopping, waiting, and going on


def test_a_stop_is_felt_at_once_and_nothing_further_goes_out(make_transport: Make, make_stock: MakeStock) -> None:
    """Promise 7."""
    script = Script()
    with listening(following(script, delay=0.03)) as site:
        stock = make_stock(letters(1000))
        stopper = threading.Timer(0.4, stock.stop)
        stopper.start()
        begun = time.monotonic()
        assert make_transport(site.port, connections=5).deliver(stock) is None
        assert time.monotonic() - begun < 1
        stopper.join()
        statuses = stock.statuses
        wait_until(lambda: site.open == 0 or len(script.received) == len(statuses))
    assert set(statuses.values()) == {"accepted"}
    assert 0 < len(statuses) < 200
    assert stock.returned
    assert {each.address for each in script.received} == set(statuses)
    assert stock.announced == set(statuses)


def test_what_is_being_sent_when_stopped_is_finished(make_transport: Make, make_stock: MakeStock) -> None:
    stock = make_stock([a_letter(0, size=2_000_000), a_letter(1)])
    script = Script()

    def slowly(connection: socket.socket) -> None:
        peer = Peer(script)
        connection.sendall(peer.greet())
        for _ in range(2):
            connection.sendall(peer.feed(connection.recv(1000)))
        stock.stop()
        following_on = connection.recv(20000)
        while following_on:
            time.sleep(0.0005)
            connection.sendall(peer.feed(following_on))
            following_on = connection.recv(20000)

    with listening(slowly, receive_buffer=4096) as site:
        assert make_transport(site.port).deliver(stock) is None
    assert set(stock.statuses.values()) <= {"accepted"}
    assert len(script.received) == len(stock.statuses)
    assert len(stock.statuses) + len(stock.returned) == len(stock.given)


def test_stopped_before_anything_gives_all_back(make_transport: Make, make_stock: MakeStock) -> None:
    with listening(following(Script())) as site:
        stock = make_stock(letters(5))
        stock.stop()
        assert make_transport(site.port).deliver(stock) is None
        assert site.connections == 0
    assert stock.given == []


def test_a_supply_may_run_dry_and_go_on(make_transport: Make, make_stock: MakeStock) -> None:
    script = Script()
    with listening(following(script)) as site:
        stock = make_stock(letters(3), is_over=False)
        transport = make_transport(site.port, connections=3)
        worker = threading.Thread(target=transport.deliver, args=(stock,))
        worker.start()
        wait_until(lambda: len(stock.settled) == 3)
        before = time.monotonic()
        stock.add(a_letter(3))
        wait_until(lambda: len(stock.settled) == 4)
        assert time.monotonic() - before < 0.2
        stock.finish()
        worker.join(5)
        assert not worker.is_alive()
        assert site.connections <= 3
    assert stock.statuses == accepted(4)


def test_connections_are_kept_for_the_next_time(make_transport: Make, make_stock: MakeStock) -> None:
    """STANDARDS S5."""
    script = Script()
    with listening(following(script)) as site:
        transport = make_transport(site.port)
        for _ in range(3):
            stock = make_stock(letters(4))
            assert transport.deliver(stock) is None
            assert stock.statuses == accepted(4)
        assert site.connections == 1
        assert "QUIT" not in script.commands
        transport.close()
        wait_until(lambda: "QUIT" in script.commands)


@pytest.mark.parametrize("farewell", [b"421 4.4.2 relay.example Error: timeout exceeded\r\n", b""])
def test_a_connection_that_was_closed_meanwhile_is_noticed(
    make_transport: Make, make_stock: MakeStock, farewell: bytes
) -> None:
    """Between two calls nobody looks; the next one does before it sends anything."""
    script = Script()
    may_close, is_closed = threading.Event(), threading.Event()

    def tire(connection: socket.socket) -> None:
        peer = Peer(script)
        connection.sendall(peer.greet())
        while not may_close.is_set():
            connection.settimeout(0.01)
            with contextlib.suppress(TimeoutError):
                connection.sendall(peer.feed(connection.recv(65536)))
        connection.sendall(farewell)
        connection.close()
        is_closed.set()

    with listening(tire, following(script)) as site:
        transport = make_transport(site.port)
        assert transport.deliver(make_stock(letters(2))) is None
        may_close.set()
        assert is_closed.wait(5)
        stock = make_stock([a_letter(n) for n in (2, 3)])
        assert transport.deliver(stock) is None
        assert site.connections == 2
    assert set(stock.statuses.values()) == {"accepted"}
    assert len(script.received) == 4


def test_after_trouble_the_same_transport_can_be_used_again(make_transport: Make, make_stock: MakeStock) -> None:
    script = Script()
    with listening(following(Script(greeting="421 4.3.2 Not now")), following(script)) as site:
        transport = make_transport(site.port)
        assert transport.deliver(make_stock(letters(2))) is not None
        stock = make_stock(letters(2))
        assert transport.deliver(stock) is None
    assert stock.statuses == accepted(2)


def test_a_supply_that_breaks_takes_no_connection_into_the_next_errand(
    make_transport: Make, make_stock: MakeStock
) -> None:
    """What was on the wire then belongs to nobody; the ledger knows it as uncertain."""

    class Broken(Stock):
        def note(self, settled: Sequence[Any], going_out: Sequence[Letter]) -> None:
            raise OSError(28, "No space left on device")

    script = Script()
    with listening(following(script)) as site:
        transport = make_transport(site.port)
        broken = Broken(letters(3))
        with pytest.raises(OSError, match="No space left"):
            transport.deliver(broken)
        broken.close()
        stock = make_stock(letters(3))
        assert transport.deliver(stock) is None
        assert site.connections == 2
    assert stock.statuses == accepted(3)
    assert len(script.received) == 3


def test_taking_leave_of_a_relay_that_does_not_answer_takes_no_longer_than_it_should(
    make_transport: Make, make_stock: MakeStock
) -> None:
    """STANDARDS S1."""

    def ignore_quit(talk: Talk) -> None:
        talk.open()
        talk.envelope()
        talk.content()
        talk.say("250 Ok")
        talk.line()
        time.sleep(3)

    with listening(talking(ignore_quit)) as site:
        transport = make_transport(site.port, timeouts=QUICK)
        assert transport.deliver(make_stock(letters(1))) is None
        begun = time.monotonic()
        transport.close()
        assert 0.9 < time.monotonic() - begun < 2
