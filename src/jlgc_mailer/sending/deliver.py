"""One turn of a worker: claim a batch, choose a way out, send, record, give back; and on to the next batch.

The wire runs in the thread of the turn, bookkeeping in another, so that neither waits for the other. No transaction is
open while either waits for the network (promise 5).
"""

import random
from contextlib import closing
from datetime import timedelta

from sqlalchemy.orm import Session

from jlgc_mailer.errors import Unreachable
from jlgc_mailer.sending import ledger, routes
from jlgc_mailer.sending.bookkeeper import Bookkeeper, worker_of
from jlgc_mailer.sending.claim import Claim, claim_next, hold_send, release
from jlgc_mailer.sending.journal import Journal, JournalFault
from jlgc_mailer.sending.means import Means, Worked
from jlgc_mailer.sending.plan import finish_done
from jlgc_mailer.sending.recovery import recover
from jlgc_mailer.sending.routes import NoRoute, Route
from jlgc_mailer.sending.stock import Stock
from jlgc_mailer.sending.transports import Trouble

_BUSY = timedelta(seconds=5)
_LOOK_AGAIN = timedelta(minutes=1)


def deliver_next(means: Means) -> Worked | None:
    """Claim the next batch of any send and go on until none waits, the turn is over, or the send is held or paused.

    None when no batch waited. Whatever ends the turn, what is known of each recipient is in the ledger or the journal.
    """
    recover(means)
    with means.database.transaction() as session:
        claim = claim_next(session, means.clock(), means.lease)
        if claim is None:
            return None
        route = _route_for(session, claim, means)
    if isinstance(route, NoRoute):
        return _hold(means, claim, route)
    worked = _with_connections(means, claim, route)
    if worked.done:
        with means.database.transaction() as session:
            finish_done(session, means.clock())
    return worked


def _route_for(session: Session, claim: Claim, means: Means) -> Route | NoRoute:
    now = means.clock()
    names = ledger.list_names(session, claim.send_id)
    return routes.choose(means.routes, names, routes.paused(session, means.routes, now), now, random)


def _hold(means: Means, claim: Claim, none: NoRoute) -> Worked:
    """All batches of a send wait for a way out, and say why. One looks again each minute: it may have been mended."""
    now = means.clock()
    until = min(none.until, now + _LOOK_AGAIN)
    with means.database.transaction() as session:
        release(session, claim, now, none.why, until)
        hold_send(session, claim.send_id, until, none.why)
    return Worked(hold=none.why)


def _with_connections(means: Means, claim: Claim, route: Route) -> Worked:
    """Work with as many connections as the other workers leave; the batch is put back when there is none."""
    worker = worker_of(claim)
    try:
        connections = means.pace.connect(route.name, route.limits, worker, route.relay.connections, means.clock())
    except Unreachable as error:
        _put_back(means, claim, str(error))
        raise
    try:
        if connections:
            return _work(means, claim, route, connections)
        return _put_back(means, claim, f"all connections to {route.name} are in use")
    finally:
        means.pace.disconnect(route.name, worker)


def _put_back(means: Means, claim: Claim, why: str) -> Worked:
    with means.database.transaction() as session:
        release(session, claim, means.clock(), why, means.clock() + _BUSY)
    return Worked(hold=why)


def _work(means: Means, claim: Claim, route: Route, connections: int) -> Worked:
    try:
        journal = Journal(means.journals, route.name)
    except JournalFault as error:
        _put_back(means, claim, str(error))
        raise
    all_recorded = False
    try:
        with (
            Stock(journal, means.clock, ahead=means.signer is not None) as stock,
            closing(means.open_transport(route, connections)) as transport,
            Bookkeeper(means, route, journal, stock, claim) as bookkeeper,
        ):
            bookkeeper.trouble = transport.deliver(stock)
            _note_health(means, route, bookkeeper.trouble)
        all_recorded = True
    finally:
        journal.close(all_recorded=all_recorded)
    return bookkeeper.worked


def _note_health(means: Means, route: Route, trouble: Trouble | None) -> None:
    """Trouble pauses the transport for everybody before the batches are free again (STANDARDS S3)."""
    with means.database.transaction() as session:
        if trouble:
            routes.pause(session, route, trouble, means.clock())
        else:
            routes.recovered(session, route.name, means.clock())
