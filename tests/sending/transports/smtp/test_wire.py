"""The loop, against scripted relays on loopback."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from jlgc_mailer.sending.letters import Letter
from jlgc_mailer.sending.transports import Trouble
from jlgc_mailer.sending.transports.smtp import SmtpTransport, Timeouts
from jlgc_mailer.states import Stage
from tests.sending.transports.smtp.conftest import QUICK
from tests.sending.transports.smtp.peers import HANG_UP, Peer, Script, Talk, following, listening, talking
from tests.sending.transports.supplies import Stock, a_letter, letters
from tests.servers import free_port

Make = Callable[..., SmtpTransport]
MakeStock = Callable[..., Stock]


def accepted(number: int) -> dict[str, str]:
    return {f"r{n}@example.com": "accepted" for n in range(number)}


def wait_until(happened: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.005)


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


# Whom it is charged to


@pytest.mark.parametrize("offers", [["PIPELINING"], []])
@pytest.mark.parametrize(
    ("script", "stage", "problem"),
    [
        ({"greeting": "554 5.7.1 Not you"}, Stage.CONNECT, "554 5.7.1 Not you"),
        ({"greeting": "421 4.3.2 Not now"}, Stage.CONNECT, "421 4.3.2 Not now"),
        ({"greeting": HANG_UP}, Stage.CONNECT, "it hung up"),
        ({"ehlo": "550 No"}, Stage.EHLO, "550 No"),
        ({"ehlo": "421 No"}, Stage.EHLO, "421 No"),
        ({"mail": {"*": ["550 5.7.1 Blocked"]}}, Stage.MAIL, "550 5.7.1 Blocked"),
        ({"mail": {"*": ["451 4.3.0 Later"]}}, Stage.MAIL, "451 4.3.0 Later"),
        ({"mail": {"*": ["421 4.3.2 Bye"]}}, Stage.MAIL, "421 4.3.2 Bye"),
        ({"mail": {"*": [HANG_UP]}}, Stage.MAIL, "it hung up"),
    ],
)
def test_what_is_not_about_a_letter_charges_none(
    make_transport: Make,
    make_stock: MakeStock,
    offers: Sequence[str],
    script: dict[str, Any],
    stage: Stage,
    problem: str,
) -> None:
    """STANDARDS S3."""
    with listening(following(Script(offers=offers, **script))) as site:
        stock = make_stock(letters(5))
        trouble = make_transport(site.port, connections=3).deliver(stock)
        assert trouble == Trouble(f"127.0.0.1:{site.port}", stage, problem)
    assert stock.outcomes == {}


def test_nobody_listens(make_transport: Make, make_stock: MakeStock) -> None:
    """STANDARDS S3."""
    stock = make_stock(letters(3))
    port = free_port()
    trouble = make_transport(port, connections=2).deliver(stock)
    assert trouble == Trouble(f"127.0.0.1:{port}", Stage.CONNECT, "Connection refused")
    assert stock.outcomes == {}


def test_a_name_that_nobody_knows(make_transport: Make, make_stock: MakeStock, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    stock = make_stock(letters(3))
    trouble = make_transport(25).deliver(stock)
    assert trouble
    assert trouble.stage is Stage.CONNECT
    assert "Name or service not known" in trouble.problem
    assert stock.outcomes == {}


def test_an_address_that_is_dead_is_passed_over(
    make_transport: Make, make_stock: MakeStock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(following(Script())) as site:
        both = [(socket.AF_INET, 1, 6, "", ("127.0.0.1", port)) for port in (free_port(), site.port)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
        stock = make_stock(letters(3))
        assert make_transport(site.port).deliver(stock) is None
    assert stock.statuses == accepted(3)


def test_a_wrong_password_is_for_the_operator(make_transport: Make, make_stock: MakeStock) -> None:
    """STANDARDS S3: 535 stops everything, with no loop."""
    with listening(following(Script(offers=["AUTH PLAIN"], auth=["535 5.7.8 Wrong"] * 9))) as site:
        stock = make_stock(letters(3))
        trouble = make_transport(site.port, user="me", password=lambda: "secret").deliver(stock)
        assert trouble == Trouble(f"127.0.0.1:{site.port}", Stage.AUTH, "535 5.7.8 Wrong", for_operator=True)
        assert site.connections == 1
    assert stock.outcomes == {}


def test_a_password_is_asked_for_again_by_each_connection(make_transport: Make, make_stock: MakeStock) -> None:
    tokens = iter(["first", "second"])
    with listening(following(Script(offers=["AUTH PLAIN"], auth=["235 Ok"] * 9))) as site:
        transport = make_transport(site.port, user="me", password=lambda: next(tokens), messages_per_connection=1)
        stock = make_stock(letters(2))
        assert transport.deliver(stock) is None
    assert stock.statuses == accepted(2)
    assert next(tokens, None) is None


def test_a_relay_that_denies_everybody_charges_nobody(make_transport: Make, make_stock: MakeStock) -> None:
    """STANDARDS S3: the third denial in a row is the relay's."""
    script = Script(rcpt={"*": ["554 5.7.1 Relay access denied"]})
    with listening(following(script)) as site:
        stock = make_stock(letters(10))
        trouble = make_transport(site.port).deliver(stock)
    assert trouble
    assert (trouble.stage, trouble.problem) == (Stage.RCPT, "554 5.7.1 Relay access denied")
    assert stock.outcomes == {}
    assert len(stock.given) == 3


def test_a_denial_is_the_recipients_once_somebody_was_accepted(make_transport: Make, make_stock: MakeStock) -> None:
    """STANDARDS S3."""
    denial = ["554 5.7.1 Relay access denied"]
    script = Script(rcpt={"r0@example.com": denial, "r2@example.com": denial})
    with listening(following(script)) as site:
        stock = make_stock(letters(4))
        assert make_transport(site.port).deliver(stock) is None
    assert stock.statuses == accepted(4) | {"r0@example.com": "refused", "r2@example.com": "refused"}


def test_denials_that_nothing_decided_are_deferred_at_the_end(make_transport: Make, make_stock: MakeStock) -> None:
    with listening(following(Script(rcpt={"*": ["554 5.7.1 Relay access denied"]}))) as site:
        stock = make_stock(letters(2))
        assert make_transport(site.port).deliver(stock) is None
    assert set(stock.statuses.values()) == {"deferred"}


@pytest.mark.parametrize("offers", [["PIPELINING"], []])
@pytest.mark.parametrize("stage", ["rcpt", "data", "final"])
def test_a_letter_that_is_said_farewell_to_twice_is_deferred_and_blocks_nobody(
    make_transport: Make, make_stock: MakeStock, stage: str, offers: Sequence[str]
) -> None:
    """STANDARDS S3."""
    script = Script(offers=offers, **{stage: {"r2@example.com": ["421 4.3.2 Bye"]}})  # type: ignore[arg-type]
    with listening(following(script)) as site:
        stock = make_stock(letters(6))
        assert make_transport(site.port).deliver(stock) is None
        assert site.connections == 3
    assert stock.statuses == accepted(6) | {"r2@example.com": "deferred"}
    assert str(stock.outcomes["r2@example.com"].reply) == "421 4.3.2 Bye"


def test_a_letter_under_suspicion_goes_step_by_step_though_others_flow(
    make_transport: Make, make_stock: MakeStock
) -> None:
    """So that the letters beside it are not lost with it again."""
    script = Script(rcpt={"r2@example.com": [HANG_UP]})
    with listening(following(script, delay=0.002)) as site:
        stock = make_stock(letters(60))
        assert make_transport(site.port, connections=2).deliver(stock) is None
    assert stock.statuses == accepted(60) | {"r2@example.com": "deferred"}
    attempts = [write for write in script.writes if b"b+2@" in write]
    assert attempts[-1] == b"MAIL FROM:<b+2@bounce.example.org>\r\n"


@pytest.mark.parametrize("offers", [["PIPELINING"], []])
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
def test_a_connection_lost_before_content_costs_nobody_anything(
    make_transport: Make, make_stock: MakeStock, stage: str, offers: Sequence[str]
) -> None:
    """STANDARDS S3: hung up once at each stage, and each letter goes out on the next connection."""
    who = "b+2@bounce.example.org" if stage == "mail" else "r2@example.com"
    usual = {"mail": "250 Ok", "rcpt": "250 Ok", "data": "354 Go"}[stage]
    script = Script(offers=offers, **{stage: {who: [HANG_UP, usual]}})  # type: ignore[arg-type]
    with listening(following(script)) as site:
        stock = make_stock(letters(6))
        assert make_transport(site.port).deliver(stock) is None
    assert stock.statuses == accepted(6)
    assert len(script.received) == 6


def test_a_connection_lost_after_the_dot_is_uncertain_and_not_sent_again(
    make_transport: Make, make_stock: MakeStock
) -> None:
    """STANDARDS S4."""
    script = Script(final={"r2@example.com": [HANG_UP, "250 Ok"]})
    with listening(following(script)) as site:
        stock = make_stock(letters(6))
        assert make_transport(site.port).deliver(stock) is None
    assert stock.statuses == accepted(6) | {"r2@example.com": "uncertain"}
    assert stock.outcomes["r2@example.com"].reply is None
    assert [line for line in script.commands if "r2@" in line] == ["RCPT TO:<r2@example.com>"]


def test_a_connection_lost_in_the_middle_of_content_is_not_uncertain(
    make_transport: Make, make_stock: MakeStock
) -> None:
    """STANDARDS S4: without its final dot nothing was submitted; the letter goes out on the next connection."""

    def hang_up_amid_content(talk: Talk) -> None:
        talk.open()
        talk.envelope()
        talk.socket.recv(100_000)

    script = Script(offers=[])
    big = a_letter(0, size=8_000_000)
    with listening(talking(hang_up_amid_content), following(script), receive_buffer=4096) as site:
        stock = make_stock([big])
        assert make_transport(site.port).deliver(stock) is None
    assert stock.statuses == accepted(1)
    assert script.received[0].content == big.content


def test_a_letter_that_twice_ends_the_connection_amid_its_content_is_deferred(
    make_transport: Make, make_stock: MakeStock
) -> None:
    def hang_up_amid_content(talk: Talk) -> None:
        talk.open()
        talk.envelope()
        talk.socket.recv(100_000)

    with listening(talking(hang_up_amid_content), receive_buffer=4096) as site:
        stock = make_stock([a_letter(0, size=8_000_000)])
        assert make_transport(site.port).deliver(stock) is None
        assert site.connections == 2
    assert stock.statuses == {"r0@example.com": "deferred"}
    assert "hung up" in str(stock.outcomes["r0@example.com"].reply)


def test_a_relay_under_which_every_first_letter_dies_is_in_trouble(make_transport: Make, make_stock: MakeStock) -> None:
    """It would defer everybody, two connections each, and none of them is the reason."""
    with listening(following(Script(rcpt={"*": ["421 4.3.2 Out of memory"]}))) as site:
        stock = make_stock(letters(20))
        trouble = make_transport(site.port).deliver(stock)
        assert site.connections == 6
    assert trouble
    assert trouble.stage is Stage.RCPT
    assert set(stock.statuses.values()) == {"deferred"}
    assert len(stock.outcomes) == 3


def test_connections_that_bear_fruit_in_between_show_that_it_is_not_the_relay(
    make_transport: Make, make_stock: MakeStock
) -> None:
    bad = following(Script(rcpt={"*": ["421 4.3.2 Out of memory"]}))
    good = following(Script(closes_after=2))
    with listening(*[bad] * 4, good, *[bad] * 4, following(Script())) as site:
        stock = make_stock(letters(10))
        assert make_transport(site.port).deliver(stock) is None
        assert site.connections == 10
    assert list(stock.statuses.values()).count("deferred") == 4


# Silence (STANDARDS S1)


SOON = Timeouts(connect=0.3, command=0.3, data=0.3, block=0.3, final=0.3, quit=0.3)


def silent_at(stage: str) -> Callable[[Talk], None]:
    def conduct(talk: Talk) -> None:
        if stage != "greeting":
            talk.say("220 relay.example")
            talk.line()
        if stage not in {"greeting", "ehlo"}:
            talk.say("250 relay.example")
            talk.line()
        for each, reply in (("mail", "250 Ok"), ("rcpt", "250 Ok"), ("data", "354 Go")):
            if stage in {"greeting", "ehlo", each}:
                break
            talk.say(reply)
            if each != "data":
                talk.line()
        else:
            talk.content()
        with contextlib.suppress(OSError):
            while talk.socket.recv(1000):
                talk.socket.send(b"2")  # an octet now and then does not make a reply

    return conduct


@pytest.mark.parametrize(
    ("stage", "charged"),
    [("greeting", Stage.CONNECT), ("ehlo", Stage.EHLO), ("mail", Stage.MAIL)],
)
def test_a_relay_that_falls_silent_before_it_takes_a_letter_is_in_trouble(
    make_transport: Make, make_stock: MakeStock, stage: str, charged: Stage
) -> None:
    """STANDARDS S1, S3."""
    with listening(talking(silent_at(stage))) as site:
        stock = make_stock(letters(2))
        trouble = make_transport(site.port, timeouts=SOON).deliver(stock)
        assert trouble == Trouble(f"127.0.0.1:{site.port}", charged, "it did not answer in time")
    assert stock.outcomes == {}


@pytest.mark.parametrize(("stage", "status"), [("rcpt", "deferred"), ("data", "deferred"), ("final", "uncertain")])
def test_a_relay_that_falls_silent_on_a_letter_does_not_keep_it(
    make_transport: Make, make_stock: MakeStock, stage: str, status: str
) -> None:
    """STANDARDS S1, S4."""
    with listening(talking(silent_at(stage))) as site:
        stock = make_stock(letters(1))
        assert make_transport(site.port, timeouts=SOON).deliver(stock) is None
    assert stock.statuses == {"r0@example.com": status}


def test_a_reply_that_never_ends_is_not_waited_for(make_transport: Make, make_stock: MakeStock) -> None:
    """STANDARDS S1: only a whole reply is an answer; octets now and then are none."""

    def drip(talk: Talk) -> None:
        talk.open()
        with contextlib.suppress(OSError):
            for _ in range(40):
                talk.socket.sendall(b"2")
                time.sleep(0.1)

    with listening(talking(drip)) as site:
        stock = make_stock(letters(1))
        begun = time.monotonic()
        trouble = make_transport(site.port, timeouts=SOON).deliver(stock)
        assert time.monotonic() - begun < 2
    assert trouble
    assert (trouble.stage, trouble.problem) == (Stage.MAIL, "it did not answer in time")


def test_a_relay_that_reads_no_more_does_not_keep_the_letter(make_transport: Make, make_stock: MakeStock) -> None:
    """STANDARDS S1: a write that makes no progress for the time of a block."""

    def stop_reading(talk: Talk) -> None:
        talk.open()
        talk.envelope()
        may_end.wait(10)

    may_end = threading.Event()
    with listening(talking(stop_reading), receive_buffer=4096) as site:
        stock = make_stock([a_letter(0, size=8_000_000)])
        begun = time.monotonic()
        assert make_transport(site.port, timeouts=SOON).deliver(stock) is None
        assert time.monotonic() - begun < 3
        assert site.connections == 2
        may_end.set()
    assert stock.statuses == {"r0@example.com": "deferred"}


def test_a_relay_that_reads_slowly_is_waited_for_as_long_as_it_reads(
    make_transport: Make, make_stock: MakeStock
) -> None:
    """STANDARDS S1: the time of a block is for each block, not for the letter."""
    script = Script()
    script.on_write = lambda _: time.sleep(0.01)
    with listening(following(script, read_at_once=4000), receive_buffer=4096) as site:
        stock = make_stock([a_letter(0, size=1_000_000)])
        begun = time.monotonic()
        assert make_transport(site.port, timeouts=replace(SOON, block=1, final=5)).deliver(stock) is None
        assert time.monotonic() - begun > 1.5
    assert stock.statuses == accepted(1)


def test_a_relay_that_writes_without_end_is_left(make_transport: Make, make_stock: MakeStock) -> None:
    def flood(talk: Talk) -> None:
        with contextlib.suppress(OSError):
            while True:
                talk.socket.sendall(b"x" * 65536)

    with listening(talking(flood)) as site:
        stock = make_stock(letters(1))
        trouble = make_transport(site.port).deliver(stock)
    assert trouble
    assert trouble.stage is Stage.CONNECT
    assert "not SMTP" in trouble.problem


# Relays that cannot follow (STANDARDS S6)


def test_a_relay_that_cannot_bear_commands_behind_content_is_talked_to_in_groups(
    make_transport: Make, make_stock: MakeStock
) -> None:
    script = Script(dislikes_pipelining=lambda data: b"\r\n.\r\nMAIL" in data)
    with listening(following(script)) as site:
        stock = make_stock(letters(20))
        assert make_transport(site.port).deliver(stock) is None
        assert site.connections == 2
    assert stock.statuses == accepted(20)
    assert len(script.received) == 20
    late = script.writes[-10:]
    assert not any(b"\r\n.\r\nMAIL" in write for write in late)


@pytest.mark.parametrize("pattern", [b"\r\n.\r\nMAIL", b"DATA\r\n"])
def test_a_relay_that_hangs_up_on_pipelining_is_talked_to_with_less(
    make_transport: Make, make_stock: MakeStock, pattern: bytes
) -> None:
    """What was pipelined with content when it hung up is uncertain; nobody is lost or charged."""
    script = Script(dislikes_pipelining=lambda data: pattern in data and len(data) > 8, says_so=False)
    with listening(following(script)) as site:
        stock = make_stock(letters(30))
        assert make_transport(site.port).deliver(stock) is None
        connections = site.connections
    uncertain = [address for address, status in stock.statuses.items() if status == "uncertain"]
    assert set(stock.statuses.values()) <= {"accepted", "uncertain"}
    assert len(uncertain) <= 2
    assert len(script.received) == 30 - len(uncertain)
    assert connections <= 6


# Several connections


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


@pytest.mark.parametrize("connections", [1, 10, 50])
def test_with_latency_throughput_is_linear_in_connections(
    make_transport: Make, make_stock: MakeStock, connections: int
) -> None:
    """20 ms for each answer: about 50 letters a second for each connection, which many share one thread for."""
    number = 20 * connections
    with listening(following(Script(), delay=0.02)) as site:
        stock = make_stock(letters(number))
        begun = time.monotonic()
        assert make_transport(site.port, connections=connections).deliver(stock) is None
        took = time.monotonic() - begun
    assert stock.statuses == accepted(number)
    assert took < 24 * 0.02 * 2  # four round trips at the beginning, then one a letter; twice that on a busy machine


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
