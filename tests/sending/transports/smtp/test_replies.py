"""Replies read from any octets in any pieces."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.mail.replies import read_reply
from jlgc_mailer.sending.transports.smtp.replies import Answer, ReplyReader

LINES = st.lists(
    st.one_of(
        st.sampled_from([b"250 2.0.0 Ok", b"250-first", b"250", b"354 Go", b"421 4.3.2 Bye", b"250-", b"999 x", b""]),
        st.binary(max_size=40),
    ),
    max_size=8,
)


def read_in_pieces(data: bytes, cuts: list[int]) -> list[Answer]:
    reader = ReplyReader()
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [answer for start, end in pairwise(edges) for answer in reader.feed(data[start:end])]


@given(LINES, st.lists(st.integers(min_value=0), max_size=20))
def test_how_octets_are_cut_changes_nothing(lines: list[bytes], cuts: list[int]) -> None:
    data = b"\r\n".join(lines)
    assert read_in_pieces(data, cuts) == read_in_pieces(data, [])


def test_a_reply_read_octet_by_octet_is_the_same() -> None:
    data = b"250-relay.example\r\n250-PIPELINING\r\n250 DSN\r\n354 Go ahead\r\n"
    whole = [Answer(250, b"relay.example\nPIPELINING\nDSN"), Answer(354, b"Go ahead")]
    assert read_in_pieces(data, list(range(len(data)))) == whole == ReplyReader().feed(data)


@given(st.binary(max_size=20000))
def test_whatever_comes_is_answered_with_values_in_bounded_memory(data: bytes) -> None:
    reader = ReplyReader()
    for answer in reader.feed(data) + reader.feed(data):
        assert answer.reply.code == answer.code
        assert len(answer.reply.text) <= 2000
    assert len(reader._rest) <= 4096


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"250-one\r\n251 two\r\n",
        b"+50 plus\r\n",
        b"2_5 underscore\r\n",
        b"099 too low\r\n",
        b"250_ mark\r\n",
        b"\r\n",
        b"250 " + b"x" * 5000,
        b"250-x\r\n" * 201,
    ],
)
def test_what_is_not_smtp_is_a_value_and_the_last_one(data: bytes) -> None:
    reader = ReplyReader()
    assert [answer.code for answer in reader.feed(data)] == [0]
    assert reader.feed(b"250 Ok\r\n") == []


def test_bare_line_feeds_and_bare_codes_are_read() -> None:
    assert ReplyReader().feed(b"250 Ok\n250\r\n") == [Answer(250, b"Ok"), Answer(250, b"")]


TEXT = st.one_of(
    st.from_regex(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}[ -~]{0,40}", fullmatch=True),
    st.text(max_size=40),
    st.just("5.1.1 two\n5.1.1 lines"),
)


@given(st.sampled_from([250, 354, 421, 550]), TEXT)
def test_the_quick_way_reads_what_the_slow_way_reads(code: int, text: str) -> None:
    octets = text.encode("utf-8", "replace")
    assert Answer(code, octets).reply == read_reply(code, octets.decode("utf-8", "replace"))
