"""A planned send and a receiver to deliver it to."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.sending import Send
from jlgc_mailer.sending.claim import Claim, claim_next, renew
from jlgc_mailer.sending.deliver import deliver_next
from jlgc_mailer.sending.ledger import take_due
from jlgc_mailer.sending.letters import Recipient
from jlgc_mailer.sending.means import Worked
from jlgc_mailer.sending.progress import Account, account
from jlgc_mailer.states import UncertainPolicy
from tests import factories
from tests.fakes import Receiver, listening


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening(Receiver()) as started:
        yield started


@dataclass
class Story:
    """A send to readers r0@example.com, r1@example.com ..., and the means to work on it."""

    mailer: Mailer
    send_id: int
    subscriber_ids: list[int]
    list_id: int

    def turn(self) -> Worked | None:
        """One batch."""
        return deliver_next(self.mailer.means)

    def run(self) -> None:
        """Batches until none is due now."""
        while self.turn():
            pass

    def vanish(self, on_wire: int) -> tuple[Claim, list[Recipient]]:
        """A worker claims a batch, writes down its intent, and is gone with its machine and its journal."""
        means = self.mailer.means
        with means.database.transaction() as session:
            claim = claim_next(session, means.clock(), means.lease)
            assert claim is not None
            due = take_due(session, claim, [self.list_id], 0, on_wire, means.clock())
            assert renew(session, claim, means.clock() + means.lease, [each.delivery_id for each in due.recipients])
        return claim, list(due.recipients)

    @property
    def account(self) -> Account:
        with self.mailer.database.reading() as session:
            return account(session, session.get_one(Send, self.send_id))

    @property
    def lines(self) -> dict[tuple[str, str | None], int]:
        """The account as (status, reason) -> number."""
        return {(line.status.value, line.reason): line.count for line in self.account.lines}


@pytest.fixture
def tell(make_mailer: Callable[..., Mailer], receiver: Receiver) -> Callable[..., Story]:
    """A story with as many readers as a test wants."""

    def begin(
        readers: int = 5,
        *,
        batch_size: int = 100,
        on_uncertain: UncertainPolicy = UncertainPolicy.HOLD,
        planned: bool = True,
        addresses: Sequence[str] = (),
        **settings: Any,
    ) -> Story:
        mailer = make_mailer(**{"smtp_port": receiver.port, "turn_seconds": 0, **settings})
        with mailer.database.transaction() as session:
            news = factories.mailing_list(session)
            people = [factories.subscriber(session, news, f"r{n}@example.com") for n in range(readers)]
            people += [factories.subscriber(session, news, address) for address in addresses]
            revision = factories.issue(session, mailer)
            send = factories.send(
                session, mailer, revision, [news], batch_size=batch_size, on_uncertain=on_uncertain, planned=planned
            )
            return Story(mailer, send.id, [each.id for each in people], news.id)

    return begin
