"""The opening as a pure machine: greeting, EHLO, STARTTLS, AUTH."""

from base64 import b64decode, b64encode
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.errors import InvalidInput
from jlgc_mailer.sending.transports.smtp import Auth, Relay, Security, Timeouts
from jlgc_mailer.sending.transports.smtp.ending import Ending
from jlgc_mailer.sending.transports.smtp.opening import Opening
from jlgc_mailer.states import Stage
from tests.sending.transports.smtp.peers import Peer, Script
from tests.sending.transports.supplies import NOON

RELAY = Relay("relay", "relay.example", 25, Security.NONE)


def opened(script: Script, *, is_private: bool = True, piece: int = 10000, **settings: Any) -> Opening:
    """An opening as far as it goes."""
    opening = Opening(replace(RELAY, **settings))
    opening.connected("mailer.example", is_private=is_private)
    peer = Peer(script)
    if opening.wants_tls:
        opening.secured()
    answer = peer.greet()
    while answer:
        for start in range(0, len(answer), piece):
            opening.receive(answer[start : start + piece], NOON)
        if opening.wants_tls:
            peer.secured()
            opening.secured()
        sent = b"".join(opening.outgoing)
        opening.outgoing.clear()
        answer = peer.feed(sent) if sent else b""
    return opening


def test_what_the_relay_offers_is_known_after_ehlo() -> None:
    script = Script(offers=["PIPELINING", "DSN"])
    opening = opened(script)
    assert opening.offers
    assert opening.offers.pipelining
    assert opening.offers.dsn
    assert script.commands == ["EHLO mailer.example"]


def test_replies_in_single_octets_make_no_difference() -> None:
    assert opened(Script(offers=["DSN"]), piece=1).offers == opened(Script(offers=["DSN"])).offers


@pytest.mark.parametrize(
    ("script", "stage", "code"),
    [
        (Script(greeting="554 No SMTP service here"), Stage.CONNECT, "554"),
        (Script(greeting="421 Too many connections"), Stage.CONNECT, "421"),
        (Script(ehlo="550 5.7.1 Go away"), Stage.EHLO, "550"),
        (Script(ehlo="421 4.3.2 Shutting down"), Stage.EHLO, "421"),
        (Script(ehlo="354 What?"), Stage.EHLO, "354"),
        (Script(greeting="SSH-2.0-OpenSSH"), Stage.CONNECT, "not SMTP"),
    ],
)
def test_a_failed_opening_says_where_and_why(script: Script, stage: Stage, code: str) -> None:
    """STANDARDS S3: it is charged to its stage, so to no recipient."""
    ending = opened(script).ending
    assert ending
    assert ending.stage is stage
    assert code in ending.problem
    assert not ending.for_operator


def test_without_starttls_nothing_is_said_in_clear() -> None:
    """STANDARDS S8."""
    script = Script(offers=["AUTH PLAIN"])
    opening = opened(script, security=Security.STARTTLS, user="me", password=lambda: "secret")
    assert opening.ending
    assert opening.ending.stage is Stage.TLS
    assert script.commands == ["EHLO mailer.example"]


def test_a_refused_handshake_is_not_gone_round() -> None:
    """STANDARDS S8."""
    script = Script(offers=["STARTTLS"], starttls="454 4.7.0 TLS not available")
    opening = opened(script, security=Security.STARTTLS)
    assert opening.ending
    assert (opening.ending.stage, opening.ending.problem) == (Stage.TLS, "454 4.7.0 TLS not available")


def test_what_came_before_the_handshake_is_forgotten() -> None:
    """STANDARDS S8: neither offers nor replies that somebody put in front of it are believed."""
    opening = Opening(replace(RELAY, security=Security.STARTTLS))
    opening.connected("mailer.example", is_private=False)
    opening.receive(b"220 Hello\r\n", NOON)
    opening.receive(b"250-relay\r\n250-DSN\r\n250 STARTTLS\r\n", NOON)
    opening.receive(b"220 Go ahead\r\n250-injected\r\n250 SMTPUTF8\r\n25", NOON)
    assert opening.wants_tls
    assert opening.offers is None
    opening.secured()
    assert opening.outgoing == [b"EHLO mailer.example\r\n", b"STARTTLS\r\n", b"EHLO mailer.example\r\n"]
    opening.receive(b"250-relay\r\n250 PIPELINING\r\n", NOON)
    assert opening.offers
    assert (opening.offers.pipelining, opening.offers.smtputf8, opening.offers.dsn) == (True, False, False)


def test_with_implicit_tls_the_greeting_comes_after_the_handshake() -> None:
    opening = Opening(replace(RELAY, security=Security.TLS))
    opening.connected("mailer.example", is_private=False)
    assert opening.wants_tls
    opening.secured()
    assert opening.outgoing == []
    opening.receive(b"220 Hello\r\n", NOON)
    assert opening.outgoing == [b"EHLO mailer.example\r\n"]


def test_a_password_is_never_sent_in_clear() -> None:
    """STANDARDS S8; whether it was even asked for is told too."""
    script = Script(offers=["AUTH PLAIN LOGIN"])
    asked: list[str] = []
    opening = opened(script, is_private=False, user="me", password=lambda: asked.append("asked") or "secret")
    assert opening.ending
    assert (opening.ending.stage, opening.ending.for_operator) == (Stage.AUTH, True)
    assert script.commands == ["EHLO mailer.example"]
    assert asked == []


def _decoded(line: str) -> bytes:
    return b64decode(line.rsplit(maxsplit=1)[-1])


def test_plain_says_it_in_one_line() -> None:
    script = Script(offers=["AUTH LOGIN PLAIN"])
    assert opened(script, user="me", password=lambda: "pässword").offers
    assert script.commands[1].startswith("AUTH PLAIN ")
    assert _decoded(script.commands[1]) == b"\0me\0" + "pässword".encode()


def test_login_says_it_when_it_is_asked() -> None:
    replies = ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 Ok"]
    script = Script(offers=["AUTH LOGIN"], auth=replies)
    assert opened(script, user="me", password=lambda: "secret").offers
    assert script.commands[1] == "AUTH LOGIN"
    assert [_decoded(line) for line in script.commands[2:]] == [b"me", b"secret"]


def test_a_token_goes_as_bearer() -> None:
    script = Script(offers=["AUTH LOGIN XOAUTH2"])
    assert opened(script, user="me@example.org", password=lambda: "token", auth=Auth.XOAUTH2).offers
    assert _decoded(script.commands[1]) == b"user=me@example.org\x01auth=Bearer token\x01\x01"


def test_a_long_token_waits_until_it_is_asked_for() -> None:
    """RFC 4954 section 4: no command is longer than 512 octets."""
    script = Script(offers=["AUTH XOAUTH2"], auth=["334 ", "235 Ok"])
    assert opened(script, user="me", password=lambda: "t" * 1500, auth=Auth.XOAUTH2).offers
    assert script.commands[1] == "AUTH XOAUTH2"
    assert b"t" * 1500 in _decoded(script.commands[2])


def test_a_refused_token_is_told_after_the_empty_line_that_the_relay_waits_for() -> None:
    error = "334 " + b64encode(b'{"status":"401"}').decode()
    script = Script(offers=["AUTH XOAUTH2"], auth=[error, "535 5.7.8 Not accepted"])
    ending = opened(script, user="me", password=lambda: "old", auth=Auth.XOAUTH2).ending
    assert ending
    assert (ending.problem, ending.for_operator) == ("535 5.7.8 Not accepted", True)
    assert script.commands[2] == ""


@pytest.mark.parametrize(("reply", "for_operator"), [("535 5.7.8 No", True), ("534 5.7.9 No", True), ("530 No", True)])
def test_a_wrong_password_is_for_the_operator(reply: str, *, for_operator: bool) -> None:
    """STANDARDS S3."""
    ending = opened(Script(offers=["AUTH PLAIN"], auth=[reply]), user="me").ending
    assert ending
    assert (ending.stage, ending.for_operator) == (Stage.AUTH, for_operator)


def test_a_relay_that_cannot_check_now_is_tried_again() -> None:
    ending = opened(Script(offers=["AUTH PLAIN"], auth=["454 4.7.0 Temporary failure"]), user="me").ending
    assert ending
    assert (ending.stage, ending.for_operator) == (Stage.AUTH, False)


def test_a_way_to_log_in_that_is_not_offered_is_for_the_operator() -> None:
    ending = opened(Script(offers=["AUTH GSSAPI"]), user="me").ending
    assert ending
    assert ending.for_operator
    assert "GSSAPI" in ending.problem


def test_a_password_that_cannot_be_had_is_for_the_operator() -> None:
    def fail() -> str:
        raise InvalidInput(what="password file", value="x", problem="it is not there")

    ending = opened(Script(offers=["AUTH PLAIN"]), user="me", password=fail).ending
    assert ending
    assert ending.for_operator
    assert "it is not there" in ending.problem


def test_each_stage_has_its_patience() -> None:
    """STANDARDS S1."""
    opening = Opening(RELAY)
    timeouts = Timeouts(connect=1, command=2)
    assert opening.patience(timeouts) == 1
    opening.connected("mailer.example", is_private=True)
    opening.receive(b"220 Hello\r\n", NOON)
    assert opening.patience(timeouts) == 2


@pytest.mark.parametrize("name", ["a b", "a\r\nMAIL", "", "ü.example", "-x"])
def test_a_name_that_cannot_follow_ehlo_is_refused_in_a_sentence(name: str) -> None:
    """STANDARDS S11."""
    with pytest.raises(InvalidInput, match="EHLO name"):
        replace(RELAY, ehlo_name=name)


def test_the_password_is_in_no_print_of_the_relay() -> None:
    assert "password" not in repr(replace(RELAY, password=lambda: "secret"))


@given(st.lists(st.one_of(st.binary(max_size=30), st.sampled_from([b"220 x\r\n", b"250 AUTH PLAIN\r\n", b"334 \r\n"]))))
def test_whatever_a_relay_says_gives_values(pieces: list[bytes]) -> None:
    opening = Opening(replace(RELAY, user="me", security=Security.STARTTLS))
    opening.connected("mailer.example", is_private=False)
    for piece in pieces:
        opening.receive(piece, NOON)
        if opening.wants_tls:
            opening.secured()
    opening.lost("it hung up", NOON)
    assert isinstance(opening.ending, Ending)
