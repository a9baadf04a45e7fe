"""Who waits for the pace: in which order, how many, and what comes back to it."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from jlgc_mailer.bootstrap import utc_now
from jlgc_mailer.mail.tokens import Keyring
from jlgc_mailer.sending.claim import Claim
from jlgc_mailer.sending.journal import Journal
from jlgc_mailer.sending.letters import Identity, Recipient, Stationery
from jlgc_mailer.sending.open_batch import OpenBatch
from jlgc_mailer.sending.pace.in_process import InProcessPace
from jlgc_mailer.sending.pace.limits import Limits
from jlgc_mailer.sending.queueing import Queue
from jlgc_mailer.sending.routes import Route
from jlgc_mailer.sending.stock import Stock
from jlgc_mailer.sending.transports.smtp import Relay
from jlgc_mailer.states import UncertainPolicy

KEYRING = Keyring((b"a key for queues that is long enough for anybody",))
IDENTITY = Identity("https://news.example.org", "news.example.org", "bounce.example.org", "jlgcmailer", KEYRING)
GMAIL = Limits(domains={"gmail.com": 60})


@dataclass
class Waiting:
    """A queue with the stock that it hands over to."""

    queue: Queue
    stock: Stock
    pace: InProcessPace

    def batch(self, *, urgent: bool = False) -> OpenBatch:
        stationery = Stationery(IDENTITY, 1, utc_now(), {}, {})
        return OpenBatch(Claim(1, 1, 1, 1_000, 7), stationery, UncertainPolicy.HOLD, urgent)

    def step(self) -> list[int]:
        """Who goes to the stock now."""
        before = len(self.stock.waiting())
        self.queue.hand_over(self.stock)
        return self.stock.waiting()[before:]

    def left(self, limits: Limits) -> int:
        """How many a worker that asks now may have."""
        return sum(self.pace.reserve("smtp", limits, {"example.org": 1_000}, utc_now()).granted.values())


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Callable[[Limits], Waiting]]:
    """Gives a queue under the limits that it is told."""
    journal = Journal(tmp_path / "journals", "smtp")
    with Stock(journal, utc_now) as stock:

        def make(limits: Limits) -> Waiting:
            pace = InProcessPace(lambda transport, since: 0)
            route = Route("smtp", Relay("smtp", "127.0.0.1", 25), 1, frozenset(), limits, "")
            return Waiting(Queue(route, pace, utc_now), stock, pace)

        yield make
    journal.close(all_recorded=True)


def people(first: int, number: int, domain: str) -> Sequence[Recipient]:
    return [Recipient(n, 1, utc_now(), n, f"r{n}@{domain}", "", 1, 1) for n in range(first, first + number)]


def test_a_slot_that_is_due_does_not_wait_behind_a_later_one(waiting: Callable[[Limits], Waiting]) -> None:
    """Gmail has slots in one and in two seconds: whoever comes then and needs none goes at once."""
    its = waiting(GMAIL)
    batch = its.batch()
    its.queue.admit(batch, people(1, 5, "gmail.com"))
    assert its.step() == [1]
    its.queue.hand_over(its.stock)
    its.queue.admit(batch, people(11, 3, "example.com"))
    assert its.step() == [11, 12, 13]
    assert its.queue.patience(5) > 0.2, "nobody works while slots are far away"


def test_those_of_a_slow_receiver_keep_nobody_from_being_drawn(waiting: Callable[[Limits], Waiting]) -> None:
    its = waiting(GMAIL)
    batch = its.batch()
    assert len(its.queue.admit(batch, people(1, 200, "gmail.com"))) == 50, "a machine that dies leaves few in doubt"
    assert its.queue.size == 0
    assert not its.queue.is_full
    assert len(its.queue.admit(batch, people(201, 30, "example.com"))) == 30
    assert its.queue.size == 30


def test_a_batch_for_which_there_was_no_room_is_due_when_there_is_some(waiting: Callable[[Limits], Waiting]) -> None:
    its = waiting(GMAIL)
    first, second = its.batch(), its.batch()
    its.queue.admit(first, people(1, 50, "gmail.com"))
    assert not its.queue.admit(second, people(51, 50, "gmail.com"))
    assert its.queue.is_full, "a list of millions is not run through for nothing"
    assert its.queue.patience(5) < 0.2
    assert second.not_before is not None
    assert 45 < (second.not_before - utc_now()).total_seconds() < 55
    assert second.hold == "gmail.com takes at most 60 messages a minute here"
    time.sleep(0.15)
    assert not its.queue.is_full


def test_an_urgent_letter_takes_the_next_slot_of_a_slow_receiver(waiting: Callable[[Limits], Waiting]) -> None:
    """Even a slot that was granted while only others waited; its own order is kept, and it needs no room."""
    its = waiting(GMAIL)
    bulk, urgent = its.batch(), its.batch(urgent=True)
    its.queue.admit(bulk, people(1, 60, "gmail.com"))
    assert its.step() == [1]
    assert len(its.queue.admit(urgent, people(101, 2, "gmail.com"))) == 2
    assert len(its.queue.admit(urgent, people(103, 1, "gmail.com"))) == 1
    gone: list[int] = []
    began = time.monotonic()
    while len(gone) < 2 and time.monotonic() - began < 4:
        gone += [each for each in its.stock.waiting() if each not in (*gone, 1)]
        time.sleep(its.queue.patience(0.2))
        its.queue.hand_over(its.stock)
    assert gone == [101, 102]
    assert 0.8 < time.monotonic() - began < 3


def test_an_urgent_letter_takes_the_slot_that_another_was_waiting_for(waiting: Callable[[Limits], Waiting]) -> None:
    """At forty a minute the slot after the first comes in 1.5 seconds, and the next one only in three."""
    its = waiting(Limits(domains={"gmail.com": 40}))
    bulk, urgent = its.batch(), its.batch(urgent=True)
    its.queue.admit(bulk, people(1, 2, "gmail.com"))
    assert its.step() == [1]
    its.queue.admit(urgent, people(101, 1, "gmail.com"))
    time.sleep(1.6)
    its.queue.hand_over(its.stock)
    assert 101 in its.stock.waiting()
    assert 2 not in its.stock.waiting()


def test_what_was_granted_and_not_attempted_is_given_back(waiting: Callable[[Limits], Waiting]) -> None:
    """A relay that is dead does not eat the day's cap: of ten, four come back from the stock."""
    limits = Limits(daily_cap=10)
    its = waiting(limits)
    its.queue.admit(its.batch(), people(1, 10, "example.com"))
    assert len(its.step()) == 10
    its.queue.unattempted(people(7, 4, "example.com"))
    its.queue.give_up()
    assert its.left(limits) == 4


def test_slots_of_those_who_still_wait_are_given_back(waiting: Callable[[Limits], Waiting]) -> None:
    limits = replace(GMAIL, daily_cap=10)
    its = waiting(limits)
    its.queue.admit(its.batch(), people(1, 5, "gmail.com"))
    assert its.step() == [1]
    its.queue.give_up()
    assert its.left(limits) == 9


def test_nothing_is_asked_for_a_turn_that_has_ended(waiting: Callable[[Limits], Waiting]) -> None:
    """What a stock took after its end would count for the day, and nobody would hand it back."""
    limits = Limits(daily_cap=10)
    its = waiting(limits)
    its.queue.admit(its.batch(), people(1, 10, "example.com"))
    its.stock.stop()
    its.queue.hand_over(its.stock)
    its.queue.give_up()
    assert its.stock.waiting() == []
    assert its.left(limits) == 10
