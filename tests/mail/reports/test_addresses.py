"""Addresses as reports write them."""

import pytest

from jlgc_mailer.mail.reports.addresses import addresses_in, mask, read_address, undo_imcea, undo_xtext


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rfc822; bob@example.com", "bob@example.com"),
        ("RFC822;<bob@example.com>", "bob@example.com"),
        ("bob@example.com", "bob@example.com"),
        ("rfc822; bob@localhost", "bob@localhost"),
        ("rfc822; a..b@docomo.ne.jp", "a..b@docomo.ne.jp"),
        ('rfc822; "a..b"@docomo.ne.jp', "a..b@docomo.ne.jp"),
        ("utf-8; \\x{7528}\\x{6237}@example.jp", "用户@example.jp"),
        ("utf-8; 用户@例え.jp", "用户@例え.jp"),
        ("rfc822; IMCEASMTP-bob+40example+2Ecom@example.net", "bob@example.com"),
        ("x400; /S=bob/C=gb/", None),
        ("LDAP; cn=bob", None),
        ("unknown; unknown", None),
        ("rfc822; a\x1b]0;pwned\x07b@exa\x1b[31mmple.com", None),
        ("rfc822; a\x9b31mb@example.com", None),
        ("utf-8; a\\x{1B}[2Jb@example.com", None),
        ("rfc822;", None),
        ("", None),
        ("utf-8; \\x{FFFFFF}@example.jp", "\ufffd@example.jp"),
    ],
)
def test_an_address_is_read_out_of_its_field(text: str, expected: str | None) -> None:
    """F3, F4: RFC 3464 2.3.1, RFC 6533 3, and Exchange's own."""
    assert read_address(text) == expected


def test_xtext_that_nobody_decoded_is_decoded() -> None:
    """F3: Exim leaves ORCPT encoded; a plus sign that stands for itself stays."""
    assert undo_xtext("bob+2Bnews+3Dx@example.com") == "bob+news=x@example.com"
    assert undo_xtext("bob+news@example.com") == "bob+news@example.com"


def test_no_encoding_brings_a_control_character_into_an_address() -> None:
    """F8: what is read is shown on terminals."""
    assert undo_xtext("a+1B[2Jb@example.com") == "a+1B[2Jb@example.com"
    assert undo_imcea("IMCEASMTP-a+1Bb+40example+2Ecom@example.net") == "IMCEASMTP-a+1Bb+40example+2Ecom@example.net"
    assert addresses_in("to <a\x1bb@example.com>, <a\x9b31mc@example.com>") == ["b@example.com", "31mc@example.com"]


def test_exchange_addresses_without_one_inside_stay_as_they_are() -> None:
    address = "IMCEAEX-_O=EXAMPLE_CN=BOB@example.com"
    assert undo_imcea(address) == address


def test_addresses_in_a_text_are_found_once_each_beside_japanese() -> None:
    assert addresses_in("宛先a@example.jpは<b@example.jp>、a@example.jp.") == ["a@example.jp", "b@example.jp"]


def test_masked_addresses_leave_only_the_words() -> None:
    assert mask('user "bob@example.com" and <spam@x.y> @ home') == (
        "user @ and @ @ home",
        ['"bob@example.com"', "<spam@x.y>", "@"],
    )
