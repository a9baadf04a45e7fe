"""The envelope sender names its delivery, and the address to leave by its reader, to us alone."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.mail.address import parse_address
from jlgc_mailer.mail.tokens import Keyring, Purpose
from jlgc_mailer.mail.verp import (
    bounce_address,
    bounce_token,
    delivery_of,
    envelope_sender,
    is_envelope_sender,
    leaving_address,
    leaving_of,
)

RING = Keyring((b"a secret for tests that is long enough to be one",))
IDS = st.integers(min_value=0, max_value=2**63 - 1)


@given(IDS)
def test_whatever_comes_back_to_an_envelope_sender_names_its_delivery(delivery_id: int) -> None:
    """F1"""
    address = envelope_sender(delivery_id, RING, "bounce.example.org")
    assert delivery_of(address, RING) == delivery_id
    assert delivery_of(address.upper(), RING) == delivery_id


@given(IDS)
def test_an_envelope_sender_is_an_address_with_a_short_local_part(delivery_id: int) -> None:
    """F1: at most 64 octets before the @ (RFC 5321 4.5.3.1.1)."""
    address = envelope_sender(delivery_id, RING, "bounce.example.org")
    local, _, domain = address.partition("@")
    assert len(local.encode()) <= 64
    assert domain == "bounce.example.org"
    assert parse_address(address).spec == address


@given(IDS)
def test_its_token_alone_names_the_delivery_in_letters_and_digits(delivery_id: int) -> None:
    """F1, M15: fit for an ENVID, which is at most 100 characters."""
    token = bounce_token(delivery_id, RING)
    assert re.fullmatch("[a-z2-7]{20,32}", token)
    assert bounce_address(token, "bounce.example.org") == envelope_sender(delivery_id, RING, "bounce.example.org")


@given(IDS, st.data())
def test_a_forged_envelope_sender_names_nothing(delivery_id: int, data: st.DataObject) -> None:
    """F1, F2"""
    address = envelope_sender(delivery_id, RING, "bounce.example.org")
    at = data.draw(st.integers(0, address.index("@") - 1))
    forged = address[:at] + data.draw(st.sampled_from("z9-+")) + address[at + 1 :]
    assert delivery_of(forged, RING) == (delivery_id if forged == address else None)


@given(st.text())
def test_any_other_text_names_nothing(text: str) -> None:
    assert delivery_of(text, RING) is None
    assert delivery_of(f"b+{text}@bounce.example.org", RING) is None


@pytest.mark.parametrize("numbers", [(), (1, 2)])
def test_a_token_of_ours_for_something_else_names_nothing(numbers: tuple[int, ...]) -> None:
    """F1"""
    for purpose in Purpose:
        assert delivery_of(f"b+{RING.sign(purpose, *numbers)}@bounce.example.org", RING) is None
    assert delivery_of(f"b+{RING.sign(Purpose.UNSUBSCRIBE, 1)}@bounce.example.org", RING) is None


@given(IDS, IDS)
def test_the_address_to_leave_by_names_its_reader_and_is_no_envelope_sender(reader: int, send: int) -> None:
    """M9, M10: with the token of the link; at most 64 octets before the @."""
    address = leaving_address(RING.sign(Purpose.UNSUBSCRIBE, reader, send), "bounce.example.org")
    assert leaving_of(address, RING) == leaving_of(address.upper(), RING) == (reader, send)
    assert parse_address(address).spec == address
    assert (delivery_of(address, RING), is_envelope_sender(address)) == (None, False)


@given(st.text())
def test_any_other_text_is_no_address_to_leave_by(text: str) -> None:
    assert leaving_of(text, RING) is None
    assert leaving_of(leaving_address(text, "bounce.example.org"), RING) is None


@pytest.mark.parametrize("numbers", [(), (1,), (1, 2, 3)])
def test_only_a_reader_and_a_send_make_an_address_to_leave_by(numbers: tuple[int, ...]) -> None:
    token = RING.sign(Purpose.UNSUBSCRIBE, *numbers)
    assert leaving_of(leaving_address(token, "bounce.example.org"), RING) is None


@given(IDS)
def test_an_envelope_sender_is_known_by_its_looks_also_when_it_is_forged(delivery_id: int) -> None:
    """F2."""
    forger = Keyring((b"another key that is long enough, too",))
    for ring in (RING, forger):
        assert is_envelope_sender(envelope_sender(delivery_id, ring, "bounce.example.org").upper())
    assert not is_envelope_sender("bob@bounce.example.org")
