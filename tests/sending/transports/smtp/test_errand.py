"""What the loop makes of relays that refuse, fall silent, hang up or cannot follow."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from jlgc_mailer.sending.transports import Trouble
from jlgc_mailer.sending.transports.smtp import SmtpTransport, Timeouts
from jlgc_mailer.states import Stage
from tests.sending.transports.smtp.peers import HANG_UP, Script, Talk, following, listening, talking, wait_until
from tests.sending.transports.supplies import Stock, a_letter, accepted, letters
from tests.servers import free_port

Make = Callable[..., SmtpTransport]
MakeStock = Callable[..., Stock]


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


DENIED = ["554 5.7.1 Relay access denied"]


@pytest.mark.parametrize("offers", [["PIPELINING"], []])
def test_a_relay_that_denies_everybody_is_in_trouble_and_nobody_is_refused(
    make_transport: Make, make_stock: MakeStock, offers: Sequence[str]
) -> None:
    """STANDARDS S3: the third denial in a row is the relay's."""
    with listening(following(Script(offers=offers, rcpt={"*": DENIED}))) as site:
        stock = make_stock(letters(10))
        trouble = make_transport(site.port).deliver(stock)
    assert trouble
    assert (trouble.stage, trouble.problem) == (Stage.RCPT, DENIED[0])
    assert set(stock.statuses.values()) == {"deferred"}
    assert len(stock.outcomes) == 3


def test_readers_behind_three_that_are_denied_get_theirs_in_the_next_turn(
    make_transport: Make, make_stock: MakeStock
) -> None:
    """STANDARDS S3: those denied are charged with an attempt, so others come first, and are refused the second time."""
    script = Script(rcpt={f"r{number}@example.com": DENIED for number in range(3)})
    with listening(following(script)) as site:
        first = make_stock(letters(6))
        assert make_transport(site.port).deliver(first)
        assert set(first.outcomes) == {"r0@example.com", "r1@example.com", "r2@example.com"}
        again = [each._replace(recipient=each.recipient._replace(attempts=2)) for each in letters(3)]
        second = make_stock([*again, *letters(6)[3:]])
        assert make_transport(site.port).deliver(second) is None
    assert second.statuses == accepted(6) | dict.fromkeys(first.outcomes, "refused")


def test_a_relay_that_denies_everybody_from_some_moment_on_is_in_trouble(
    make_transport: Make, make_stock: MakeStock
) -> None:
    """STANDARDS S3: a quota that is used up is not the readers' fault, though others got theirs before."""
    quota = ["550 5.4.5 Daily sending limit exceeded"]
    script = Script(rcpt={f"r{number}@example.com": quota for number in range(5, 100)})
    with listening(following(script)) as site:
        stock = make_stock(letters(100))
        trouble = make_transport(site.port).deliver(stock)
    assert trouble
    assert (trouble.stage, trouble.problem) == (Stage.RCPT, quota[0])
    denied = {f"r{number}@example.com": "deferred" for number in range(5, 15)}
    assert stock.statuses == accepted(5) | denied


@pytest.mark.parametrize("offers", [["PIPELINING"], []])
@pytest.mark.parametrize(("number", "expected"), [(1, "deferred"), (2, "refused")])
def test_a_denial_is_told_when_the_supply_waits_for_it(
    make_transport: Make, make_stock: MakeStock, offers: Sequence[str], number: int, expected: str
) -> None:
    """A batch ends when all of it is answered: the supply is not over before."""
    script = Script(offers=offers, rcpt={f"r{number - 1}@example.com": DENIED})
    stock = make_stock(letters(number), is_over=False)
    with listening(following(script)) as site:
        transport = make_transport(site.port)
        worker = threading.Thread(target=transport.deliver, args=(stock,))
        worker.start()
        try:
            wait_until(lambda: len(stock.settled) == number)
        finally:
            stock.finish()
            worker.join()
    assert stock.statuses == accepted(number) | {f"r{number - 1}@example.com": expected}


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
