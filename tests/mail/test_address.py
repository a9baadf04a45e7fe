"""Addresses: which are accepted, and which two are the same person's."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jlgc_mailer.errors import InvalidInput
from jlgc_mailer.mail.address import key_of, parse_address

PIECES = st.text(alphabet='aZ0.@-+_ß日ﬁÅ＠．İ\u0345<>"\\ \n\r\0\u200b', max_size=40)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("aiko@example.org", "aiko@example.org"),
        ("  aiko@example.org\n", "aiko@example.org"),
        ("Aiko.Tanaka+news@Example.ORG", "Aiko.Tanaka+news@example.org"),
        ("ａｉｋｏ＠ｅｘａｍｐｌｅ．ｏｒｇ", "aiko@example.org"),
        ("o'brien@example.org", "o'brien@example.org"),
    ],
)
def test_an_address_keeps_its_local_part_and_gets_a_small_lettered_domain(text: str, spec: str) -> None:
    assert parse_address(text).spec == spec


@pytest.mark.parametrize("text", ["a..b@docomo.ne.jp", "a.@docomo.ne.jp", "taro...@ezweb.ne.jp", "a..b@AU.com"])
def test_dotted_addresses_of_japanese_telephones_are_accepted(text: str) -> None:
    local, _, domain = text.partition("@")
    assert parse_address(text).spec == f"{local}@{domain.lower()}"


@pytest.mark.parametrize("text", ["a..b@example.org", ".ab@docomo.ne.jp", "a b@docomo.ne.jp", f"{'a' * 65}@au.com"])
def test_elsewhere_and_in_other_ways_the_syntax_is_that_of_the_standard(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("info@日本語.jp", "xn--wgv71a119e.jp"),
        ("info@bücher.example", "xn--bcher-kva.example"),
        ("info@BÜCHER.example", "xn--bcher-kva.example"),
        ("info@xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_an_international_domain_becomes_a_labels(text: str, domain: str) -> None:
    """M5: IDN domains become A-labels before they reach a header."""
    assert parse_address(text).domain == domain
    assert parse_address(text).spec == f"info@{domain}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Aiko@Example.org", "aiko@example.ORG"),
        ("info@bücher.example", "INFO@xn--bcher-kva.example"),
        ("ＡＩＫＯ@example.org", "aiko@example.org"),
        ("A..B@docomo.ne.jp", "a..b@DOCOMO.ne.jp"),
    ],
)
def test_spellings_of_one_mailbox_have_one_key(one: str, other: str) -> None:
    assert parse_address(one).key == parse_address(other).key


def test_letters_that_only_look_alike_when_folded_are_two_peoples() -> None:
    """Case is ignored, and nothing else: casefold() would make one person of these."""
    keys = [parse_address(text).key for text in ("straße@example.org", "strasse@example.org", "STRASSE@example.org")]
    assert keys == ["straße@example.org", "strasse@example.org", "strasse@example.org"]


def test_a_tag_and_a_dot_make_another_mailbox() -> None:
    keys = {parse_address(text).key for text in ("ab@example.org", "a.b@example.org", "ab+news@example.org")}
    assert len(keys) == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "aiko",
        "aiko@",
        "@example.org",
        "aiko@localhost",
        "a@b@c.example",
        "Aiko <aiko@example.org>",
        "a@[127.0.0.1]",
    ],
)
def test_what_is_no_bare_address_is_refused_in_one_sentence_that_shows_it(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_address(text)
    assert str(caught.value).startswith(f"Address {text!r} cannot be used: ")
    assert len(str(caught.value).splitlines()) == 1


def test_a_refused_text_of_any_length_is_shown_only_in_part() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_address("a" * 100_000)
    assert len(str(caught.value)) < 400


@given(st.text() | PIECES | st.emails())
@example("a@\u0345.example")
def test_any_text_is_an_address_or_is_refused(text: str) -> None:
    """S11: whatever is accepted holds no space and no control character, and its domain is ASCII."""
    try:
        address = parse_address(text)
    except InvalidInput as error:
        assert len(str(error).splitlines()) == 1
        return
    assert address.spec.count("@") == 1
    assert address.domain.isascii()
    assert address.spec.isprintable()
    assert not set(" \r\n\0<>,") & set(address.spec)
    assert len(address.key) <= 320


@given(PIECES | st.emails())
def test_reading_an_address_again_changes_nothing(text: str) -> None:
    try:
        address = parse_address(text)
    except InvalidInput:
        return
    assert parse_address(address.spec) == address
    assert parse_address(address.key).key == address.key == key_of(address.spec)
