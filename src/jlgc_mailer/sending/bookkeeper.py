"""The bookkeeper of a turn: records outcomes and hands out recipients in strides, while the wire is busy.

It has a thread of its own. Every cycle is one transaction: what became of those sent, whether the send was paused, who
has left, what goes out next. An intent is committed before its recipients reach the stock (promise 1), no transaction
is open while the pace or the wire is waited for (promise 5).
"""

import threading
import time
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from sqlalchemy.orm import Session

from jlgc_mailer.db.sending import Send
from jlgc_mailer.sending import ledger
from jlgc_mailer.sending.claim import Claim, claim_next, hold_send, lost, release, renew, urgent_waits
from jlgc_mailer.sending.journal import Journal
from jlgc_mailer.sending.letters import Recipient, Stationery
from jlgc_mailer.sending.means import Means, Worked
from jlgc_mailer.sending.open_batch import OpenBatch
from jlgc_mailer.sending.plan import plan_due
from jlgc_mailer.sending.queueing import Queue
from jlgc_mailer.sending.readers import departed
from jlgc_mailer.sending.record import Result, record
from jlgc_mailer.sending.routes import Route
from jlgc_mailer.sending.stock import Stock
from jlgc_mailer.sending.stride import Stride
from jlgc_mailer.sending.transports import Trouble
from jlgc_mailer.states import Priority, UncertainPolicy

_LOOK_EVERY = 0.2  # seconds; a pause has to be felt within one (promise 7)
_CONNECT_EVERY = 10  # seconds
_BELIEVED = 0.8  # of a lease: then a worker that cannot reach the database stops, before another takes over


_Known = tuple[Stationery, UncertainPolicy, bool]


def worker_of(first: Claim) -> str:
    """The name of a turn where connections are shared out; no two have the same."""
    return f"{first.mark:x}"


class Bookkeeper:
    """While entered, its thread keeps the stock filled and the ledger written; `worked` is what it did.

    Tell it the wire's `trouble` before leaving, so that the batches that it gives back say why.
    """

    def __init__(self, means: Means, route: Route, journal: Journal, stock: Stock, first: Claim) -> None:
        self._means = means
        self._route = route
        self._journal = journal
        self._stock = stock
        self._first: Claim | None = first
        self._worker = worker_of(first)
        self._open: list[OpenBatch] = []
        self._known: dict[int, _Known] = {}  # sends that this transport carries, read once for all their batches
        self._of: dict[int, OpenBatch] = {}
        self._elsewhere: set[int] = set()
        self._queue = Queue(route, means.pace, means.clock)
        self._stride = Stride()
        self._claims_until = time.monotonic() + means.turn.total_seconds()
        self._look_at = self._renew_at = 0.0
        self._has_changed = False
        self._connect_at = time.monotonic() + _CONNECT_EVERY
        self._has_more = True
        self._is_ending = False
        self._error: BaseException | None = None
        self._wire_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"bookkeeper of {route.name}", daemon=True)
        self.worked = Worked()
        self.trouble: Trouble | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The wire has come to its end: record the rest and give the batches back. Raises what ended the thread."""
        self._wire_ended.set()
        self._stock.hungry.set()
        self._thread.join()
        if self._error and not error:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._wire_ended.is_set():
                self._cycle()
                if not self._wire_ended.is_set():  # said during the cycle, which took no notice
                    self._stock.hungry.wait(self._queue.patience(_LOOK_EVERY))
            self._last_cycle()
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that waits for this one)
            self._error = error
        finally:
            self._stock.stop()

    def _cycle(self) -> None:
        self._is_ending = self._is_ending or self._stock.is_stopped
        looks = time.monotonic() > self._look_at and not self._is_ending
        if looks:
            self._look_at = time.monotonic() + _LOOK_EVERY
            self._plan_urgent()
        results, returned = self._stock.fetch()
        with self._means.database.transaction() as session:
            now = self._means.clock()
            self._record(session, results)
            self._take_back(returned)
            self._begin(session)
            if looks:
                self._look_around(session, now)
            if not self._is_ending:
                self._draw(session, now)
                self._give_back_the_ended(session, now)
            self._renew(session, now)
        self._queue.unattempted(returned)
        self._take_back(self._queue.hand_over(self._stock))
        self._keep_connections()
        self._stock.enough = self._stride.enough if self._has_more else -1
        if self._queue.is_full or self._stock.size + self._queue.size > self._stock.enough:
            self._stock.hungry.clear()
            if self._stock.is_answered:  # during the cycle: nobody says so again
                self._stock.hungry.set()
        if not self._open:
            self._stock.finish()

    def _keep_connections(self) -> None:
        """A turn may last longer than the lease of its connections."""
        if self._route.limits.max_connections and time.monotonic() > self._connect_at:
            self._connect_at = time.monotonic() + _CONNECT_EVERY
            means, route = self._means, self._route
            means.pace.connect(route.name, route.limits, self._worker, route.relay.connections, means.clock())

    def _begin(self, session: Session) -> None:
        if self._first:
            self._admit(session, self._first)
            self._first = None

    def _last_cycle(self) -> None:
        """Batches go back; but one of which somebody is on a wire that broke stays ours, for the journal to settle."""
        self._is_ending = True
        self._stock.stop()
        results, returned = self._stock.fetch()
        with self._means.database.transaction() as session:
            self._record(session, results)
            for batch in list(self._open):
                batch.hold = str(self.trouble) if self.trouble else batch.hold
                if self._stock.on_wire.isdisjoint(batch.out):
                    self._give_back(session, batch, self._means.clock())
        self._queue.give_up()
        self._queue.unattempted(returned)

    def _record(self, session: Session, results: Sequence[Result]) -> None:
        by_policy: dict[UncertainPolicy, list[Result]] = {}
        for result in results:
            by_policy.setdefault(self._of[result.recipient.delivery_id].policy, []).append(result)
        for policy, its in by_policy.items():
            record(session, its, policy, self._route.name, self._means.retry, self._means.rules)
        self.worked.count(result.outcome.status for result in results)
        self._take_back([result.recipient for result in results])

    def _take_back(self, recipients: Sequence[Recipient]) -> None:
        """Nothing of these is on the way any more."""
        self._has_changed = self._has_changed or bool(recipients)
        for recipient in recipients:
            batch = self._of.pop(recipient.delivery_id, None)
            if batch:
                del batch.out[recipient.delivery_id]

    def _look_around(self, session: Session, now: datetime) -> None:
        """Stop for a pause, a lost lease and the end of the process; no letter for those who left."""
        if not self._open:
            return
        if self._means.is_stopping() or lost(session, [batch.claim for batch in self._open]):
            self._is_ending = True
            self._stock.stop()
            return
        waiting = set(self._stock.waiting())
        for batch in self._open:
            still = waiting.intersection(batch.out)
            if still:
                self._stock.withdraw(departed(session, batch.stationery.lists, still))
        others = set(urgent_waits(session, now)) - {batch.claim.send_id for batch in self._open} - self._elsewhere
        if others and (claim := claim_next(session, now, self._means.lease, others)):
            self._admit_if_carried(session, claim, now)

    def _plan_urgent(self) -> None:
        """Where all workers are in turns, nobody is left for the tick: an urgent send cannot wait for it."""
        means = self._means
        plan_due(means.database, means.clock(), means.identity.keyring.key_id, (Priority.URGENT,))

    def _draw(self, session: Session, now: datetime) -> None:
        """More recipients, when what waits has become little; from the next batch, when this one is through."""
        if self._queue.closed_until:
            self._hold(session, *self._queue.closed_until)
            return
        if self._queue.is_full or self._stock.size + self._queue.size > self._stride.enough:
            return
        batch = self._drawable(session, now)
        self._has_more = batch is not None
        if batch is None:
            return
        lists = batch.stationery.lists
        due = ledger.take_due(session, batch.claim, lists, batch.looked_at, self._stride.next(), now)
        self._has_changed = True
        for recipient in self._queue.admit(batch, due.recipients):
            batch.out[recipient.delivery_id] = recipient
            self._of[recipient.delivery_id] = batch
        batch.looked_at, batch.is_through = due.looked_at or batch.looked_at, due.looked_at is None

    def _hold(self, session: Session, until: datetime, why: str) -> None:
        """The transport has to wait: so do all batches, instead of being looked at one by one."""
        self._claims_until = 0
        for batch in self._open:
            batch.defer(until, why)
            batch.is_through = True
            hold_send(session, batch.claim.send_id, until, why)

    def _drawable(self, session: Session, now: datetime) -> OpenBatch | None:
        """The urgent batches first; a new one when all are through and this turn has not lasted long enough."""
        open_still = sorted((each for each in self._open if not each.is_through), key=lambda each: not each.urgent)
        if open_still:
            return open_still[0]
        if time.monotonic() > self._claims_until:
            return None
        claim = claim_next(session, now, self._means.lease)
        return self._admit_if_carried(session, claim, now) if claim else None

    def _admit_if_carried(self, session: Session, claim: Claim, now: datetime) -> OpenBatch | None:
        """A send that this transport does not carry is left to the next turn, which is to come soon."""
        if claim.send_id in self._known or self._route.carries(ledger.list_names(session, claim.send_id)):
            return self._admit(session, claim)
        self._elsewhere.add(claim.send_id)
        self._claims_until = 0
        release(session, claim, now)
        return None

    def _admit(self, session: Session, claim: Claim) -> OpenBatch:
        if claim.send_id not in self._known:
            self._known[claim.send_id] = self._read(session, claim.send_id)
        batch = OpenBatch(claim, *self._known[claim.send_id])
        self._open.append(batch)
        self._journal.claim(claim)
        self.worked.batches += 1
        return batch

    def _read(self, session: Session, send_id: int) -> _Known:
        send = session.get_one(Send, send_id)
        stationery = ledger.stationery(session, send_id, self._means.identity, self._means.signer)
        return stationery, send.on_uncertain, send.priority is Priority.URGENT

    def _renew(self, session: Session, now: datetime) -> None:
        """Write down who may be on the wire from now on, and prolong the leases; not when nothing has changed."""
        if not self._has_changed and time.monotonic() < self._renew_at:
            return
        self._has_changed = False
        length = self._means.lease.total_seconds()
        believed = time.monotonic() + length * _BELIEVED
        self._renew_at = time.monotonic() + length / 4
        for batch in self._open:
            if not renew(session, batch.claim, now + self._means.lease, batch.out) and not self._is_ending:
                self._is_ending = True
                self._stock.stop()
        self._stock.believe_until(believed)

    def _give_back_the_ended(self, session: Session, now: datetime) -> None:
        for batch in list(self._open):
            if batch.is_through and not batch.out:
                self._give_back(session, batch, now)

    def _give_back(self, session: Session, batch: OpenBatch, now: datetime) -> None:
        """Done when all are settled; else due again at the earliest retry, or when the pace allows."""
        self._open.remove(batch)
        if not renew(session, batch.claim, now + self._means.lease, ()):
            return  # it is another worker's by now
        due = ledger.next_due(session, batch.claim, now)
        if due and ledger.skip_rest(session, batch.claim):
            due = None
        hold, until = (batch.hold, batch.not_before) if due else (None, None)
        release(session, batch.claim, due, hold, until)
        self.worked.done += due is None
        self.worked.hold = batch.hold or self.worked.hold
