"""What a cancelled send leaves: batches that a worker had in its hands and gave back, or vanished with."""

from jlgc_mailer.sending import ledger
from jlgc_mailer.sending.claim import claim_next, release
from jlgc_mailer.sending.means import Means
from jlgc_mailer.states import SendStatus


def settle_cancelled(means: Means) -> int:
    """End these batches: who was not written to is skipped, because it was cancelled; the number of batches."""
    settled = 0
    while _settle_one(means):
        settled += 1
    return settled


def _settle_one(means: Means) -> bool:
    with means.database.transaction() as session:
        claim = claim_next(session, means.clock(), means.lease, status=SendStatus.CANCELLED)
        if claim is None:
            return False
        ledger.skip_rest(session, claim)
        release(session, claim, None)
        return True
