"""Merging is fast and says exactly what the slow, obvious way says."""

import email
import email.policy
from email.message import EmailMessage
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.errors import UnsafeValue
from jlgc_mailer.mail.message import plain_header
from jlgc_mailer.render.fields import Slots
from jlgc_mailer.render.merge import build_skeleton
from jlgc_mailer.render.source import Compiled
from jlgc_mailer.states import Language

_AWKWARD = [
    "",
    ".",
    "..",
    "=",
    "=3D",
    "<b>",
    "&amp;",
    '"Bob" O\'Brien',
    "𠮷野家🍣👩‍👩‍👧",
    "a" * 200,
    "あ" * 200,
    " x ",
    "From ",
]
_VALUES = st.one_of(
    st.sampled_from(_AWKWARD),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n\0"), max_size=200),
)
_LITERALS = st.lists(
    st.one_of(
        st.text(
            st.characters(exclude_categories=("Cs",), exclude_characters="\r\0\x85\u2028\u2029\x0b\x0c\x1c\x1d\x1e"),
            max_size=60,
        ),
        st.sampled_from(["\n", ".\n", "\n.", "日本語" * 30, "x" * 100, " \n", "=", "a", "ab"]),
    ).filter(lambda text: "zqslot" not in text),
    min_size=1,
    max_size=6,
)


def compiled(literals: list[str], subject: str = "Subject") -> Compiled:
    """A compiled edition whose text and HTML are literals with the name between them."""
    slots = Slots()
    mark = slots.mark("name", "reader")
    body = mark.join(literals)
    return Compiled(Language.ENGLISH, "a@example.org", subject.replace("@", mark), body, body, slots.all)


def parsed(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def decoded(message: EmailMessage) -> list[str]:
    """The parts' content, by the standard library's decoders."""
    return [part.get_payload(decode=True).decode() for part in message.iter_parts()]  # type: ignore[union-attr]


def reference(literals: list[str], value: str) -> list[str]:
    """The slow, obvious way: join the strings."""
    plain, html = value or "reader", escape(value or "reader")
    joined = [shown.join(literals) for shown in (plain, html)]
    return [(text if text.endswith("\n") else text + "\n").replace("\n", "\r\n") for text in joined]


@given(_LITERALS, _VALUES)
def test_a_merged_message_parses_back_to_what_joining_strings_gives(literals: list[str], value: str) -> None:
    """Promise 8."""
    message = build_skeleton(compiled(literals), ()).merge({"name": value})
    expected = reference(literals, value)
    # When the last literal is empty the message ends in the value; the line end is then added after it.
    assert [text.removesuffix("\r\n") for text in decoded(parsed(message))] == [
        text.removesuffix("\r\n") for text in expected
    ]


@given(_LITERALS, _VALUES)
def test_every_line_is_short_seven_bit_and_begins_with_no_dot(literals: list[str], value: str) -> None:
    """M1, M6, S10."""
    message = build_skeleton(compiled(literals), ()).merge({"name": value})
    assert message.isascii()
    for line in message.removesuffix(b"\r\n").split(b"\r\n"):
        assert b"\r" not in line
        assert b"\n" not in line
        assert len(line) <= 78
        assert not line.startswith(b".")


@given(_VALUES)
def test_a_name_in_the_subject_reads_as_it_was_given(value: str) -> None:
    """M4."""
    message = parsed(build_skeleton(compiled(["x"], "For @, the news 夏"), ()).merge({"name": value}))
    expected = f"For {value or 'reader'}, the news 夏"
    assert email.header.make_header(email.header.decode_header(message.get("Subject", ""))) is not None
    raw = build_skeleton(compiled(["x"], "For @, the news 夏"), ()).merge({"name": value})
    legacy = email.message_from_bytes(raw)
    assert str(email.header.make_header(email.header.decode_header(legacy["Subject"]))) == expected


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b"])
def test_a_value_that_could_break_a_line_is_refused(bad: str) -> None:
    """S11, M1."""
    with pytest.raises(UnsafeValue, match="name"):
        build_skeleton(compiled(["x", "y"]), ()).merge({"name": bad})


def test_japanese_goes_as_base64_and_english_as_quoted_printable() -> None:
    """M6: whichever is smaller."""
    english = parsed(build_skeleton(compiled(["Hello " * 50, "bye"]), ()).merge({"name": "x"}))
    japanese = parsed(build_skeleton(compiled(["こんにちは" * 50, "。"]), ()).merge({"name": "x"}))
    assert {part["Content-Transfer-Encoding"] for part in english.iter_parts()} == {"quoted-printable"}
    assert {part["Content-Transfer-Encoding"] for part in japanese.iter_parts()} == {"base64"}


def test_plain_text_comes_first_and_both_parts_name_their_language() -> None:
    """M7."""
    message = parsed(build_skeleton(compiled(["x", "y"]), ()).merge({"name": "n"}))
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert [part["Content-Language"] for part in (message, *message.iter_parts())] == ["en", "en", "en"]


def test_merging_twice_gives_the_same_bytes() -> None:
    """M12."""
    skeleton = build_skeleton(compiled(["x", "y"]), (plain_header("X-Test", "1"),))
    assert skeleton.merge({"name": "n"}) == skeleton.merge({"name": "n"})
