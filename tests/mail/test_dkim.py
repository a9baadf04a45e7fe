"""DKIM: what we sign verifies for others, and no longer does when it was tampered with."""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import dkim as verifier
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from dkim.canonicalization import Relaxed
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jlgc_mailer.errors import InvalidInput
from jlgc_mailer.mail.dkim import Signer, read_signer, relaxed_body, relaxed_field
from jlgc_mailer.mail.dkim_keys import Algorithm, DkimKey, new_key, read_key, write_key

RSA = new_key(Algorithm.RSA, "news.example.org", "jlgc-20260601")
ED25519 = new_key(Algorithm.ED25519, "news.example.org", "jlgc-20260601e")
BOTH = RSA, ED25519
AT = datetime(2026, 6, 1, 9, tzinfo=UTC)

OVERSIGNED = (
    b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Reply-To", b"MIME-Version", b"Content-Type",
    b"List-Unsubscribe", b"List-Unsubscribe-Post",
)  # fmt: skip
SIGNED = (b"Content-Transfer-Encoding", b"Content-Language", b"List-Id", b"Feedback-ID")
FIELDS = {
    b"Date": b"Mon, 01 Jun 2026 09:00:00 +0000",
    b"From": b"JLGC London <newsletter@example.org>",
    b"To": b"=?utf-8?B?5bGx55Sw?= <aiko@example.org>",
    b"Reply-To": b"office@example.org",
    b"Message-ID": b"<a234567@news.example.org>",
    b"Subject": b"=?utf-8?B?44GT44KT44Gr44Gh44Gv?=\r\n =?utf-8?B?44GT44KT44Gr44Gh44Gv?=",
    b"MIME-Version": b"1.0",
    b"Content-Type": b'multipart/alternative; boundary="=_b"',
    b"Content-Transfer-Encoding": b"7bit",
    b"Content-Language": b"ja",
    b"List-Id": b"JLGC News <news.news.example.org>",
    b"List-Unsubscribe": b"\r\n <https://news.example.org/u/a234567>",
    b"List-Unsubscribe-Post": b"List-Unsubscribe=One-Click",
    b"List-Post": b"NO",
    b"Feedback-ID": b"1:news:ja:jlgcmailer",
}
HEADERS = b"".join(b"%b: %b\r\n" % field for field in FIELDS.items())
BODY = b'--=_b\r\nContent-Type: text/html\r\n\r\n<a href=3D"https://example.org">news</a>\r\n--=_b--\r\n'

VISIBLE = st.binary(max_size=12).map(lambda data: bytes(b if b > 0x20 and b != 0x7F else b + 0x41 for b in data))
SPACES = st.sampled_from([b"", b" ", b"\t", b"  \t", b"\r\n ", b" \r\n\t", b"\t \r\n  "])
VALUES = st.lists(st.tuples(SPACES, VISIBLE), max_size=6).map(lambda pairs: b"".join(map(b"".join, pairs)))
NAMES = st.sampled_from([*FIELDS, b"FROM", b"sUBJECT", b"Received", b"Return-Path", b"X-Other"])
RAW_FIELDS = st.tuples(NAMES, VALUES, SPACES).map(lambda parts: b"%b:%b%b\r\n" % parts)
LINES = st.text(" \t.=ab", max_size=20).map(str.encode) | VISIBLE
BODIES = st.lists(LINES, max_size=8).map(b"\r\n".join)


def record(name: bytes, timeout: int = 5) -> bytes | None:
    """What the DNS says."""
    assert timeout
    return {f"{key.record_name}.": key.record_value for key in BOTH}[name.decode()].encode()


def verdicts(message: bytes, signatures: int = 2) -> list[bool]:
    """What dkimpy thinks of each signature."""
    return [verifies(message, index) for index in range(signatures)]


def verifies(message: bytes, index: int) -> bool:
    try:
        return bool(verifier.DKIM(message).verify(idx=index, dnsfunc=record))
    except verifier.ValidationError:
        return False


def signed(headers: bytes = HEADERS, body: bytes = BODY, keys: Sequence[DkimKey] = BOTH) -> bytes:
    """A message as it goes on the wire."""
    return Signer(keys).fields(headers, body, AT) + headers + b"\r\n" + on_the_wire(body)


def on_the_wire(body: bytes) -> bytes:
    """SMTP has no line without an end (RFC 5321 4.1.1.4)."""
    return body + b"\r\n" if body and not body.endswith(b"\r\n") else body


def without(name: bytes) -> bytes:
    """The header without one of its fields."""
    return HEADERS.replace(b"%b: %b\r\n" % (name, FIELDS[name]), b"")


def tags(field: bytes) -> dict[str, str]:
    """The tags of one signature, without white space."""
    text = field.decode().removeprefix("DKIM-Signature:")
    pairs = (tag.partition("=") for tag in re.sub(r"[\r\n\t ]", "", text).split(";"))
    return {name: value for name, _, value in pairs}


def test_a_letter_is_signed_with_each_key_and_both_signatures_verify() -> None:
    """M16, M6"""
    assert verdicts(signed()) == [True, True]
    fields = Signer(BOTH).fields(HEADERS, BODY, AT)
    rsa, ed25519 = (tags(field) for field in re.split(rb"\r\n(?=D)", fields))
    assert (rsa["a"], rsa["d"], rsa["s"]) == ("rsa-sha256", "news.example.org", "jlgc-20260601")
    assert (ed25519["a"], ed25519["d"], ed25519["s"]) == ("ed25519-sha256", "news.example.org", "jlgc-20260601e")
    assert (rsa["h"], rsa["bh"], rsa["t"]) == (ed25519["h"], ed25519["bh"], ed25519["t"])


def test_a_signature_has_these_tags_and_covers_the_whole_body() -> None:
    """M16, M17: no l=."""
    found = tags(Signer([RSA]).fields(HEADERS, BODY, AT))
    assert set(found) == {"v", "a", "c", "d", "s", "h", "t", "bh", "b"}
    assert (found["v"], found["c"], found["t"]) == ("1", "relaxed/relaxed", str(int(AT.timestamp())))


@pytest.mark.parametrize("keys", [(), (ED25519,), (ED25519, ED25519)])
def test_ed25519_signs_only_beside_rsa(keys: tuple[DkimKey, ...]) -> None:
    """M16"""
    with pytest.raises(InvalidInput, match="cannot be used: no RSA key is beside it") as refused:
        Signer(keys)
    assert str(refused.value).endswith("Run: jlgc-mailer dkim keygen")


def test_during_a_change_of_keys_the_old_one_and_the_new_one_sign() -> None:
    new = DkimKey("news.example.org", "jlgc-20270101", RSA.private)
    fields = Signer([RSA, new]).fields(HEADERS, BODY, AT)
    assert [tags(field)["s"] for field in re.split(rb"\r\n(?=D)", fields)] == ["jlgc-20260601", "jlgc-20270101"]


@settings(max_examples=200)
@given(st.lists(RAW_FIELDS, max_size=12), BODIES)
@example([], b"")
@example([b"Subject: twice\r\n", b"Subject: twice\r\n", b"Subject:\r\n"], b" \t")
@example([b"Subject:\r\n \r\n folded\t\r\n"], b"text \r\n\r\n\t\r\n\r\n")
def test_whatever_is_signed_verifies(fields: list[bytes], body: bytes) -> None:
    """M16, M17"""
    assert verdicts(signed(b"".join(fields), body)) == [True, True]


@given(st.lists(RAW_FIELDS, max_size=12))
def test_h_names_what_must_not_be_added_once_more_than_it_occurs(fields: list[bytes]) -> None:
    """M17, M10: both fields of the one-click unsubscribe are covered."""
    occurring = Counter(field.partition(b":")[0].lower().decode() for field in fields)
    named = Counter(tags(Signer([RSA]).fields(fields, b"", AT))["h"].lower().split(":"))
    assert {name: named[name] for name in lowered(OVERSIGNED)} == {
        name: occurring[name] + 1 for name in lowered(OVERSIGNED)
    }
    assert {name: named[name] for name in lowered(SIGNED)} == {name: occurring[name] for name in lowered(SIGNED)}
    assert set(named) <= set(lowered(OVERSIGNED + SIGNED))


def lowered(names: tuple[bytes, ...]) -> list[str]:
    return [name.lower().decode() for name in names]


@pytest.mark.parametrize("name", OVERSIGNED, ids=bytes.decode)
@pytest.mark.parametrize("missing", [False, True], ids=["second", "first"])
def test_a_field_that_somebody_added_breaks_the_signatures(name: bytes, missing: bool) -> None:
    """M17, M10: a second Subject, an injected List-Unsubscribe, above or below ours, or where we had none."""
    headers = without(name) if missing else HEADERS
    message = signed(headers)
    added = b"%b: <https://evil.example/>\r\n" % name
    assert verdicts(message) == [True, True]
    assert verdicts(added + message) == [False, False]
    assert verdicts(message.replace(headers, headers + added)) == [False, False]


@pytest.mark.parametrize("name", OVERSIGNED + SIGNED, ids=bytes.decode)
def test_a_field_that_was_changed_or_taken_away_breaks_the_signatures(name: bytes) -> None:
    """M17, M10"""
    message = signed()
    ours = b"%b: %b\r\n" % (name, FIELDS[name])
    assert message.count(ours) == 1
    assert verdicts(message.replace(ours, b"%b: other\r\n" % name)) == [False, False]
    assert verdicts(message.replace(ours, b"")) == [False, False]


@pytest.mark.parametrize(
    "tail", [b"<b>buy</b>\r\n", b"\r\n.", b"--=_b\r\nContent-Type: text/html\r\n\r\nbuy\r\n--=_b--\r\n"]
)
def test_html_that_was_appended_breaks_the_signatures(tail: bytes) -> None:
    """M17"""
    assert verdicts(signed() + tail) == [False, False]


def test_what_servers_add_on_the_way_leaves_the_signatures_whole() -> None:
    """M17: Return-Path and Received are never signed, also when they are there."""
    trace = b"Return-Path: <b+x@example.org>\r\nReceived: from a by b; Mon, 01 Jun 2026 09:00:01 +0000\r\n"
    assert verdicts(trace + signed()) == [True, True]
    assert verdicts(signed(trace + HEADERS).replace(trace, b"")) == [True, True]


def test_a_letter_is_signed_with_the_same_bytes_however_often() -> None:
    """M12: RSA PKCS#1 v1.5 and Ed25519 take nothing random, and the time is given."""
    once = Signer(BOTH).fields(HEADERS, BODY, AT)
    read_again = [read_key(key.pem(), key.domain, key.selector) for key in BOTH]
    assert Signer(BOTH).fields(HEADERS, BODY, AT) == once
    assert Signer(read_again).fields(HEADERS, BODY, AT.astimezone(timezone(timedelta(hours=9)))) == once
    assert Signer(BOTH).fields(HEADERS, BODY, AT + timedelta(seconds=1)) != once


@given(st.lists(RAW_FIELDS, max_size=12), BODIES)
def test_a_header_may_be_given_whole_or_as_fields_and_a_body_in_canonical_form(
    fields: list[bytes], body: bytes
) -> None:
    signer = Signer([RSA])
    once = signer.fields(b"".join(fields), body, AT)
    assert signer.fields(fields, relaxed_body(body), AT, body_is_canonical=True) == once


def test_a_body_that_is_said_to_be_canonical_is_hashed_as_it_is() -> None:
    """It is not read a second time: that would cost more than an Ed25519 signature."""
    field = Signer([RSA]).fields(HEADERS, b"a \t b\r\n", AT, body_is_canonical=True)
    assert base64.b64decode(tags(field)["bh"]) == hashlib.sha256(b"a \t b\r\n").digest()


@pytest.mark.parametrize(
    "domain", ["example.org", "a." * 30 + "example.org", "news-" * 11 + "x." + "y" * 60 + ".example.org"]
)
def test_lines_have_78_characters_where_the_domain_allows_it_and_none_begins_with_a_dot(domain: str) -> None:
    """M1, M16"""
    keys = [DkimKey(domain, key.selector, key.private) for key in BOTH]
    fields = Signer(keys).fields(HEADERS * 2, BODY, AT)
    *lines, last = fields.split(b"\r\n")
    assert last == b""
    assert [line for line in lines if len(line) > 78 and domain.encode() not in line] == []
    assert {line[:1] for line in lines} == {b"D", b" "}
    assert max(map(len, lines)) <= max(78, len(f" d={domain};"))
    assert not re.search(rb"[\r\n]", b"".join(lines))


@given(BODIES)
@example(b"")
@example(b"\r\n\r\n")
@example(b" \r\n")
def test_the_canonical_body_is_what_others_make_of_it(body: bytes) -> None:
    """M16"""
    canonical = relaxed_body(body)
    assert canonical == Relaxed.canonicalize_body(on_the_wire(body)).removeprefix(b"" if canonical else b"\r\n")
    assert relaxed_body(canonical) == canonical


def test_the_example_of_rfc_6376_comes_out_as_printed_there() -> None:
    """M16: RFC 6376 3.4.5"""
    assert relaxed_field(b"A: X\r\n") == b"a:X\r\n"
    assert relaxed_field(b"B : Y\t\r\n\tZ  \r\n") == b"b:Y Z\r\n"
    assert relaxed_body(b" C \r\nD \t E\r\n\r\n\r\n") == b" C\r\nD E\r\n"


def test_long_white_space_and_many_empty_lines_take_no_time() -> None:
    """Quadratic time would be minutes here."""
    assert relaxed_body(b" " * 1_000_000 + b"x" + b"\r\n" * 500_000 + b"y") == b" x" + b"\r\n" * 500_000 + b"y\r\n"
    assert relaxed_body(b"\r\n" * 500_000) == b""


def test_the_example_of_rfc_8463_comes_out_as_printed_there() -> None:
    """M16: RFC 8463 appendix A, canonical forms, hash, record and signature."""
    seed = base64.b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    key = DkimKey("football.example.com", "brisbane", Ed25519PrivateKey.from_private_bytes(seed))
    assert key.record_value == "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    names = (
        b"From: Joe SixPack <joe@football.example.com>\r\n",
        b"To: Suzie Q <suzie@shopping.example.net>\r\n",
        b"Subject: Is dinner ready?\r\n",
        b"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n",
        b"Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n",
    )
    signature = (
        b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
        b" d=football.example.com; i=@football.example.com;\r\n"
        b" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
        b" subject : date : message-id : from : subject : date;\r\n"
        b" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
        b" b="
    )
    body = b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
    to_sign = b"".join(map(relaxed_field, names)) + relaxed_field(signature).removesuffix(b"\r\n")
    expected = "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw=="
    assert base64.b64encode(key.sign(to_sign)).decode() == expected
    bh = tags(Signer([RSA]).fields(b"", body, AT))["bh"]
    assert bh == "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="


def test_a_folder_with_keys_gives_a_signer_and_one_without_gives_none(tmp_path: Path) -> None:
    folder = tmp_path / "dkim"
    assert read_signer(folder, "news.example.org") is None
    for key in BOTH:
        write_key(folder, key)
    signer = read_signer(folder, "news.example.org")
    assert signer is not None
    assert signer.fields(HEADERS, BODY, AT) == Signer(BOTH).fields(HEADERS, BODY, AT)
    (folder / f"{RSA.selector}.pem").unlink()
    with pytest.raises(InvalidInput, match=r"^DKIM key 'jlgc-20260601e' cannot be used: no RSA key is beside it"):
        read_signer(folder, "news.example.org")
