"""Merging is fast and says exactly what the slow, obvious way says."""

import email
import email.policy
import re
from collections.abc import Callable, Mapping, Sequence
from email.header import decode_header, make_header
from email.message import EmailMessage
from html import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jlgc_mailer.errors import UnsafeValue
from jlgc_mailer.mail.message import plain_header
from jlgc_mailer.render.fields import Slots
from jlgc_mailer.render.merge import Merged, build_skeleton
from jlgc_mailer.render.source import Compiled
from jlgc_mailer.states import Language

_AWKWARD = [
    "",
    ".",
    "..",
    " .",
    "=",
    "=3D",
    "=?utf-8?q?x?=",
    "<b>",
    "&amp;",
    '"Bob" O\'Brien',
    "𠮷野家🍣👩‍👩‍👧",
    "a" * 75,
    "a" * 76,
    "a" * 200,
    "a " * 100,
    "." * 200,
    "あ" * 200,
    " x ",
    "x y ",
    "x  y",
    "x\ty",
    "\t",
    "From ",
    "https://news.example.org/u/" + "a234567" * 7,
]
_VALUES = st.one_of(
    st.sampled_from(_AWKWARD),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n\0"), max_size=200),
    st.text(" \t.=a&", max_size=120),
)
_FIELDS = {"name": "reader", "address": "", "list_title": ""}
_LITERALS = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r"), max_size=60),
    st.text(" \t.\n=a", max_size=120),
    st.sampled_from(["\n", ".\n", "\n.", "日本語" * 30, "x" * 100, " \n", "  ", "=", "a", "ab"]),
).filter(lambda text: "zqslot" not in text)
_EDITIONS = st.lists(_LITERALS | st.sampled_from(sorted(_FIELDS)), min_size=1, max_size=12)
_PEOPLE = st.fixed_dictionaries(dict.fromkeys(_FIELDS, _VALUES))


def with_awkward_values(test: Callable[..., None]) -> Callable[..., None]:
    """Each of them between literals, besides whatever hypothesis thinks of."""
    for value in _AWKWARD:
        test = example(["a ", "name", "b" * 76], dict.fromkeys(_FIELDS, value))(test)
    return test


def compiled(pieces: Sequence[str], subject: str = "Subject") -> Compiled:
    """A compiled edition whose text and HTML are the pieces, of which the names of fields are slots."""
    slots = Slots()
    body = "".join(slots.mark(piece, _FIELDS[piece]) if piece in _FIELDS else piece for piece in pieces)
    subject = subject.replace("@", slots.mark("name", "reader"))
    return Compiled(Language.ENGLISH, "a@example.org", subject, body, body, slots.all)


def merged(pieces: Sequence[str], values: Mapping[str, str], shared: Sequence[str] = ()) -> Merged:
    """The message of an edition for one person; the values of `shared` fields are told when the skeleton is built."""
    same = {field: values[field] for field in shared}
    own = {field: value for field, value in values.items() if field not in same}
    return build_skeleton(compiled(pieces), (), same).merge(own)


def parsed(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def decoded(message: bytes) -> list[str]:
    """The parts' content, by the standard library's decoders."""
    return [part.get_payload(decode=True).decode() for part in parsed(message).iter_parts()]  # type: ignore[union-attr]


def reference(pieces: Sequence[str], values: Mapping[str, str], message: bytes) -> list[str]:
    """The slow, obvious way: join the strings."""
    filled = [values[piece] or _FIELDS[piece] if piece in _FIELDS else piece for piece in pieces]
    in_html = [escape(shown) if piece in _FIELDS else piece for piece, shown in zip(pieces, filled, strict=True)]
    texts = ["".join(filled), "".join(in_html)]
    # Whether the text ends in a line's end is decided before it is filled.
    ended = "".join("x" if piece in _FIELDS else piece for piece in pieces).endswith("\n")
    texts = [(text if ended else text + "\n").replace("\n", "\r\n") for text in texts]
    # The last CRLF before a boundary belongs to the boundary (RFC 2046 5.1.1); in base64 one is in the text, too.
    encodings = [part["Content-Transfer-Encoding"] for part in parsed(message).iter_parts()]
    return [
        text if encoding == "base64" else text.removesuffix("\r\n")
        for text, encoding in zip(texts, encodings, strict=True)
    ]


def relaxed(body: bytes) -> bytes:
    """The relaxed canonical form, word for word after RFC 6376 3.4.4."""
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


@with_awkward_values
@given(_EDITIONS, _PEOPLE)
def test_a_merged_message_parses_back_to_what_joining_strings_gives(pieces: list[str], values: dict[str, str]) -> None:
    """Promise 8: also where a value is the same for everybody and was encoded in advance."""
    for shared in ([], ["name"], sorted(_FIELDS)):
        message = merged(pieces, values, shared).message
        assert decoded(message) == reference(pieces, values, message)


@given(st.lists(_VALUES, min_size=1, max_size=20))
def test_a_value_is_the_same_whatever_was_merged_before(names: list[str]) -> None:
    """Promise 8: nothing that is kept for the next recipient reaches the wrong one."""
    pieces = ["Dear ", "name", ",\nx"]
    skeleton = build_skeleton(compiled(pieces), (), {})
    for name in names:
        message = skeleton.merge({"name": name}).message
        assert decoded(message) == reference(pieces, {"name": name}, message)


@with_awkward_values
@given(_EDITIONS, _PEOPLE)
def test_every_line_is_short_seven_bit_and_begins_with_no_dot(pieces: list[str], values: dict[str, str]) -> None:
    """M1, M6, S10: nothing needs stuffing; lines in quoted-printable and base64 are at most 76 (RFC 2045 6.7, 6.8)."""
    parts = merged(pieces, values)
    assert parts.message.isascii()
    assert parts.message.endswith(b"\r\n")
    assert all(len(line) <= 78 for line in parts.headers.split(b"\r\n"))
    assert all(len(line) <= 76 for line in parts.body.split(b"\r\n"))
    for line in parts.message.split(b"\r\n"):
        assert b"\r" not in line
        assert b"\n" not in line
        assert not line.startswith(b".")


@with_awkward_values
@given(_EDITIONS, _PEOPLE)
@example([" \n\n \n"], dict.fromkeys(_FIELDS, " "))
@example(["a ", "name", "  b"], dict.fromkeys(_FIELDS, " x  "))
def test_the_body_is_its_own_relaxed_canonical_form(pieces: list[str], values: dict[str, str]) -> None:
    """M16: what is signed is what is sent, without another pass over it (RFC 6376 3.4.4)."""
    body = merged(pieces, values).body
    assert relaxed(body) == body
    assert b" =\r\n" not in body  # so it stays if somebody joins the lines again


def test_the_message_is_its_fields_an_empty_line_and_its_body() -> None:
    """M1: what signs sees exactly what is sent."""
    parts = merged(["x", "name"], {"name": "n"})
    assert parts.message == parts.headers + b"\r\n" + parts.body
    assert parts.headers.startswith(b"Subject: Subject\r\n")
    assert parts.headers.endswith(b'"\r\n')
    assert b"\r\n\r\n" not in parts.headers
    assert parts.body.startswith(b"--")


@given(_VALUES)
def test_a_name_in_the_subject_reads_as_it_was_given(value: str) -> None:
    """M4."""
    for words in ("For {}, the news 夏", "For {}", "{}"):
        raw = build_skeleton(compiled(["x"], words.format("@")), (), {}).merge({"name": value}).message
        subjects = email.message_from_bytes(raw).get_all("Subject", [])
        unfolded = [str(make_header(decode_header(each.replace("\r\n", "")))) for each in subjects]
        assert unfolded == [words.format(value or "reader")]


@pytest.mark.parametrize("shared", [[], ["name"]])
@pytest.mark.parametrize("literal", ["x", "夏" * 30])
@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b", "a\r\n.\r\nMAIL FROM:<x@example.org>", "\ud83c"])
def test_a_value_that_could_break_a_line_is_refused(bad: str, literal: str, shared: list[str]) -> None:
    """S10, S11, M1: in quoted-printable and in base64."""
    with pytest.raises(UnsafeValue, match="merge field name holds"):
        merged([literal, "name"], {"name": bad}, shared)


def test_japanese_goes_as_base64_and_english_as_quoted_printable() -> None:
    """M6: whichever is smaller."""
    english = parsed(merged(["Hello " * 50, "name", "bye"], {"name": "x"}).message)
    japanese = parsed(merged(["こんにちは" * 50, "name", "。"], {"name": "x"}).message)
    assert [part["Content-Transfer-Encoding"] for part in english.iter_parts()] == ["quoted-printable"] * 2
    assert [part["Content-Transfer-Encoding"] for part in japanese.iter_parts()] == ["base64"] * 2


def test_plain_text_comes_first_and_both_parts_name_their_language() -> None:
    """M7."""
    message = parsed(merged(["x", "name", "y"], {"name": "n"}).message)
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert [part["Content-Language"] for part in (message, *message.iter_parts())] == ["en", "en", "en"]


def test_merging_twice_gives_the_same_bytes() -> None:
    """M12."""
    skeletons = [build_skeleton(compiled(["x", "name", "y"]), (plain_header("X-Test", "1"),), {}) for _ in range(2)]
    first, *others = [skeleton.merge({"name": "n"}).message for skeleton in skeletons * 2]
    assert others == [first] * 3
    assert first.startswith(b"X-Test: 1\r\nSubject: Subject\r\n")
