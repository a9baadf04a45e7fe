"""Every status has its legal moves, and every other move is an error that names both states."""

from enum import StrEnum
from itertools import product

import pytest

from jlgc_mailer.errors import IllegalMove
from jlgc_mailer.states import (
    BatchStatus,
    DeliveryStatus,
    SendStatus,
    SubscriptionStatus,
    check_move,
    moves_into,
)

Moves = set[tuple[StrEnum, StrEnum]]

KINDS: tuple[type[StrEnum], ...] = (SubscriptionStatus, SendStatus, BatchStatus, DeliveryStatus)


def legal(kind: type[StrEnum]) -> Moves:
    return {(old, new) for new in kind for old in moves_into(new)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_legal_move_passes_and_every_other_is_an_error_with_both_states(kind: type[StrEnum]) -> None:
    for old, new in legal(kind):
        check_move("It", old, new)
    illegal = set(product(kind, repeat=2)) - legal(kind)
    assert illegal
    for old, new in illegal:
        with pytest.raises(IllegalMove) as caught:
            check_move("It", old, new)
        assert f"from {old.value} to {new.value}" in str(caught.value)
        assert (caught.value.fields["old"], caught.value.fields["new"]) == (old.value, new.value)


@pytest.mark.parametrize("kind", KINDS)
def test_the_moves_into_a_status_come_from_its_own_kind(kind: type[StrEnum]) -> None:
    """Members of two kinds with the same text, such as sending, are equal; their moves must not be mixed."""
    assert all(type(old) is kind and type(new) is kind for old, new in legal(kind))


@pytest.mark.parametrize(
    ("kind", "ends"),
    [
        (SubscriptionStatus, set()),
        (SendStatus, {SendStatus.CANCELLED}),
        (BatchStatus, set()),
        (DeliveryStatus, {DeliveryStatus.ACCEPTED, DeliveryStatus.SKIPPED}),
    ],
)
def test_the_statuses_that_end_something_are_these(kind: type[StrEnum], ends: set[StrEnum]) -> None:
    assert set(kind) - {old for old, _ in legal(kind)} == ends


@pytest.mark.parametrize("kind", KINDS)
def test_every_status_can_be_reached_from_the_first(kind: type[StrEnum]) -> None:
    reached = {next(iter(kind))}
    while more := {new for old, new in legal(kind) if old in reached} - reached:
        reached |= more
    assert reached == set(kind)


def test_nobody_who_was_accepted_is_written_to_again() -> None:
    """Promise 1: the accepted and the skipped never become anything else, the refused only deferred (`sends retry`)."""
    first_tries = (DeliveryStatus.PENDING, DeliveryStatus.DEFERRED)
    assert moves_into(DeliveryStatus.DEFERRED) == (*first_tries, DeliveryStatus.REFUSED, DeliveryStatus.UNCERTAIN)
    assert moves_into(DeliveryStatus.PENDING) == ()
    assert moves_into(DeliveryStatus.SKIPPED) == (DeliveryStatus.PENDING, DeliveryStatus.DEFERRED)


def test_a_refusal_names_what_cannot_move() -> None:
    with pytest.raises(IllegalMove, match=r"^Send 3 cannot go from finished to paused\.$"):
        check_move("Send 3", SendStatus.FINISHED, SendStatus.PAUSED)
