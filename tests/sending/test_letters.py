"""A letter carries every field that mailbox providers ask of a newsletter, and each of them once."""

import email
import email.policy
import re
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr, parsedate_to_datetime
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.errors import UnsafeValue
from jlgc_mailer.mail.tokens import Keyring, Purpose
from jlgc_mailer.mail.verp import delivery_of, leaving_of
from jlgc_mailer.render.fields import Slots
from jlgc_mailer.render.source import Compiled
from jlgc_mailer.sending.letters import Identity, ListFace, Recipient, Stationery
from jlgc_mailer.states import Language

KEYRING = Keyring((b"a key for letters that is long enough for anybody",))
PUBLIC_URL = "https://newsletter.a-rather-long-name-of-a-local-authority.example.org/about/us/and/our/news"
DATE = datetime(2026, 6, 1, 9, 30, tzinfo=UTC)
TITLES = {Language.ENGLISH: "JLGC <News>", Language.JAPANESE: "クレア&ニュース"}
ONCE = (
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Post",
    "Feedback-ID",
)


def stationery(language: Language = Language.ENGLISH) -> Stationery:
    slots = Slots()
    greeting = f"Dear {slots.mark('name', 'reader')}, {slots.mark('list_title')} says"
    text = f"{greeting}: leave at {slots.mark('unsubscribe_url')}\n"
    sender = "JLGC London <newsletter@example.org>"
    compiled = Compiled(language, sender, f"For {slots.mark('name', 'reader')}", text, text, slots.all)
    face = ListFace("news", TITLES)
    identity = Identity(PUBLIC_URL, "news.example.org", "bounce.example.org", "jlgcmailer", KEYRING)
    return Stationery(identity, 7, DATE, {1: compiled}, {3: face})


def recipient(number: int = 42, name: str = "Aiko Tanaka", address: str = "aiko@example.com") -> Recipient:
    return Recipient(number, 1, DATE, 1000 + number, address, name, 3, 1)


def parsed(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_every_field_stands_once_and_those_of_others_not_at_all() -> None:
    """M2, M9."""
    message = parsed(stationery().letter(recipient()).content)
    assert {name: len(message.get_all(name, [])) for name in ONCE} == dict.fromkeys(ONCE, 1)
    assert not {"bcc", "cc", "return-path", "sender"} & {name.lower() for name in message}
    assert message["To"] == "Aiko Tanaka <aiko@example.com>"
    assert parsedate_to_datetime(str(message["Date"])) == DATE


def test_lists_are_told_by_a_stable_id_under_our_own_domain() -> None:
    """M9."""
    content = stationery().letter(recipient()).content
    assert b"<news.news.example.org>" in content
    assert parsed(content)["List-Post"] == "NO"


def test_the_unsubscribe_address_stands_literally_however_long_and_names_the_reader() -> None:
    """M5, M9, M10: by https first, then by mail with the same token."""
    content = stationery().letter(recipient()).content
    found = re.search(rb"List-Unsubscribe:\s+<(https://[^>\s]+)>, <mailto:([^>?]+)\?subject=unsubscribe>\r\n", content)
    assert found
    url, address = found[1].decode(), found[2].decode()
    assert len(url) > 110
    assert KEYRING.read(Purpose.UNSUBSCRIBE, url.rpartition("/")[2]) == leaving_of(address, KEYRING) == (1042, 7)
    assert address == f"u+{url.rpartition('/')[2]}@bounce.example.org"
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in content
    assert url in parsed(content).get_body(("plain",)).get_content()  # type: ignore[union-attr]


def test_a_message_id_is_unique_holds_nothing_personal_and_stays() -> None:
    """M12."""
    paper = stationery()
    ids = {str(parsed(paper.letter(recipient(number)).content)["Message-ID"]) for number in range(200)}
    assert len(ids) == 200
    assert all(re.fullmatch(r"<[a-z2-7]+@news\.example\.org>", each) for each in ids)
    again = stationery()
    assert again.letter(recipient()).content == paper.letter(recipient()).content


class Witness:
    """A signer that remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[bytes, bytes, datetime, bool]] = []

    def fields(self, headers: bytes, body: bytes, at: datetime, *, body_is_canonical: bool = False) -> bytes:
        self.shown.append((headers, body, at, body_is_canonical))
        return b"X-Signature: 1\r\nX-Signature: 2\r\n"


def test_the_signature_stands_before_what_was_signed() -> None:
    """M10, M12, M16: its date is the send's, so that the same letter always has the same signature."""
    paper, witness = stationery(), Witness()
    plain = paper.letter(recipient()).content
    paper.signer = witness
    assert paper.letter(recipient()).content == b"X-Signature: 1\r\nX-Signature: 2\r\n" + plain
    headers, _, body = plain.partition(b"\r\n\r\n")
    assert witness.shown == [(headers + b"\r\n", body, DATE, True)]


def test_a_letter_to_an_address_beyond_ascii_needs_smtputf8_and_no_other_does() -> None:
    """S9: RFC 6532 3.2; only the To field and not a line more is beyond ASCII."""
    letter = stationery().letter(recipient(name="田中", address="愛子@example.com"))
    assert letter.needs_smtputf8
    assert letter.address == "愛子@example.com"
    lines = [line for line in letter.content.split(b"\r\n") if not line.isascii()]
    assert lines == ["To: =?utf-8?B?55Sw5Lit?= <愛子@example.com>".encode()]
    assert not stationery().letter(recipient(name="田中", address="aiko@xn--wgv71a119e.jp")).needs_smtputf8


def test_the_envelope_id_is_the_token_of_the_envelope_sender() -> None:
    """M15, F1: ASCII, short, and no address in it."""
    letter = stationery().letter(recipient())
    assert re.fullmatch(r"[a-z2-7]{1,100}", letter.envelope_id)
    assert letter.envelope_sender == f"b+{letter.envelope_id}@bounce.example.org"


def test_feedback_id_ends_with_our_constant_sender_id() -> None:
    """M13."""
    value = str(parsed(stationery().letter(recipient()).content)["Feedback-ID"])
    assert value.split(":") == ["7", "news", "en", "jlgcmailer"]
    assert 5 <= len(value.rpartition(":")[2]) <= 15


def test_a_newsletter_says_that_it_is_bulk_and_wants_no_automatic_answer() -> None:
    """M14."""
    message = parsed(stationery().letter(recipient()).content)
    assert message["Precedence"] == "bulk"
    assert message["X-Auto-Response-Suppress"] == "All"
    assert message["Auto-Submitted"] is None


def test_the_envelope_sender_leads_back_to_the_delivery() -> None:
    """F1."""
    assert delivery_of(stationery().letter(recipient()).envelope_sender, KEYRING) == 42


@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=200)
    | st.sampled_from(
        ["", ".", "Aiko", "田中 愛子", "O'Brien & Söhne", "Aiko, Tanaka", '"', "محمد", "𠮷" * 60, "a " * 99]
    ),
    st.sampled_from(Language),
)
def test_any_name_is_greeted_as_it_was_given(name: str, language: Language) -> None:
    """Promise 8, M1, M4, S10, S11: in the text, in the HTML, in Subject and beside the address."""
    letter = stationery(language).letter(recipient(name=name))
    assert letter.content.isascii()
    assert all(len(line) <= 998 and not line.startswith(b".") for line in letter.content.split(b"\r\n"))
    message, raw = parsed(letter.content), email.message_from_bytes(letter.content)
    [to], [subject] = (raw.get_all(field, []) for field in ("To", "Subject"))
    display, address = parseaddr(to.replace("\r\n", ""))
    assert (words(display).strip(), address) == (name.strip(), "aiko@example.com")
    assert words(subject.replace("\r\n", "")) == f"For {name or 'reader'}"
    url = str(message["List-Unsubscribe"]).partition(">")[0].strip("< ")
    text = f"Dear {name or 'reader'}, {TITLES[language]} says: leave at {url}"
    assert [part.get_payload(decode=True).decode().removesuffix("\r\n") for part in message.iter_parts()] == [  # type: ignore[union-attr]
        text,
        escape(text),
    ]


def words(value: str) -> str:
    return str(make_header(decode_header(value)))


@pytest.mark.parametrize("name", ["x\r\nBcc: all@example.com", "x\ny", "x\0y"])
def test_a_name_cannot_add_a_field(name: str) -> None:
    """S11."""
    with pytest.raises(UnsafeValue):
        stationery().letter(recipient(name=name))
