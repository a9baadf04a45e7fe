"""Who a report was sent to, from its header; and which addresses are ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.mail.reports.envelope import OurAddresses, domain_of, envelope_recipient, folded
from jlgc_mailer.mail.tokens import Keyring, Purpose
from jlgc_mailer.mail.verp import envelope_sender

DOMAIN = "bounce.example.org"
OURS = f"b+aekq2hv6nb5xw4c7@{DOMAIN}"
KEYRING = Keyring((b"a key that signs", b"a key that signed"))
SIGNED = KEYRING.sign(Purpose.BOUNCE, 7)
LEAVING = KEYRING.sign(Purpose.UNSUBSCRIBE, 7, 1)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("field", ["Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To", "TO", "to "])
def test_fields_that_tell_the_recipient_are_read_in_files_of_any_kind(field: str, end: str) -> None:
    """F8: CR, LF and CRLF."""
    lines = ["Received: for <b+other@bounce.example.org>", f"{field}: <{OURS}>", "Subject: x", "", "To: b+no@x.example"]
    assert envelope_recipient(end.join(lines).encode(), DOMAIN) == OURS


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f"Delivered-To: catch-all@{DOMAIN}\nX-Original-To: {OURS}", OURS),
        (f"Delivered-To: {OURS}\nTo: b+second@{DOMAIN}", OURS),
        (f"Delivered-To: me@example.com\nTo: postmaster@{DOMAIN}", f"postmaster@{DOMAIN}"),
        (f"To: Someone <someone@example.com>,\n\tBounces <{OURS}>", OURS),
        (f"To: {OURS.upper()}", OURS.upper()),
        (f"To: u+aekq2hv6nb5@{DOMAIN}.", f"u+aekq2hv6nb5@{DOMAIN}"),
        (f"Reply-To: {OURS}", ""),
        ("To: someone@example.com", ""),
        (f"To: x@{DOMAIN}.example.com", ""),
        (f"Subject: x\n\nTo: {OURS}", ""),
        ("", ""),
    ],
)
def test_the_address_with_a_token_comes_before_the_mailbox_that_it_ends_in(header: str, found: str) -> None:
    assert envelope_recipient(header.encode(), DOMAIN) == found


def test_a_header_without_end_is_read_as_far_as_is_sensible() -> None:
    assert envelope_recipient(b"X: y\r\n" * 1_000_000 + f"To: {OURS}".encode(), DOMAIN) == ""
    assert envelope_recipient(b"To: " + b"a" * 10_000_000, DOMAIN) == ""
    assert envelope_recipient(b"To:" + b"\n " * 1_000_000, DOMAIN) == ""


@given(st.binary(max_size=300) | st.text().map(lambda text: f"To: {text}@{DOMAIN}".encode("utf-8", "replace")))
def test_any_octets_give_an_address_of_ours_or_none(data: bytes) -> None:
    """F8."""
    found = envelope_recipient(data, DOMAIN)
    assert found == "" or domain_of(found) == DOMAIN
    assert "\0" not in found


@given(st.text())
def test_any_text_is_ours_or_not(text: str) -> None:
    ours = OurAddresses(DOMAIN, KEYRING, {"postmaster"})
    assert (text in ours) in {True, False}
    assert not ours.is_signed(text)


@given(st.text() | st.text(max_size=20).map(lambda text: f"{text}@{DOMAIN}"))
def test_any_text_is_folded_for_good(text: str) -> None:
    assert folded(folded(text)) == folded(text)
    assert domain_of(folded(text)) == domain_of(text)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (OURS.upper(), OURS),
        (f"{OURS}.", OURS),
        (OURS.replace(DOMAIN, "ｂｏｕｎｃｅ．example。org"), OURS),
        ("Hanako@例え.JP", "hanako@xn--r8jz45g.jp"),
        ("", ""),
    ],
)
def test_an_address_has_one_way_to_be_written(address: str, expected: str) -> None:
    """F1."""
    assert folded(address) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (f"b+{SIGNED}@{DOMAIN}", True),
        (f"B+{SIGNED.upper()}@{DOMAIN.upper()}", True),
        (f"u+{LEAVING}@{DOMAIN}", True),
        (envelope_sender(7, Keyring(KEYRING.keys[1:]), DOMAIN), True),
        (f"Postmaster@{DOMAIN}", True),
        (f"abuse@{DOMAIN}", False),
        (OURS, False),
        (envelope_sender(7, Keyring((b"a key of somebody else",)), DOMAIN), False),
        (f"u+{SIGNED}@{DOMAIN}", False),
        (f"b+{LEAVING}@{DOMAIN}", False),
        (f"b+{SIGNED}a@{DOMAIN}", False),
        (f"b+@{DOMAIN}", False),
        (f"b+{SIGNED}@other.{DOMAIN}", False),
        (f"b+{SIGNED}", False),
        ("", False),
    ],
)
def test_ours_has_our_domain_and_a_token_that_we_signed_or_a_name_that_is_known(address: str, expected: bool) -> None:
    """F1: case-insensitive; signed by any key of ours, for this purpose."""
    assert (address in OurAddresses(DOMAIN, KEYRING, {"postmaster"})) is expected


def test_a_domain_may_be_written_as_people_read_it() -> None:
    ours = OurAddresses("xn--r8jz45g.jp", KEYRING)
    assert f"b+{SIGNED}@例え.jp" in ours
    assert f"b+{SIGNED}@{'ä' * 100}.jp" not in ours
