"""Headers and encodings: what is written is what the standard library's readers get back."""

import base64
import email.policy
import quopri
import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.utils import parseaddr

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jlgc_mailer.errors import UnsafeValue
from jlgc_mailer.mail.message import (
    address_header,
    base64_lines,
    crlf,
    date_header,
    plain_header,
    quoted_printable,
    safe,
    text_header,
    to_header,
)

SAFE = st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0")
TEXT = st.text(SAFE) | st.text("ab =?日本語🎌é.", max_size=200) | st.text("a ", max_size=2000)
PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), max_size=120)
NAMES = PRINTABLE.filter(lambda name: name == name.strip())
ENCODED_WORD = re.compile(rb"=\?utf-8\?B\?([A-Za-z0-9+/=]*)\?=")
URL = "https://news.example.org/u/" + "a234567" * 14


def lines_of(field: bytes) -> list[bytes]:
    assert field.endswith(b"\r\n")
    assert b"\r" not in field.replace(b"\r\n", b"")
    assert b"\n" not in field.replace(b"\r\n", b"")
    return field.removesuffix(b"\r\n").split(b"\r\n")


def read_text(field: bytes) -> str:
    value = message_from_bytes(field + b"\r\n")["Subject"]
    return str(make_header(decode_header(value.replace("\r\n", ""))))


@given(TEXT)
@example(" ")
@example("two  spaces")
@example("trailing ")
@example("=?utf-8?q?not_encoded?=")
@example("x" * 2000)
@example("日本" * 200)
def test_a_subject_reads_back_as_it_was_written(subject: str) -> None:
    """M1, M4: whatever its length and script; lines stay below 78 unless one word is longer."""
    field = text_header("Subject", subject)
    assert read_text(field) == subject
    longest = max(map(len, subject.split(" ")))
    assert all(len(line) <= max(78, longest + len("Subject: ")) <= 998 for line in lines_of(field) if longest < 900)
    assert all(len(line) <= 998 for line in lines_of(field))


@given(TEXT)
@example("日本語のニュース🎌" * 30)
@example("a" * 500)
def test_an_encoded_word_is_short_and_holds_whole_characters(subject: str) -> None:
    """M4: at most 75 characters, and each can be decoded on its own."""
    field = text_header("Subject", "é" + subject)
    words = list(ENCODED_WORD.finditer(field))
    assert words
    assert all(len(word.group()) <= 75 for word in words)
    assert "".join(base64.b64decode(word[1]).decode("utf-8") for word in words) == "é" + subject


def test_plain_english_is_not_encoded() -> None:
    assert text_header("Subject", "News of the summer") == b"Subject: News of the summer\r\n"


@given(NAMES)
@example("Centre, Japan (London)")
@example('The "Centre" \\ Japan')
@example("自治体国際化協会ロンドン事務所" * 5)
@example("J. Smith <someone@elsewhere.example>")
@example("a " * 30 + "a")
@example("=?utf-8?q?x?=")
@example("a = b ?")
@example("田" * 14)
@example("田" * 16)
def test_a_name_reads_back_beside_its_address(name: str) -> None:
    """M4, S11: no name can add an address or change the one that stands there."""
    field = to_header(name, "aiko@example.org")
    assert field == address_header("To", name, "aiko@example.org")
    mailboxes = message_from_bytes(field + b"\r\n", policy=email.policy.default)["To"].addresses
    assert [mailbox.addr_spec for mailbox in mailboxes] == ["aiko@example.org"]
    display, spec = parseaddr(message_from_bytes(field + b"\r\n")["To"].replace("\r\n", ""))
    assert (str(make_header(decode_header(display))), spec) == (name, "aiko@example.org")
    assert all(len(line) <= 998 for line in lines_of(field))


def test_the_longest_address_stands_literally_in_its_header() -> None:
    """M4: an address is never encoded."""
    spec = f"{'a' * 64}@{'b' * 60}.{'c' * 60}.{'d' * 60}.jp"
    for name in ("", "Aiko", "田中愛子" * 10):
        assert spec.encode() in to_header(name, spec)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("", "To: 愛子@example.org\r\n"),
        ("Aiko", "To: Aiko <愛子@example.org>\r\n"),
        ("田中愛子", "To: =?utf-8?B?55Sw5Lit5oSb5a2Q?= <愛子@example.org>\r\n"),
    ],
)
def test_a_recipient_whose_address_is_not_ascii_is_written_raw(name: str, field: str) -> None:
    """S9: RFC 6532 3.2; the name beside it stays as every reader can read it."""
    assert to_header(name, "愛子@example.org") == field.encode()


def test_a_sender_whose_address_is_not_ascii_is_refused() -> None:
    """S9: every letter would need SMTPUTF8."""
    with pytest.raises(UnsafeValue, match="From holds a character outside ASCII"):
        address_header("From", "", "愛子@example.org")


def test_a_long_unsubscribe_address_stands_literally_in_the_bytes() -> None:
    """M5, M10: the standard library would make an encoded-word of it, which ends one-click unsubscribing."""
    assert len(URL) >= 120
    field = plain_header("List-Unsubscribe", f"<{URL}>")
    assert f"<{URL}>".encode() in field
    assert message_from_bytes(field + b"\r\n")["List-Unsubscribe"].strip() == f"<{URL}>"


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=300))
@example("x" * 69)
@example("x" * 70)
def test_a_literal_value_is_never_folded_only_its_name_may_stand_alone(value: str) -> None:
    """M1, M5: a line above 78 is broken before a value, never within it."""
    lines = lines_of(plain_header("X-Value", value))
    written = [f"X-Value: {value}"] if len(value) <= 69 else ["X-Value:", f" {value}"]
    assert lines == [line.encode() for line in written]


@pytest.mark.parametrize("bad", ["\r", "\n", "\0", "\r\n", "\ud800"])
@pytest.mark.parametrize("place", ["{}Bcc: all@example.org", "News{}Bcc: all@example.org", "News{}"])
def test_what_could_break_out_of_a_header_is_refused(bad: str, place: str) -> None:
    """M1, S11: CR, LF, NUL and half a surrogate pair, wherever they stand."""
    value = place.format(bad)
    for write in (
        lambda: safe("Subject", value),
        lambda: text_header("Subject", value),
        lambda: plain_header("Subject", value),
        lambda: address_header("Subject", value, "aiko@example.org"),
        lambda: address_header("Subject", "Aiko", value),
        lambda: to_header(value, "aiko@example.org"),
        lambda: to_header("Aiko", value),
        lambda: to_header("", value),
    ):
        with pytest.raises(UnsafeValue) as caught:
            write()
        assert str(caught.value).startswith(("Subject holds ", "To holds "))
        assert len(str(caught.value).splitlines()) == 1


def test_a_literal_value_outside_ascii_is_refused() -> None:
    with pytest.raises(UnsafeValue, match="List-Id holds a character outside ASCII"):
        plain_header("List-Id", "<news.日本.jp>")


def test_the_date_is_written_with_its_offset() -> None:
    """M2"""
    assert date_header(datetime(2026, 6, 1, 9, 0, tzinfo=UTC)) == b"Date: Mon, 01 Jun 2026 09:00:00 +0000\r\n"


BODIES = st.text(st.characters(exclude_categories=["Cs"])) | st.text("a. \t=\r\n日", max_size=400)


@given(BODIES)
@example("a line that ends in a space \r\nand a tab\t\r\n")
@example("." * 200)
@example("日本語" * 60)
@example("x" * 75 + ".")
@example("x" * 74 + " ")
@example("x" * 74 + " .y")
@example("x" * 73 + "  .")
@example("  " * 60)
def test_quoted_printable_reads_back(text: str) -> None:
    """M1, M6, S10: with the standard decoder; no line over 76, none begins with a dot or ends in a space."""
    data = crlf(text)
    encoded = quoted_printable(data)
    assert quopri.decodestring(encoded) == data
    for line in encoded.split(b"\r\n"):
        assert len(line) <= 76
        assert not line.startswith(b".")
        assert not line.endswith((b" ", b" ="))
        assert b"  " not in line
        assert b"\t" not in line
        assert line.isascii()


def test_quoted_printable_leaves_words_readable() -> None:
    """M6: only what must be is encoded."""
    assert quoted_printable(b"Dear reader, 1 + 1 = 2.\r\n.") == b"Dear reader, 1 + 1 =3D 2.\r\n=2E"


@given(st.lists(BODIES, min_size=1, max_size=6))
@example(["x" * 75, "y"])
@example(["x" * 76, "y"])
def test_pieces_between_soft_breaks_read_back_as_one_text(texts: list[str]) -> None:
    """M6, promise 8: a value encoded on its own, between soft breaks, is the text in its place."""
    pieces = [crlf(text) for text in texts]
    encoded = b"=\r\n".join(quoted_printable(piece) for piece in pieces)
    assert quopri.decodestring(encoded + b"=\r\n") == b"".join(pieces)
    assert all(len(line) <= 76 and not line.startswith(b".") for line in encoded.split(b"\r\n"))


@given(st.binary(max_size=1000))
@example(b"x" * 57)
@example(b"x" * 58)
def test_base64_reads_back_in_lines_of_76(data: bytes) -> None:
    """M1, M6"""
    encoded = base64_lines(data)
    assert base64.b64decode(encoded) == data
    assert all(len(line) <= 76 for line in encoded.split(b"\r\n"))
    assert encoded == b"" or encoded.endswith(b"\r\n")


@given(BODIES)
@example("\n.\nMAIL FROM:<a@example.org>\n")
@example("\r\r\n\n")
def test_every_line_end_becomes_crlf(text: str) -> None:
    """M1, S10: a lone CR or LF could smuggle a second message."""
    data = crlf(text)
    assert re.search(rb"\r(?!\n)|(?<!\r)\n", data) is None
    assert data.decode().split("\r\n") == re.split(r"\r\n|\r|\n", text)
