"""A worker and a relay in slow motion, for the model: the bookkeeper's cycle and the wire's steps, one at a time.

A worker does to ledger and journal what a turn does, in the same order and in the same transactions; but when it goes
on, whether it lives, and what the relay says is decided by the test.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.orm import Session

from jlgc_mailer.db.sending import Send
from jlgc_mailer.mail.replies import Reply
from jlgc_mailer.sending import ledger
from jlgc_mailer.sending.claim import Claim, claim_next, hold_send, lost, release, renew
from jlgc_mailer.sending.journal import Journal
from jlgc_mailer.sending.letters import Recipient
from jlgc_mailer.sending.means import Means
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.sending.readers import departed
from jlgc_mailer.sending.record import Result, record
from jlgc_mailer.states import DeliveryStatus, Stage

_BELIEVED = 0.8  # of a lease, as the bookkeeper does


class Said(NamedTuple):
    """What becomes of a letter at the relay: what it says, if it does, and whether it has it then."""

    status: DeliveryStatus
    stage: Stage
    reply: Reply | None
    is_taken: bool = False


ACCEPTED = Said(DeliveryStatus.ACCEPTED, Stage.CONTENT, Reply(250, "Ok", "2.0.0"), is_taken=True)
DEFERRED = Said(DeliveryStatus.DEFERRED, Stage.CONTENT, Reply(451, "Later", "4.3.0"))
REFUSED = Said(DeliveryStatus.REFUSED, Stage.CONTENT, Reply(550, "No", "5.7.1"))
LOST_AFTER = Said(DeliveryStatus.UNCERTAIN, Stage.CONTENT, None, is_taken=True)
LOST_BEFORE = Said(DeliveryStatus.UNCERTAIN, Stage.CONTENT, None)
UNKNOWN_USER = Said(DeliveryStatus.REFUSED, Stage.RCPT, Reply(550, "No such user", "5.1.1"))
GREYLISTED = Said(DeliveryStatus.DEFERRED, Stage.RCPT, Reply(450, "Come again", "4.2.0"))
SAYINGS = (ACCEPTED, DEFERRED, REFUSED, LOST_AFTER, LOST_BEFORE, UNKNOWN_USER, GREYLISTED)


class Worker:
    """One turn: a journal, and one batch at a time. `got` counts the copies that the relay really has, by delivery.

    `flying`: whose content went out and whose reply is awaited. `is_ending`: it has seen that it has to end.
    """

    def __init__(self, means: Means, got: Counter[int]) -> None:
        self._means = means
        self._got = got
        before = set(means.journals.glob("*"))
        self._journal = Journal(means.journals, "relay")
        (self._file,) = set(means.journals.glob("*")) - before
        self.claim: Claim | None = None
        self.flying: dict[int, Recipient] = {}
        self.is_ending = False
        self._lists: list[int] = []
        self._looked_at = 0
        self._is_through = False
        self._believed_until = means.clock()
        self._held: dict[int, Recipient] = {}
        self._heard: list[Result] = []

    @property
    def may_begin(self) -> bool:
        """Whether content may go out: not after a pause was seen, nor once the lease may be over."""
        return bool(self._held) and not self.is_ending and self._means.clock() <= self._believed_until

    def begin_batch(self) -> bool:
        """Claim a batch, and look at it; False when none waits."""
        with self._means.database.transaction() as session:
            self.claim = claim_next(session, self._means.clock(), self._means.lease)
            if self.claim is None:
                return False
            self._lists = [each.id for each in session.get_one(Send, self.claim.send_id).lists]
        self._looked_at, self._is_through = 0, False
        with self._means.database.transaction() as session:
            self._journal.claim(self.claim)
            self._look(session)
            self._renew(session)
        return True

    def go_on(self, said: Said, *, in_flight: int, looks: bool) -> bool:
        """The next step of a turn, in which the relay says this; False when the batch is to be given back."""
        if self.may_begin and said.stage is Stage.RCPT:
            self.bar(said)
        elif self.may_begin and len(self.flying) < in_flight:
            self.begin()
        elif self.flying:
            self.answer(said)
        elif self._heard or (not self.is_ending and (self._held or not self._is_through)):
            self.cycle(in_flight, looks=looks)
        else:
            return False
        return True

    def cycle(self, size: int, *, looks: bool) -> None:
        """Record what was heard, look around, draw so many more, prolong the lease: one transaction."""
        with self._means.database.transaction() as session:
            self._record(session)
            if looks or self._means.clock() > self._believed_until:  # who stalled for so long looks first
                self._look(session)
            if not self.is_ending and not self._is_through:
                self._draw(session, size)
            self._renew(session)

    def bar(self, said: Said) -> None:
        """The relay refuses the next recipient before the content."""
        delivery_id = min(self._held)
        self._hear(delivery_id, self._held.pop(delivery_id), said)

    def begin(self) -> None:
        """The content of the next goes out, after the journal has it."""
        delivery_id = min(self._held)
        recipient = self._held.pop(delivery_id)
        self._journal.note([], [(delivery_id, recipient.attempts)])
        self.flying[delivery_id] = recipient

    def answer(self, said: Said) -> None:
        """The relay answers the oldest content, or hangs up on it; the journal has it before anybody else."""
        delivery_id = next(iter(self.flying))
        self._got[delivery_id] += said.is_taken
        self._hear(delivery_id, self.flying.pop(delivery_id), said)

    def give_back(self) -> None:
        """Record the rest and give the batch back."""
        assert self.claim
        with self._means.database.transaction() as session:
            self._record(session)
            ledger.skip_rest(session, self.claim)
            release(session, self.claim, ledger.next_due(session, self.claim, self._means.clock()))
        self.claim = None
        self._held.clear()

    def end(self) -> None:
        """The turn is over, and its journal is dropped."""
        self._journal.close(all_recorded=True)

    def die(self, *, is_taken: bool) -> Path:
        """`kill -9`; the relay gets what was on the way to it, or does not. The journal that is left."""
        self._got.update(delivery_id for delivery_id in self.flying if is_taken)
        self._journal.close(all_recorded=False)
        return self._file

    def _hear(self, delivery_id: int, recipient: Recipient, said: Said) -> None:
        told = Outcome(said.status, said.stage, said.reply, self._means.clock())
        self._journal.note([(delivery_id, recipient.attempts, told)], [])
        self._heard.append(Result(recipient, told))

    def _record(self, session: Session) -> None:
        assert self.claim
        policy = session.get_one(Send, self.claim.send_id).on_uncertain
        record(session, self._heard, policy, "relay", self._means.retry, self._means.rules)
        self._heard = []

    def _look(self, session: Session) -> None:
        assert self.claim
        if lost(session, [self.claim]):
            self.is_ending = True
            return
        for delivery_id in departed(session, self._lists, list(self._held)):
            del self._held[delivery_id]

    def _draw(self, session: Session, size: int) -> None:
        assert self.claim
        due = ledger.take_due(session, self.claim, self._lists, self._looked_at, size, self._means.clock())
        drawn = [each.delivery_id for each in due.recipients]
        assert not departed(session, self._lists, drawn), "no letter for those who left (promise 2)"
        self._held |= {each.delivery_id: each for each in due.recipients}
        self._looked_at, self._is_through = due.looked_at or self._looked_at, due.looked_at is None

    def _renew(self, session: Session) -> None:
        assert self.claim
        now = self._means.clock()
        if renew(session, self.claim, now + self._means.lease, [*self._held, *self.flying]):
            self._believed_until = now + self._means.lease * _BELIEVED
        else:
            self.is_ending = True


def find_no_way_out(means: Means) -> None:
    """A worker claims a batch for which no transport is open now, and puts the whole send off."""
    now = means.clock()
    with means.database.transaction() as session:
        claim = claim_next(session, now, means.lease)
    if claim:
        with means.database.transaction() as session:
            release(session, claim, now, "no way out", now + means.lease)
            hold_send(session, claim.send_id, now + means.lease, "no way out")
