"""What claiming and recording cost, batch after batch of one send."""

import time
from collections.abc import Iterator
from statistics import median

from bench.installation import planned
from bench.rows import Row
from jlgc_mailer.bootstrap import Mailer, utc_now
from jlgc_mailer.db.sending import Send
from jlgc_mailer.mail.replies import Reply
from jlgc_mailer.sending import ledger
from jlgc_mailer.sending.claim import claim_next, release, renew
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.sending.plan import finish_done
from jlgc_mailer.sending.record import Result, record
from jlgc_mailer.states import DeliveryStatus, Stage, UncertainPolicy

_SOME = 50  # batches at each end, of which the median counts
_TAKEN = Reply(250, "Ok: queued as 4F0B21A2B3", "2.0.0")


def rows(mailer: Mailer, slug: str, list_name: str, batch_size: int, rounds: int) -> Iterator[Row]:
    """The last batches against the first, where each commit waits for no disk, so that it hides nothing."""
    ends = []
    for _ in range(rounds):
        taken = list(_batches(mailer, planned(mailer, slug, list_name, batch_size), batch_size))
        ends.append((median(taken[-_SOME:]), median(taken[:_SOME])))
        number = len(taken)
    last, first = (median(side) for side in zip(*ends, strict=True))
    ratio = median([its_last / its_first for its_last, its_first in ends])
    name = f"claim and record: the last {_SOME} of {number:,} batches of {batch_size} against the first"
    yield Row(name, f"{last * 1e3:.1f} ms", f"{first * 1e3:.1f} ms", ratio, "<= 1.3")


def _batches(mailer: Mailer, send_id: int, size: int) -> Iterator[float]:
    """The seconds for each batch of the send, worked on as the bookkeeper does."""
    with mailer.database.reading() as session:
        lists = [each.id for each in session.get_one(Send, send_id).lists]
    while True:
        began = time.perf_counter()
        if not _work_on_next(mailer, lists, size):
            break
        yield time.perf_counter() - began
    with mailer.database.transaction() as session:
        finish_done(session, utc_now())


def _work_on_next(mailer: Mailer, lists: list[int], size: int) -> bool:
    now = utc_now()
    with mailer.database.transaction() as session:
        claim = claim_next(session, now, mailer.settings.lease)
        if claim is None:
            return False
        due = ledger.take_due(session, claim, lists, 0, size + 1, now)
        renew(session, claim, now + mailer.settings.lease, [each.delivery_id for each in due.recipients])
    outcome = Outcome(DeliveryStatus.ACCEPTED, Stage.CONTENT, _TAKEN, now)
    with mailer.database.transaction() as session:
        record(
            session,
            [Result(each, outcome) for each in due.recipients],
            UncertainPolicy.HOLD,
            "bench",
            mailer.means.retry,
            mailer.means.rules,
        )
        release(session, claim, ledger.next_due(session, claim, now))
    return True
