"""Several connections to one relay: limits, deaths, age, latency."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from jlgc_mailer.sending.transports.smtp import SmtpTransport
from tests.sending.transports.smtp.peers import Peer, Script, Talk, following, listening, talking, wait_until
from tests.sending.transports.supplies import Stock, accepted, letters

Make = Callable[..., SmtpTransport]
MakeStock = Callable[..., Stock]


def test_of_five_connections_two_die_and_nothing_is_lost(make_transport: Make, make_stock: MakeStock) -> None:
    script = Script()

    def dying(connection: socket.socket) -> None:
        peer = Peer(script)
        connection.sendall(peer.greet())
        for _ in range(6):
            connection.sendall(peer.feed(connection.recv(65536)))
        connection.recv(100)  # cut off in the middle of what follows

    follow = following(script, delay=0.002)
    with listening(follow, dying, follow, dying, follow) as site:
        stock = make_stock(letters(300))
        assert make_transport(site.port, connections=5).deliver(stock) is None
        assert site.connections >= 5
    statuses = stock.statuses
    assert len(statuses) == 300
    uncertain = {address for address, status in statuses.items() if status == "uncertain"}
    assert {statuses[each] for each in statuses.keys() - uncertain} == {"accepted"}
    assert len(uncertain) <= 2
    received = [each.address for each in script.received]
    assert len(received) == len(set(received))
    assert set(received) | uncertain == set(statuses)


def test_a_limit_on_connections_only_means_fewer(make_transport: Make, make_stock: MakeStock) -> None:
    script = Script()
    full = following(Script(greeting="421 4.7.0 Too many connections"))
    follow = following(script, delay=0.001)
    with listening(follow, follow, full) as site:
        stock = make_stock(letters(200))
        assert make_transport(site.port, connections=10).deliver(stock) is None
        assert site.connections <= 12
    assert stock.statuses == accepted(200)


def test_a_bad_one_among_several_machines_does_not_take_the_letters_of_the_good_ones(
    make_transport: Make, make_stock: MakeStock
) -> None:
    """Behind one name there may be one that says farewell to everybody, and so is always free."""
    script = Script()
    with listening(following(script, delay=0.002), following(Script(rcpt={"*": ["421 4.3.2 Full"]}))) as site:
        stock = make_stock(letters(100))
        assert make_transport(site.port, connections=3).deliver(stock) is None
        assert site.connections < 12
    assert list(stock.statuses.values()).count("accepted") > 90
    assert set(stock.statuses.values()) <= {"accepted", "deferred"}


def test_connections_that_are_not_needed_in_the_end_are_closed(make_transport: Make, make_stock: MakeStock) -> None:
    def say_nothing(talk: Talk) -> None:
        talk.line()

    with listening(following(Script()), talking(say_nothing)) as site:
        stock = make_stock(letters(2))
        assert make_transport(site.port, connections=2).deliver(stock) is None
        wait_until(lambda: site.connections == 2 and site.open == 1)
    assert stock.statuses == accepted(2)


def test_a_relay_that_closes_after_a_hundred_letters_gets_all_the_same(
    make_transport: Make, make_stock: MakeStock
) -> None:
    """STANDARDS S5."""
    script = Script(closes_after=100)
    with listening(following(script)) as site:
        stock = make_stock(letters(350))
        assert make_transport(site.port).deliver(stock) is None
        assert site.connections == 4
    assert stock.statuses == accepted(350)


def test_a_connection_carries_no_more_than_it_should(make_transport: Make, make_stock: MakeStock) -> None:
    """STANDARDS S5, S1: and each ends with QUIT."""
    script = Script()
    with listening(following(script)) as site:
        stock = make_stock(letters(20))
        transport = make_transport(site.port, messages_per_connection=5)
        assert transport.deliver(stock) is None
        transport.close()
        assert site.connections == 4
        wait_until(lambda: script.commands.count("QUIT") == 4)
    assert stock.statuses == accepted(20)


def test_a_connection_grows_no_older_than_it_should(make_transport: Make, make_stock: MakeStock) -> None:
    """STANDARDS S5."""
    with listening(following(Script(), delay=0.02)) as site:
        stock = make_stock(letters(30))
        assert make_transport(site.port, connection_age=0.2).deliver(stock) is None
        assert 3 <= site.connections <= 8
    assert stock.statuses == accepted(30)


class Crowd:
    """Connections that wait for an answer, while the block lasts; how many did, and how many at once."""

    def __init__(self) -> None:
        self.answers = self.now = self.most = 0
        self._lock = threading.Lock()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        with self._lock:
            self.answers += 1
            self.now += 1
            self.most = max(self.most, self.now)
        yield
        with self._lock:
            self.now -= 1


@pytest.mark.parametrize("connections", [1, 10, 50])
def test_a_letter_costs_one_round_trip_and_all_connections_wait_for_theirs_at_once(
    make_transport: Make, make_stock: MakeStock, connections: int
) -> None:
    """RFC 2920: so throughput is linear in connections, which one thread serves."""
    number, script, crowd = 20 * connections, Script(), Crowd()

    def slow(connection: socket.socket) -> None:
        peer = Peer(script)
        connection.sendall(peer.greet())
        while not peer.is_over and (data := connection.recv(65536)):
            with crowd.waiting():
                time.sleep(0.02)
            connection.sendall(peer.feed(data))

    with listening(slow) as site:
        stock = make_stock(letters(number))
        assert make_transport(site.port, connections=connections).deliver(stock) is None
    assert stock.statuses == accepted(number)
    assert crowd.most == connections
    assert crowd.answers <= number + 3 * connections  # besides, EHLO, the first envelope and QUIT
