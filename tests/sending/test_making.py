"""Letters are made in the order of their recipients, whether at once or ahead, and nobody is lost."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from jlgc_mailer.mail.replies import Reply
from jlgc_mailer.mail.tokens import Keyring
from jlgc_mailer.sending.letters import Identity, Letter, Recipient, Stationery
from jlgc_mailer.sending.making import Make, Making, MakingAhead, MakingAtOnce, Order
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.states import DeliveryStatus, Stage

NOW = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
IDENTITY = Identity(
    "https://news.example.org", "news.example.org", "bounce.example.org", "sender", Keyring((b"k" * 32,))
)
STATIONERY = Stationery(IDENTITY, 1, NOW, {}, {})


def orders(*numbers: int) -> deque[Order]:
    return deque(
        (Recipient(number, 1, None, number, f"r{number}@example.com", "", 1, 1), STATIONERY) for number in numbers
    )


def letter(recipient: Recipient, stationery: Stationery) -> Letter:
    return Letter(recipient, "b@bounce.example.org", recipient.address, b"letter", "token")


@pytest.fixture(params=[MakingAtOnce, MakingAhead])
def kind(request: pytest.FixtureRequest) -> type[MakingAtOnce] | type[MakingAhead]:
    return request.param


@pytest.fixture
def making(kind: Callable[[Make], Making]) -> Iterator[Making]:
    made = kind(letter)
    yield made
    made.close()


def rest(making: Making, waiting: deque[Order]) -> list[int]:
    numbers = []
    while made := making.next(waiting):
        numbers.append(made[0].delivery_id)
    return numbers


def test_letters_come_in_the_order_of_their_recipients(making: Making) -> None:
    waiting = orders(*range(1, 101))
    first = making.next(waiting)
    assert first is not None
    assert isinstance(first[1], Letter)
    waiting += orders(101)
    assert [first[0].delivery_id, *rest(making, waiting)] == list(range(1, 102))
    assert making.next(waiting) is None
    assert making.pending() == []


def test_whoever_is_not_handed_out_is_told_and_can_be_taken_back(making: Making) -> None:
    waiting = orders(*range(1, 101))
    made = making.next(waiting)
    assert made is not None
    begun = {each.delivery_id for each in making.pending()}
    assert {made[0].delivery_id} | begun | {each.delivery_id for each, _ in waiting} == set(range(1, 101))
    making.take_back(waiting)
    assert making.pending() == []
    assert rest(making, waiting) == list(range(2, 101))


def test_a_letter_that_cannot_be_made_stands_in_nobodys_way(kind: Callable[[Make], Making]) -> None:
    refused = Outcome(DeliveryStatus.REFUSED, Stage.BUILD, Reply(554, "no", "5.6.0"), NOW)
    making = kind(
        lambda recipient, stationery: refused if recipient.delivery_id == 2 else letter(recipient, stationery)
    )
    waiting = orders(1, 2, 3)
    kinds = [type(made[1]) for made in iter(lambda: making.next(waiting), None)]
    making.close()
    assert kinds == [Letter, Outcome, Letter]


def test_ahead_means_that_some_are_made_before_they_are_asked_for() -> None:
    made: list[int] = []
    enough = threading.Event()

    def make(recipient: Recipient, stationery: Stationery) -> Letter:
        made.append(recipient.delivery_id)
        if len(made) >= 9:
            enough.set()
        return letter(recipient, stationery)

    making = MakingAhead(make)
    assert making.next(orders(*range(1, 101))) is not None
    assert enough.wait(10)
    making.close()
    assert len(made) < 100  # but not all: who leaves meanwhile gets none


def test_a_fault_of_the_maker_is_told_to_whoever_asks() -> None:
    def fail(recipient: Recipient, stationery: Stationery) -> Letter:
        raise ZeroDivisionError

    making = MakingAhead(fail)
    with pytest.raises(ZeroDivisionError):
        making.next(orders(1))
    making.close()


class Gate:
    """A maker that waits at the gate before each letter."""

    def __init__(self) -> None:
        self.open = threading.Semaphore(0)
        self.reached = threading.Semaphore(0)

    def make(self, recipient: Recipient, stationery: Stationery) -> Letter:
        self.reached.release()
        assert self.open.acquire(timeout=10)
        return letter(recipient, stationery)


def test_nobody_is_out_of_sight_while_the_wire_waits_for_a_letter() -> None:
    """Promise 2: whoever leaves at this moment can be told apart."""
    gate, waiting = Gate(), orders(*range(1, 41))
    making = MakingAhead(gate.make)
    with ThreadPoolExecutor(1) as wire:
        first = wire.submit(making.next, waiting)
        assert gate.reached.acquire(timeout=10)
        seen = [each.delivery_id for each in making.pending()] + [each.delivery_id for each, _ in waiting]
        assert seen == list(range(1, 41))
        gate.open.release(40)
        assert first.result(10)[0].delivery_id == 1
    making.close()


def test_what_is_taken_back_ends_with_the_letter_that_is_being_made() -> None:
    """Promise 7: a pause does not wait for all that was begun; and an urgent letter goes before it."""
    gate, waiting = Gate(), orders(*range(1, 41))
    making = MakingAhead(gate.make)
    with ThreadPoolExecutor(1) as wire:
        first = wire.submit(making.next, waiting)
        assert gate.reached.acquire(timeout=10)
        assert gate.reached.acquire(timeout=10)
        making.take_back(waiting)
        assert [each.delivery_id for each, _ in waiting] == list(range(1, 41))
        waiting.appendleft(orders(99)[0])
        gate.open.release(40)
        assert first.result(10)[0].delivery_id == 99
    making.close()
    assert making.pending() == []
