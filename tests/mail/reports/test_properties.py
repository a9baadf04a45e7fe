"""Any octets at all give a value, never an exception, in bounded time and memory."""

import random
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jlgc_mailer.mail.reports.read import as_dicts, read_report
from jlgc_mailer.mail.reports.rules import default_rules
from jlgc_mailer.states import FeedbackClass
from tests.mail.reports.corpus import Sample, samples

_RULES = default_rules()
_SAMPLES = samples()
_SAFE = {"unknown", "auto-reply", "challenge", "complaint", "unsubscribe"}  # what no damage may make a bounce of


def _check(data: bytes) -> None:
    signals = read_report(data, _RULES)
    assert signals
    for shown in as_dicts("x", signals):
        assert len(str(shown["diagnosis"])) <= 500
        assert len(str(shown["rule"])) <= 80
        assert len(str(shown["status"] or "")) <= 12
        assert len(str(shown["remote_mta"] or "")) <= 255


@given(st.binary(max_size=2_000))
def test_any_octets_give_a_value(data: bytes) -> None:
    """F8"""
    _check(data)


@given(st.text(max_size=500), st.text(max_size=500))
def test_any_text_given_as_a_report_gives_a_value(subject: str, body: str) -> None:
    """F8"""
    _check(f"From: MAILER-DAEMON@x.example\nSubject: failure notice {subject}\n\n{body}".encode("utf-8", "replace"))


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def _shuffled(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\n")
    chance.shuffle(lines)
    return b"\n".join(lines)


def _damaged(data: bytes, chance: random.Random) -> bytes:
    octets = bytearray(data)
    for _ in range(chance.randrange(1, 40)):
        octets[chance.randrange(len(octets))] = chance.randrange(256)
    return bytes(octets)


def _nested(data: bytes, chance: random.Random) -> bytes:
    for number in range(chance.randrange(1, 30)):
        data = b'Content-Type: multipart/mixed; boundary="n%d"\n\n--n%d\n%s\n--n%d--\n' % (number, number, data, number)
    return data


def _joined(data: bytes, chance: random.Random) -> bytes:
    return data + chance.choice(_SAMPLES).data


@settings(max_examples=200)
@given(
    st.sampled_from(_SAMPLES),
    st.lists(st.sampled_from([_cut, _shuffled, _damaged, _nested, _joined]), min_size=1, max_size=3),
    st.randoms(use_true_random=False),
)
def test_a_damaged_report_gives_a_value(
    sample: Sample, ways: list[Callable[[bytes, random.Random], bytes]], chance: random.Random
) -> None:
    """F8"""
    data = sample.data
    for way in ways:
        data = way(data, chance) or b"x"
    _check(data)


@pytest.mark.parametrize("sample", _SAMPLES, ids=lambda sample: sample.name)
def test_line_ends_do_not_matter(sample: Sample) -> None:
    """F8"""
    expected = read_report(sample.data, _RULES)
    for ending in (b"\r\n", b"\r"):
        assert read_report(sample.data.replace(b"\n", ending), _RULES) == expected
    assert read_report(b"From x@example.org Mon Nov  2 10:00:00 2026\n" + sample.data, _RULES) == expected


@given(st.sampled_from([each for each in _SAMPLES if each.expected[0].feedback_class in _SAFE]), st.data())
def test_no_cut_makes_a_hard_bounce_of_what_is_none(sample: Sample, data: st.DataObject) -> None:
    """F6, F8: a mailbox that cuts messages off suppresses nobody."""
    cut = sample.data[: data.draw(st.integers(0, len(sample.data)))]
    assert all(each.feedback_class is not FeedbackClass.HARD for each in read_report(cut, _RULES))


_BOUNCE = b"From: MAILER-DAEMON@x.example\nSubject: failure notice\n\n"
_HUGE = {
    "10 MB of noise": lambda: random.Random(1).randbytes(10_000_000),
    "10 MB on one line": lambda: _BOUNCE + b"a" * 10_000_000,
    "10 MB of blank lines": lambda: b"\n" * 10_000_000,
    "a million header fields": lambda: b"".join(b"X-%d: v\n" % number for number in range(1_000_000)) + b"\nx",
    "200 nested parts": lambda: (
        b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (each, each) for each in range(200))
        + b"x" * 5_000_000
    ),
    "200 nested messages": lambda: b"Content-Type: message/rfc822\n\n" * 200 + b"x" * 5_000_000,
    "a million parts": lambda: b'Content-Type: multipart/mixed; boundary="b"\n\n' + b"--b\n" * 1_000_000,
    "a hundred thousand recipients": lambda: (
        b"Content-Type: message/delivery-status\n\n"
        + b"".join(b"Final-Recipient: rfc822; a%d@b.c\nAction: failed\n\n" % number for number in range(100_000))
    ),
    "addresses only": lambda: _BOUNCE + b"<a@b.cc> " * 500_000,
    "signs of addresses only": lambda: _BOUNCE + b"@" * 5_000_000,
    "tags only": lambda: b"Subject: failure\nContent-Type: text/html\n\n" + b"<style><a " * 500_000,
    "replies only": lambda: _BOUNCE + b"550 user not " * 500_000,
    "encoded-words only": lambda: b"Subject: " + b"=?utf-8?q?a?= " * 500_000 + b"\n\nx",
}


@pytest.mark.timeout(30)  # each takes a second or less; a pattern that backtracks would take hours
@pytest.mark.parametrize("name", _HUGE)
def test_huge_input_is_read_within_bounds(name: str) -> None:
    """F8: 10 MB, 200 nested parts, a million header fields; memory stays a small multiple of what is looked at."""
    data = _HUGE[name]()
    tracemalloc.start()
    try:
        _check(data)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
