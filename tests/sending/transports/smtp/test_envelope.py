"""Envelopes as commands."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.mail.replies import Reply, classify
from jlgc_mailer.sending.transports.smtp.envelope import Envelope, original_recipient, write_envelope, xtext
from jlgc_mailer.sending.transports.smtp.offers import Offers, read_offers
from jlgc_mailer.states import ReplyClass
from tests.sending.transports.supplies import a_letter

ALL = Offers(pipelining=True, dsn=True, smtputf8=True)
PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126))


def test_without_offers_the_commands_are_bare() -> None:
    assert write_envelope(a_letter(1), Offers()) == Envelope(
        b"MAIL FROM:<b+1@bounce.example.org>\r\n", b"RCPT TO:<r1@example.com>\r\n"
    )


def test_delivery_reports_are_asked_for_where_they_are_offered() -> None:
    """STANDARDS M15."""
    assert write_envelope(a_letter(1, "a+b=c@example.com"), Offers(dsn=True)) == Envelope(
        b"MAIL FROM:<b+1@bounce.example.org> RET=HDRS ENVID=id-1\r\n",
        b"RCPT TO:<a+b=c@example.com> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb+3Dc@example.com\r\n",
    )


def test_an_international_address_is_reported_in_ascii() -> None:
    """STANDARDS M15: the form of RFC 6533 section 3 that is safe everywhere."""
    assert original_recipient("用+\\戶@例子.example") == r"utf-8;\x{7528}\x{2B}\x{5C}\x{6236}@\x{4F8B}\x{5B50}.example"


def test_smtputf8_is_used_only_where_an_address_needs_it() -> None:
    """STANDARDS S9."""
    plain, international = (write_envelope(a_letter(1, each), ALL) for each in ("a@example.com", "山@example.com"))
    assert isinstance(plain, Envelope)
    assert isinstance(international, Envelope)
    assert b"SMTPUTF8" not in plain.mail
    assert international.mail.endswith(b" SMTPUTF8\r\n")
    assert "RCPT TO:<山@example.com>".encode() in international.rcpt


def test_an_address_that_the_relay_cannot_take_is_refused_alone() -> None:
    """STANDARDS S9: as 5.6.7, which is about the address."""
    reply = write_envelope(a_letter(1, "山@example.com"), Offers(dsn=True))
    assert isinstance(reply, Reply)
    assert (reply.code, reply.status) == (553, "5.6.7")
    assert classify(reply) is ReplyClass.ADDRESS


BREAKING = ["\r", "\n", "\0", " ", "\t", "\x7f", "\x85", "\u2028", "\ud800"]


@pytest.mark.parametrize(
    ("field", "bad"),
    [(field, bad) for field in ("address", "envelope_sender", "envelope_id") for bad in BREAKING]
    + [(field, bad) for field in ("address", "envelope_sender") for bad in "<>"],
)
def test_nothing_can_break_out_of_the_envelope(field: str, bad: str) -> None:
    """STANDARDS S11."""
    letter = a_letter(1)._replace(**{field: f"a{bad}b@example.com"})
    reply = write_envelope(letter, ALL)
    assert isinstance(reply, Reply)
    assert (reply.code, reply.status) == (554, "5.6.0")
    assert "correct the address" in reply.text


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_whatever_the_values_are_two_whole_lines_come_out_or_a_refusal(
    sender: str, address: str, envelope_id: str
) -> None:
    """STANDARDS S11."""
    letter = a_letter(1)._replace(envelope_sender=sender, address=address, envelope_id=envelope_id)
    written = write_envelope(letter, ALL)
    if isinstance(written, Envelope):
        assert re.fullmatch(rb"MAIL FROM:<[^\0-\x20<>]*>[ -~]*\r\n", written.mail)
        assert re.fullmatch(rb"RCPT TO:<[^\0-\x20<>]+>[ -~]*\r\n", written.rcpt)
        assert max(map(len, written)) < 512


@given(PRINTABLE)
def test_xtext_can_be_read_back(text: str) -> None:
    encoded = xtext(text)
    assert re.fullmatch(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*", encoded)
    assert re.sub(r"\+(..)", lambda found: chr(int(found[1], 16)), encoded) == text


def test_offers_are_read_whatever_their_case() -> None:
    text = b"relay.example\npipelining\nAUTH PLAIN login\nSTARTTLS\nSIZE 1000\n\nDSN"
    offers = read_offers(text)
    assert offers == Offers(pipelining=True, dsn=True, starttls=True, auth=frozenset({"PLAIN", "LOGIN"}))


def test_the_greeting_line_offers_nothing() -> None:
    assert read_offers(b"PIPELINING") == Offers()


@given(st.binary())
def test_any_offers_can_be_read(text: bytes) -> None:
    assert isinstance(read_offers(text), Offers)
