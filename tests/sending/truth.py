"""What has to be so at any moment, and in the end: the ledger against what the relay really has."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from jlgc_mailer.db.base import Database
from jlgc_mailer.db.feedback import FeedbackEvent
from jlgc_mailer.db.sending import Attempt, Batch, Delivery, Send
from jlgc_mailer.sending.amends import SETTLED_BY_HAND
from jlgc_mailer.states import BatchStatus, DeliveryStatus, SendStatus, UncertainPolicy, check_move

_UNSETTLED = {DeliveryStatus.PENDING, DeliveryStatus.DEFERRED}
_OVER = {SendStatus.FINISHED, SendStatus.CANCELLED}
Status = DeliveryStatus | BatchStatus | SendStatus


@dataclass(frozen=True)
class Ledger:
    """All rows at one moment."""

    sends: Sequence[Send]
    batches: Sequence[Batch]
    deliveries: Sequence[Delivery]
    attempts: Sequence[Attempt]
    refusals: Counter[int | None]

    @property
    def statuses(self) -> Mapping[tuple[type, int], Status]:
        """By kind and id."""
        return {(type(row), row.id): row.status for row in [*self.deliveries, *self.batches, *self.sends]}


def read(database: Database) -> Ledger:
    """The ledger as it is."""
    with database.reading() as session:
        return Ledger(
            session.scalars(select(Send)).all(),
            session.scalars(select(Batch)).all(),
            session.scalars(select(Delivery)).all(),
            session.scalars(select(Attempt)).all(),
            Counter(session.scalars(select(FeedbackEvent.delivery_id))),
        )


class Truth:
    """What really happened; none of it comes from the ledger but which attempts it ever called uncertain.

    `got`: copies that the relay has, by delivery. `audience`: how many a send was planned for. `asked_again`: how often
    staff asked to send again to somebody uncertain.
    """

    def __init__(self) -> None:
        self.got: Counter[int] = Counter()
        self.audience: Counter[int] = Counter()
        self.asked_again: Counter[int] = Counter()
        self._uncertain: set[tuple[int, int]] = set()
        self._statuses: Mapping[tuple[type, int], Status] = {}

    def check(self, ledger: Ledger) -> None:
        """At any moment."""
        self._uncertain |= {(each.delivery_id, each.number) for each in ledger.attempts if each.outcome == "uncertain"}
        self._only_legal_moves(ledger.statuses)
        policies = {each.id: each.on_uncertain for each in ledger.sends}
        for delivery in ledger.deliveries:
            self._is_true(delivery, policies[delivery.send_id])
        assert Counter(each.send_id for each in ledger.deliveries) == self.audience, "all add up"
        assert ledger.refusals <= Counter(each.delivery_id for each in ledger.attempts), "each is fed back once"
        _nobody_is_forgotten(ledger)

    def check_end(self, ledger: Ledger) -> None:
        """Nothing waits for ever; whoever has got it is accepted, unless that was ever uncertain."""
        assert {each.status for each in ledger.sends} <= _OVER
        assert {each.status for each in ledger.batches} <= {BatchStatus.DONE}
        for each in ledger.deliveries:
            assert each.status not in _UNSETTLED
            assert not self.got[each.id] or each.status is DeliveryStatus.ACCEPTED or self._doubts(each)

    def _only_legal_moves(self, now: Mapping[tuple[type, int], Status]) -> None:
        for key, old in self._statuses.items():
            if old is SendStatus.SCHEDULED and now[key] is SendStatus.FINISHED:
                continue  # nobody was there to write to: planned and finished in one transaction
            if now[key] != old:
                check_move(str(key), old, now[key])
        self._statuses = now

    def _is_true(self, delivery: Delivery, policy: UncertainPolicy) -> None:
        """No more copies than the policy allows; nobody is accepted who has none, unless staff said so."""
        copies = self.got[delivery.id]
        assert copies <= 1 + self._doubts(delivery)
        if policy is UncertainPolicy.HOLD:
            assert copies <= 1 + self.asked_again[delivery.id]
        if delivery.status is DeliveryStatus.ACCEPTED:
            assert copies or delivery.reason == SETTLED_BY_HAND
        if delivery.status is DeliveryStatus.SKIPPED:
            assert not copies

    def _doubts(self, delivery: Delivery) -> int:
        """How many of its attempts were ever uncertain."""
        return sum(each == delivery.id for each, _ in self._uncertain)


def _nobody_is_forgotten(ledger: Ledger) -> None:
    """Nobody waits in a batch that nobody will look at again."""
    done = [each for each in ledger.batches if each.status is BatchStatus.DONE]
    for delivery in ledger.deliveries:
        if any(each.first_id <= delivery.id <= each.last_id for each in done):
            assert delivery.status not in _UNSETTLED
    finished = {each.id for each in ledger.sends if each.status is SendStatus.FINISHED}
    assert all(each.status is BatchStatus.DONE for each in ledger.batches if each.send_id in finished)
