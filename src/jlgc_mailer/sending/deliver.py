"""Delivering one batch: claim, attempt window by window, record, give back.

No transaction is open while the wire is busy (promise 5).
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from jlgc_mailer.db.base import Database
from jlgc_mailer.errors import UnsafeValue
from jlgc_mailer.mail.replies import Reply
from jlgc_mailer.sending import ledger
from jlgc_mailer.sending.claim import Claim, claim_next, release, renew
from jlgc_mailer.sending.lease import Lease
from jlgc_mailer.sending.letters import Identity, Letter, Recipient, Stationery
from jlgc_mailer.sending.outcomes import Outcome, RetryPolicy
from jlgc_mailer.sending.plan import finish_done
from jlgc_mailer.sending.transports import Transport, TransportTrouble
from jlgc_mailer.states import DeliveryStatus, Stage

_WINDOW = 10  # a commit costs a third of a millisecond: shared by ten it is a twentieth of an SMTP transaction
_HOLD = timedelta(seconds=30)


@dataclass(frozen=True)
class Means:
    """What delivering needs from outside."""

    database: Database
    identity: Identity
    open_transport: Callable[[], Transport]
    clock: Callable[[], datetime]
    retry: RetryPolicy
    lease: timedelta
    hold: timedelta = _HOLD
    window: int = _WINDOW


@dataclass
class Worked:
    """What one turn did: attempts by outcome, and why it stopped early, if it did."""

    claim: Claim
    outcomes: dict[DeliveryStatus, int] = field(default_factory=dict)
    hold: str | None = None


def deliver_next(means: Means) -> Worked | None:
    """Claim the next batch of any send and work on it until it is settled, held or paused; None when none waits."""
    with means.database.transaction() as session:
        claim = claim_next(session, means.clock(), means.lease)
    return _deliver(means, claim) if claim else None


def _deliver(means: Means, claim: Claim) -> Worked:
    worked = Worked(claim)
    with means.database.reading() as session:
        stationery = ledger.stationery(session, claim.send_id, means.identity)
    with Lease(means.database, claim, means.lease, means.clock) as lease, closing(means.open_transport()) as transport:
        while lease.goes_on and worked.hold is None and (window := _take(means, claim)):
            results: list[tuple[Recipient, Outcome]] = []
            try:
                worked.hold = _attempt_all(window, stationery, transport, lease, means, results)
            finally:
                _record(means, worked, window, results, transport)
    _give_back(means, worked)
    return worked


def _take(means: Means, claim: Claim) -> list[Recipient]:
    """The next window, unless the batch is no longer ours."""
    with means.database.transaction() as session:
        now = means.clock()
        if not renew(session, claim, now, means.lease):
            return []
        return ledger.take_window(session, claim, means.window, now)


def _attempt_all(
    window: Sequence[Recipient],
    stationery: Stationery,
    transport: Transport,
    lease: Lease,
    means: Means,
    results: list[tuple[Recipient, Outcome]],
) -> str | None:
    """Add the outcomes of those attempted to `results`; why the rest were not, when the way out failed.

    All letters are made at once, while what was read of the readers is fresh (promise 2).
    """
    for recipient, letter in [(each, _letter(each, stationery, means)) for each in window]:
        if not lease.goes_on:
            break
        if isinstance(letter, Outcome):
            results.append((recipient, letter))
            continue
        # Uncertain until known: this is what stands if something unforeseen ends the attempt.
        results.append((recipient, Outcome(DeliveryStatus.UNCERTAIN, Stage.CONTENT, None, means.clock())))
        try:
            results[-1] = recipient, transport.send(letter)
        except TransportTrouble as trouble:
            results.pop()
            return str(trouble).replace(recipient.address, "…")  # holds are shown: they name no reader
    return None


def _letter(recipient: Recipient, stationery: Stationery, means: Means) -> Letter | Outcome:
    """The letter, or why none can be written to this recipient."""
    try:
        return stationery.letter(recipient)
    except UnsafeValue as error:
        reply = Reply(554, str(error), "5.6.0" if recipient.address.isascii() else "5.6.7")
        return Outcome(DeliveryStatus.REFUSED, Stage.BUILD, reply, means.clock())


def _record(
    means: Means,
    worked: Worked,
    window: Sequence[Recipient],
    results: Sequence[tuple[Recipient, Outcome]],
    transport: Transport,
) -> None:
    with means.database.transaction() as session:
        ledger.record(session, worked.claim.send_id, results, transport.name, means.retry)
        ledger.put_back(session, window[len(results) :])
    for _, outcome in results:
        worked.outcomes[outcome.status] = worked.outcomes.get(outcome.status, 0) + 1


def _give_back(means: Means, worked: Worked) -> None:
    """Done when all are settled; else due again at the earliest retry, or after the hold."""
    with means.database.transaction() as session:
        now = means.clock()
        ledger.skip_cancelled(session, worked.claim.send_id)
        due = ledger.next_due(session, worked.claim, now)
        if due and worked.hold:
            due = max(due, now + means.hold)
        release(session, worked.claim, due, worked.hold)
    if due is None:
        with means.database.transaction() as session:
            finish_done(session, now)
