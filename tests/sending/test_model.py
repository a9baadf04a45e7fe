"""Sends, batches and deliveries under several workers that crash, stall and come too late: everybody is accounted for.

Whatever happens, and in whatever order, the ledger agrees with what the relay really has (promise 1, STANDARDS S4).
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run
from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from jlgc_mailer.audience.subscriptions import Evidence, confirm, person, unsubscribe
from jlgc_mailer.audience.suppression import suppress as suppress_address
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.content.issues import compiled_artefacts
from jlgc_mailer.db.feedback import FeedbackEvent
from jlgc_mailer.db.issues import CompiledArtefact
from jlgc_mailer.db.people import ConsentRecord, MailingList, Subscriber, Subscription, Suppression
from jlgc_mailer.db.sending import Attempt, Batch, Delivery, Send, SendList
from jlgc_mailer.errors import IllegalMove, NotAllowedNow
from jlgc_mailer.feedback.judge import judge_waiting
from jlgc_mailer.sending import amends, schedule
from jlgc_mailer.sending.amends import Settlement
from jlgc_mailer.sending.cancelled import settle_cancelled
from jlgc_mailer.sending.claim import take_nudges
from jlgc_mailer.sending.plan import due_sends, finish_done, plan_due
from jlgc_mailer.sending.recovery import recover
from jlgc_mailer.states import (
    BatchStatus,
    DeliveryStatus,
    Priority,
    SendStatus,
    SuppressionReason,
    UncertainPolicy,
)
from tests import factories
from tests.conftest import Clock
from tests.sending import model, truth
from tests.sending.model import Said, Worker
from tests.sending.truth import Truth

_READERS, _BATCH, _SENDS = 3, 2, 3
_SETTINGS = settings(max_examples=40, stateful_step_count=30, derandomize=True)
_MOST_GONE, _MOST_WAITS, _MOST_ROUNDS = 2, 8, 6
_TABLES = (Attempt, FeedbackEvent, Delivery, Batch, SendList, Send, Suppression)
_PEOPLE = (ConsentRecord, Subscription, Subscriber)
_EVIDENCE = Evidence("test", "I agreed in a test")
_nth = st.integers(0, 3)
_sayings = st.lists(st.sampled_from(model.SAYINGS), min_size=3, max_size=6)
_turn = {
    "slot": st.integers(0, 2),
    "sayings": _sayings,
    "in_flight": st.integers(1, _BATCH),
    "looks": st.booleans(),
}


@dataclass(frozen=True)
class Order:
    """What is sent, made once for all examples."""

    list_id: int
    artefacts: Sequence[CompiledArtefact]


# What staff may try with a send at any time.
_DEEDS: dict[str, Callable[[Session, int, datetime], object]] = {
    "pause": lambda session, send_id, _: schedule.pause(session, send_id),
    "resume": lambda session, send_id, _: schedule.resume(session, send_id),
    "cancel": schedule.cancel,
    "retry the refused": lambda session, send_id, now: amends.retry(session, send_id, (), now),
    "send again": lambda session, send_id, now: amends.settle(session, send_id, Settlement.RESEND, (), now),
    "believe": lambda session, send_id, now: amends.settle(session, send_id, Settlement.ACCEPTED, (), now),
}


class Model(RuleBasedStateMachine):
    """Three workers, up to three sends to the same readers, staff, and a clock that only jumps."""

    def __init__(self, mailer: Mailer, clock: Clock, order: Order) -> None:
        super().__init__()
        self.mailer, self.means, self.clock, self.order = mailer, mailer.means, clock, order
        self.start = clock.now
        self.truth = Truth()
        self.workers: dict[int, Worker] = {}
        self.sends: list[int] = []
        self.left: set[int] = set()
        self.gone = self.waits = 0
        self.is_claimable = self.is_amendable = self.was_hindered = False
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Ids too, so that an example goes the same way each time: the delays of retries depend on them."""
        for file in self.means.journals.glob("*"):
            file.unlink()
        with self.mailer.database.transaction() as session:
            for table in (*_TABLES, *_PEOPLE):
                session.execute(delete(table))
                if session.get_bind().dialect.name == "postgresql" and "id" in table.__table__.c:
                    session.execute(text(f"ALTER SEQUENCE {table.__tablename__}_id_seq RESTART"))
            people = [person(f"r{number}@example.com", "", "en") for number in range(_READERS)]
            confirm(session, people, self.order.list_id, _EVIDENCE, self.clock())
            self.readers = session.scalars(select(Subscriber).order_by(Subscriber.id)).all()

    # What staff and readers do.

    @initialize(policy=st.sampled_from(UncertainPolicy), first=_sayings, second=_sayings, third=st.none() | _sayings)
    def first_send(
        self, policy: UncertainPolicy, first: list[Said], second: list[Said], third: list[Said] | None
    ) -> None:
        """Two workers have begun, and perhaps stall until a third takes over."""
        self.schedule(policy, Priority.NORMAL)
        self.tick()
        self.work(0, first, in_flight=1, looks=True)
        self.work(1, second, in_flight=_BATCH, looks=True)
        if third is not None:
            self.wait(0.1)
            self.work(2, third, in_flight=1, looks=True)

    @precondition(lambda self: len(self.sends) < _SENDS)
    @rule(policy=st.sampled_from(UncertainPolicy), priority=st.sampled_from(Priority))
    def schedule(self, policy: UncertainPolicy, priority: Priority) -> None:
        with self.mailer.database.transaction() as session:
            lists, now = [session.get_one(MailingList, self.order.list_id)], self.clock()
            order = schedule.Order(now, "Europe/London", lists, policy, _BATCH, priority)
            self.sends.append(schedule.schedule(session, self.order.artefacts, order, now).id)

    @precondition(lambda self: self.workers)
    @rule(nth=_nth, deed=st.sampled_from(["pause", "cancel"]))
    def interrupt(self, nth: int, deed: str) -> None:
        self.staff(nth, deed)

    @precondition(lambda self: self.is_amendable)
    @rule(nth=_nth, deed=st.sampled_from(["resume", "retry the refused", "send again", "believe"]))
    def staff(self, nth: int, deed: str) -> None:
        """They may be told that it cannot be now."""
        with suppress(IllegalMove, NotAllowedNow), self.mailer.database.transaction() as session:
            send_id = self.sends[nth % len(self.sends)]
            before = amends.uncertain_of(session, send_id)
            _DEEDS[deed](session, send_id, self.clock())
            if deed == "send again":
                self.truth.asked_again.update(set(before).difference(amends.uncertain_of(session, send_id)))

    @precondition(lambda self: self.gone < _MOST_GONE)
    @rule(nth=_nth)
    def leave(self, nth: int) -> None:
        with self.mailer.database.transaction() as session:
            reader = self.readers[nth % _READERS]
            unsubscribe(session, reader.id, [self.order.list_id], _EVIDENCE, self.clock())
        self.left.add(reader.id)
        self.gone += 1

    @precondition(lambda self: self.gone < _MOST_GONE)
    @rule(nth=_nth)
    def complain(self, nth: int) -> None:
        with self.mailer.database.transaction() as session:
            key = self.readers[nth % _READERS].address_key
            suppress_address(session, key, SuppressionReason.COMPLAINT, "test", self.clock())
        self.gone += 1

    @precondition(lambda self: self.waits < _MOST_WAITS)
    @rule(hours=st.sampled_from([0.1, 11, 50]))
    def wait(self, hours: float) -> None:
        """Longer than a lease, than any retry, or so that deliveries are given up after some."""
        self.clock.forward(hours=hours)
        self.waits += 1

    # What beat and workers do. No message of Celery is needed for any of it: each is only a hint.

    @rule()
    def tick(self) -> None:
        recover(self.means)
        assert recover(self.means) == 0
        settle_cancelled(self.means)
        with self.mailer.database.reading() as session:
            due = due_sends(session, self.clock())
        plan_due(self.mailer.database, self.clock(), self.mailer.keyring.key_id)
        self.truth.audience.update(dict.fromkeys(due, _READERS - len(self.left)))
        with self.mailer.database.transaction() as session:
            finish_done(session, self.clock())
            take_nudges(session, self.clock(), 1)
            judge_waiting(session, self.clock(), self.mailer.policy)

    @precondition(lambda self: self.is_claimable and not self.was_hindered)
    @rule()
    def find_no_way_out(self) -> None:
        model.find_no_way_out(self.means)
        self.was_hindered = True

    @precondition(lambda self: self.workers or self.is_claimable)
    @rule(**_turn)
    def work(self, slot: int, sayings: list[Said], *, in_flight: int, looks: bool) -> None:
        """A worker goes on for some steps. What it does not come to now it may do much later."""
        for said in sayings:
            if slot not in self.workers:
                self._begin_turn(slot)
            elif not self.workers[slot].go_on(said, in_flight=in_flight, looks=looks):
                self._next_batch(slot)
            self.the_ledger_is_right()

    @precondition(lambda self: self.workers or self.is_claimable)
    @rule(**_turn)
    def work_on(self, slot: int, sayings: list[Said], *, in_flight: int, looks: bool) -> None:
        """The same again, so that most steps are work."""
        self.work(slot, sayings, in_flight=in_flight, looks=looks)

    def _begin_turn(self, slot: int) -> None:
        worker = Worker(self.means, self.truth.got)
        if worker.begin_batch():
            self.workers[slot] = worker
        else:
            worker.end()

    def _next_batch(self, slot: int) -> None:
        worker = self.workers[slot]
        worker.give_back()
        if worker.is_ending or not worker.begin_batch():
            self.workers.pop(slot).end()
            with self.mailer.database.transaction() as session:
                finish_done(session, self.clock())

    @precondition(lambda self: any(worker.flying for worker in self.workers.values()))
    @rule(nth=_nth, is_taken=st.booleans(), lost_lines=st.none() | st.integers(0, 4))
    def crash(self, nth: int, *, is_taken: bool, lost_lines: int | None) -> None:
        """`kill -9`; or the whole machine dies, and the last lines of the journal did not get to its disk."""
        file = self._die(nth, is_taken=is_taken)
        if lost_lines is not None:
            _, *lines = file.read_text().splitlines(keepends=True)
            file.write_text("".join(["! another-boot relay\n", *lines[: max(len(lines) - lost_lines, 0)]]))

    @precondition(lambda self: any(worker.flying for worker in self.workers.values()))
    @rule(nth=_nth, is_taken=st.booleans())
    def lose_machine(self, nth: int, *, is_taken: bool) -> None:
        """With its disk."""
        self._die(nth, is_taken=is_taken).unlink()

    def _die(self, nth: int, *, is_taken: bool) -> Path:
        """One of those that have content on the way."""
        busy = sorted(slot for slot, worker in self.workers.items() if worker.flying)
        return self.workers.pop(busy[nth % len(busy)]).die(is_taken=is_taken)

    @precondition(lambda self: any(not worker.flying for worker in self.workers.values()))
    @rule(nth=_nth)
    def crash_before_the_journal_is_dropped(self, nth: int) -> None:
        """All is recorded, and read back once more."""
        idle = sorted(slot for slot, worker in self.workers.items() if not worker.flying)
        worker = self.workers.pop(idle[nth % len(idle)])
        worker.give_back()
        worker.die(is_taken=False)

    @invariant()
    def the_ledger_is_right(self) -> None:
        ledger = truth.read(self.mailer.database)
        self.truth.check(ledger)
        moving = {each.id for each in ledger.sends if each.status is SendStatus.SENDING}
        self.is_claimable = any(self._waits(each) for each in ledger.batches if each.send_id in moving)
        amendable = {DeliveryStatus.REFUSED, DeliveryStatus.UNCERTAIN, SendStatus.PAUSED}
        self.is_amendable = not amendable.isdisjoint(ledger.statuses.values())

    def _waits(self, batch: Batch) -> bool:
        """Whether a worker may claim it now."""
        if batch.status is BatchStatus.CLAIMED:
            return batch.lease_until is not None and batch.lease_until < self.clock()
        due_at = max(batch.due_at, batch.held_until or batch.due_at)
        return batch.status is BatchStatus.READY and due_at <= self.clock()

    # How it ends.

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self._come_to_an_end()
        finally:
            for worker in self.workers.values():
                worker.die(is_taken=False)
            self.clock.now = self.start

    def _come_to_an_end(self) -> None:
        """The workers that are left do their work, the relay takes everything, staff resume what is paused."""
        while self.workers:
            _, worker = self.workers.popitem()
            while worker.flying:
                worker.answer(model.ACCEPTED)
            worker.give_back()
            worker.end()
            self.the_ledger_is_right()
        for _ in range(_MOST_ROUNDS):
            for nth in range(len(self.sends)):
                self.staff(nth, "resume")
            self.the_ledger_is_right()
            self.tick()
            self.the_ledger_is_right()
            self._work_off()
            self.the_ledger_is_right()
            self.clock.forward(hours=11)
        self.truth.check_end(truth.read(self.mailer.database))

    def _work_off(self) -> None:
        """One batch a turn, until no more wait."""
        while (worker := Worker(self.means, self.truth.got)).begin_batch():
            while worker.go_on(model.ACCEPTED, in_flight=_BATCH, looks=True):
                pass
            worker.give_back()
            worker.end()
            self.the_ledger_is_right()
        worker.end()


@pytest.mark.timeout(600)  # shrinking a failure takes most of it
def test_the_ledger_agrees_with_the_relay_whatever_happens(make_mailer: Callable[..., Mailer], clock: Clock) -> None:
    """Promise 1, promise 4, S4."""
    mailer = make_mailer()
    with mailer.database.transaction() as session:
        list_id = factories.mailing_list(session).id
        revision = factories.issue(session, mailer)
        artefacts = compiled_artefacts(session, revision, mailer.press, mailer.clock())
    machine = partial(Model, mailer, clock, Order(list_id, artefacts))
    run(machine, settings=_SETTINGS)
