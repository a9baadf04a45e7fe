"""Messages taken apart, whole ones and broken ones."""

import pytest

from jlgc_mailer.mail.reports.headers import decode_words, read_fields
from jlgc_mailer.mail.reports.parts import open_message, strip_html

_NESTED = (
    b'Content-Type: multipart/mixed; boundary="b"\n\npreamble\n--b\nContent-Type: text/plain\n\none\n--b\n'
    b"Content-Type: message/rfc822\n\nSubject: inner\nContent-Type: text/html\n\n<p>two</p>\n--b--\nepilogue"
)


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r", b"\r\r\n"])
@pytest.mark.parametrize("first", [b"", b"From a@example.org Mon Nov  2 10:00:00 2026\n", b"\n\n", b"\xef\xbb\xbf"])
def test_parts_are_found_with_any_line_ends_and_after_an_mbox_line(ending: bytes, first: bytes) -> None:
    """F8"""
    message = open_message((first + _NESTED).replace(b"\n", ending))
    assert [(part.media, part.level, part.text().strip()) for part in message.parts] == [
        ("text/plain", 0, "one"),
        ("text/html", 1, "two"),
    ]
    assert [(level, headers.first("subject")) for level, headers in message.returned] == [(1, "inner")]


def test_a_multipart_that_lost_its_boundary_is_cut_where_lines_look_like_one() -> None:
    """F8"""
    for boundary in (b'"other"', b""):
        message = open_message(_NESTED.replace(b'"b"', boundary, 1))
        assert [part.media for part in message.parts] == ["text/plain", "text/html"]


def test_a_multipart_that_was_cut_off_keeps_what_there_is() -> None:
    """F8"""
    message = open_message(_NESTED[: _NESTED.index(b"<p>")])
    assert [part.media for part in message.parts] == ["text/plain", "text/html"]


def test_transfer_encodings_are_undone_even_when_broken() -> None:
    """F8"""
    head = b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: "
    assert open_message(head + b"base64\n\naGVs\nbG8!g?d29y bGQ").parts[0].text().startswith("hello")
    assert open_message(head + b"quoted-printable\n\nh=C3=A9l=\nlo=ZZ").parts[0].text() == "héllo=ZZ"


def test_html_is_read_as_its_reader_sees_it() -> None:
    text = strip_html("<style>p {x}</style><p>no such&nbsp;user <b>a@example.com</b></p><!-- spam --><br>&lt;b@c.d&gt;")
    assert text.split() == ["no", "such", "user", "a@example.com", "<b@c.d>"]
    assert "<bob@example.com>" in strip_html("<p>to <bob@example.com>")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("=?utf-8?Q?Unzustellbar:_N=C3=A4?=", "Unzustellbar: Nä"),
        ("=?UTF-8?B?5pel?= =?UTF-8?B?5pys?=", "日本"),
        ("=?UTF-8?B?5pc=?= =?UTF-8?B?peacrA==?=", "日本"),
        ("=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?= x", "日本 x"),
        ("plain", "plain"),
        ("=?x?y?z?=", "=?x?y?z?="),
    ],
)
def test_encoded_words_are_decoded(value: str, expected: str) -> None:
    """M3, M4: also those that split a character between two words."""
    assert decode_words(value) == expected


def test_fields_are_unfolded_and_what_is_none_is_passed_over() -> None:
    headers = read_fields("A: 1\n 2\nnonsense\nB : 3\nA: 4")
    assert (headers.every("a"), headers.first("b"), headers.first("c")) == (["1 2", "4"], "3", "")
