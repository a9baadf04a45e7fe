"""Tokens: they carry numbers, and nobody else can make one."""

import base64
import hashlib
import hmac
import string
from itertools import combinations, count

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jlgc_mailer.mail.tokens import Keyring, Purpose

OLD, NEW = b"an old key that is long enough to be one", b"a new key that is long enough to be one!"
RING = Keyring((OLD,))
NUMBERS = st.lists(st.integers(min_value=0, max_value=2**63 - 1), max_size=4).map(tuple)
ALPHABET = set(string.ascii_lowercase + "234567")


@given(NUMBERS | st.lists(st.integers(min_value=0, max_value=2**200)).map(tuple), st.sampled_from(Purpose))
def test_a_token_reads_back_as_its_numbers(numbers: tuple[int, ...], purpose: Purpose) -> None:
    """F1, M10"""
    token = RING.sign(purpose, *numbers)
    assert RING.read(purpose, token) == numbers
    assert set(token) <= ALPHABET


def slow_token(key: bytes, purpose: Purpose, numbers: tuple[int, ...]) -> str:
    """The format in the standard library's words; tokens live for ever, so it must never change."""
    payload = hashlib.sha256(b"key id" + key).digest()[:1]
    for number in numbers:
        groups = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
        payload += bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])
    mac = hmac.digest(key, purpose.encode() + b"\0" + payload, "sha256")[:10]
    return base64.b32encode(payload + mac).decode().rstrip("=").lower()


@given(
    st.binary(min_size=1, max_size=200),
    NUMBERS | st.lists(st.integers(min_value=0, max_value=2**40), max_size=2).map(tuple),
    st.sampled_from(Purpose),
)
@example(b"k" * 64, (1,), Purpose.BOUNCE)
@example(b"k" * 65, (1,), Purpose.BOUNCE)
def test_a_token_is_base32_of_key_id_varints_and_half_an_hmac(
    key: bytes, numbers: tuple[int, ...], purpose: Purpose
) -> None:
    """F1, M10, M11: RFC 2104 and RFC 4648, whatever the length of key and payload."""
    assert Keyring((key,)).sign(purpose, *numbers) == slow_token(key, purpose, numbers)


@given(NUMBERS, st.sampled_from(Purpose))
def test_a_token_for_one_purpose_is_worthless_for_the_others(numbers: tuple[int, ...], purpose: Purpose) -> None:
    """F1"""
    token = RING.sign(purpose, *numbers)
    assert [other for other in Purpose if RING.read(other, token) is not None] == [purpose]


@given(NUMBERS)
def test_a_token_of_another_key_is_refused(numbers: tuple[int, ...]) -> None:
    """F1"""
    assert Keyring((NEW,)).read(Purpose.BOUNCE, RING.sign(Purpose.BOUNCE, *numbers)) is None


@given(NUMBERS, st.data())
def test_a_token_with_any_character_changed_is_refused(numbers: tuple[int, ...], data: st.DataObject) -> None:
    """F1, M10"""
    token = RING.sign(Purpose.UNSUBSCRIBE, *numbers)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from(sorted(ALPHABET - {token[at]})))
    assert RING.read(Purpose.UNSUBSCRIBE, token[:at] + other + token[at + 1 :]) is None


@given(NUMBERS, st.text("abcdefgh234567=", min_size=1, max_size=8))
def test_a_token_with_something_added_or_cut_off_is_refused(numbers: tuple[int, ...], more: str) -> None:
    """F1"""
    token = RING.sign(Purpose.UNSUBSCRIBE, *numbers)
    for changed in (token + more, more + token, token[: -len(more)]):
        assert RING.read(Purpose.UNSUBSCRIBE, changed) is None


@given(NUMBERS, st.randoms())
def test_a_token_may_come_back_in_any_case(numbers: tuple[int, ...], random: st.DrawFn) -> None:
    """F1: relays change the case of local parts, people that of links."""
    token = RING.sign(Purpose.BOUNCE, *numbers)
    mixed = "".join(character.upper() if random.random() < 0.5 else character for character in token)  # type: ignore[attr-defined]
    assert RING.read(Purpose.BOUNCE, mixed) == numbers


@given(st.text() | st.text("abcdefghijklmnopqrstuvwxyz234567ıſK=", max_size=60))
def test_any_other_text_is_no_token(text: str) -> None:
    """F1"""
    assert RING.read(Purpose.UNSUBSCRIBE, text) is None


def test_the_first_key_signs_and_all_read() -> None:
    """F1, M11: links in mail that was sent live on when a new key is put before the old one."""
    both = Keyring((NEW, OLD))
    assert both.read(Purpose.UNSUBSCRIBE, RING.sign(Purpose.UNSUBSCRIBE, 7)) == (7,)
    assert both.sign(Purpose.UNSUBSCRIBE, 7) == Keyring((NEW,)).sign(Purpose.UNSUBSCRIBE, 7)
    assert RING.read(Purpose.UNSUBSCRIBE, both.sign(Purpose.UNSUBSCRIBE, 7)) is None


def test_a_retry_is_signed_with_the_key_of_the_first_attempt() -> None:
    """M12: though a new key was put before it meanwhile."""
    both = Keyring((NEW, OLD))
    again = both.signing(RING.key_id)
    assert again.sign(Purpose.MESSAGE_ID, 7) == RING.sign(Purpose.MESSAGE_ID, 7)
    assert again.key_id == RING.key_id
    assert again.read(Purpose.MESSAGE_ID, both.sign(Purpose.MESSAGE_ID, 7)) == (7,)


def test_without_a_wish_or_the_key_for_it_the_first_key_signs() -> None:
    """M12"""
    both = Keyring((NEW, OLD))
    gone = next(number for number in range(256) if number not in {both.key_id, RING.key_id})
    assert both.signing(None) == both.signing(gone) == both


def test_two_keys_of_which_tokens_begin_alike_both_read() -> None:
    """F1: a key's id is one octet, so that one pair of keys in 256 shares it."""
    starts: dict[str, bytes] = {}
    for number in count():
        key = b"key number %032d" % number
        twin = starts.setdefault(Keyring((key,)).sign(Purpose.BOUNCE)[0], key)
        tokens = [Keyring((each,)).sign(Purpose.BOUNCE, 1) for each in (twin, key)]
        if twin != key and tokens[0][:3] == tokens[1][:3]:
            break
    both = Keyring((twin, key))
    assert [both.read(Purpose.BOUNCE, token) for token in tokens] == [(1,), (1,)]


def test_tokens_are_long_enough_not_to_be_guessed_and_differ() -> None:
    """F1: at least 80 bits of HMAC, which are 16 characters of base32."""
    tokens = [RING.sign(Purpose.UNSUBSCRIBE, number) for number in range(100)]
    assert all(len(token) >= 16 + 4 for token in tokens)
    assert all(one[-16:] != other[-16:] for one, other in combinations(tokens, 2))


def test_a_negative_number_cannot_be_signed() -> None:
    with pytest.raises(ValueError, match="-1"):
        RING.sign(Purpose.BOUNCE, -1)
