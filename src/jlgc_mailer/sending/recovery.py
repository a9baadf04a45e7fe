"""What vanished workers of this machine left: their journals are read back into the ledger, and their batches freed."""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import InternalError, OperationalError
from sqlalchemy.orm import Session

from jlgc_mailer.db.sending import Batch, Delivery, Send
from jlgc_mailer.errors import Unreachable
from jlgc_mailer.sending import ledger
from jlgc_mailer.sending.claim import Claim, release
from jlgc_mailer.sending.journal import Story, alone, orphans, read_journal
from jlgc_mailer.sending.letters import Recipient
from jlgc_mailer.sending.means import Means
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.sending.record import Result, record
from jlgc_mailer.sending.uncertain import give_up
from jlgc_mailer.states import DeliveryStatus, Stage

_AT_ONCE = 500
log = logging.getLogger("jlgc_mailer.sending")


def recover(means: Means) -> int:
    """Settle the journals of workers that are gone; the number of journals. Doing it twice changes nothing.

    Who comes while another is at it waits: the batch that it would claim next may be in a journal that is being read.
    One that cannot be settled is set aside and logged: it must not keep this machine from its work.
    """
    with alone(means.journals), closing(orphans(means.journals)) as found:  # unlocks at once, whatever happens
        return sum(_is_settled(means, path, data) for path, data in found)


def _is_settled(means: Means, path: Path, data: bytes) -> bool:
    try:
        with means.database.transaction() as session:
            settle(session, read_journal(data), means)
        path.unlink()  # after the commit: if this process ends before, the next one reads it again
    except Unreachable:
        raise
    except (OperationalError, InternalError) as error:  # a deadlock, a full disk, a standby: no fault of the journal's
        log.warning("The journal %s is not settled yet: %s. It is tried again by itself.", path, _in_a_line(error))
        return False
    except Exception as error:  # noqa: BLE001  (whatever a damaged journal does, it would do in every tick and turn)
        _set_aside(path, error)
        return False
    return True


def _set_aside(path: Path, error: Exception) -> None:
    aside = path.with_suffix(".bad")
    remedy = f"It is kept as {aside.name}: see 'Journals' in the runbook."
    try:
        path.rename(aside)
    except OSError as fault:
        remedy = f"Nor can it be set aside ({fault.strerror}): let workers write to its folder."
    log.error("The journal %s cannot be settled: %s. %s", path, _in_a_line(error), remedy)


def _in_a_line(error: Exception) -> str:
    """Without the statement and its values, which are long and tell addresses."""
    words = str(getattr(error, "orig", None) or error).strip() or "no reason was given"
    return f"{type(error).__name__}: {words.splitlines()[0].rstrip('.')}"


def settle(session: Session, story: Story, means: Means) -> None:
    """Record what a journal tells. What went out without a known reply is uncertain, and nothing else is.

    If the machine has died since, lines may be missing: then whatever was meant to go out is uncertain too.
    """
    now = means.clock()
    rows = _deliveries(session, [*(delivery_id for delivery_id, _ in story.outcomes), *story.intents])
    attempts = story.outcomes | {
        (each, number): Outcome(DeliveryStatus.UNCERTAIN, Stage.CONTENT, None, now)
        for each, number in story.intents.items()
        if each in rows and number > rows[each].attempts  # else what became of it is recorded
    }
    # What was recorded before says nothing about a later attempt in the same turn, whose lines may be missing.
    news = {each for each, number in attempts if each in rows and number > rows[each].attempts}
    for send_id, number in sorted({(rows[each].send_id, number) for each, number in attempts if each in rows}):
        results = [
            Result(_recipient(rows[each], number, outcome.at), outcome)
            for (each, its), outcome in attempts.items()
            if its == number and each in rows and rows[each].send_id == send_id
        ]
        policy = session.get_one(Send, send_id).on_uncertain
        record(session, results, policy, story.transport, means.retry, means.rules)
    for claim in story.claims:
        _free(session, claim, None if story.is_complete else news, now)


def _deliveries(session: Session, delivery_ids: Sequence[int]) -> Mapping[int, Delivery]:
    found: dict[int, Delivery] = {}
    for start in range(0, len(delivery_ids), _AT_ONCE):
        some = select(Delivery).where(Delivery.id.in_(delivery_ids[start : start + _AT_ONCE]))
        found |= {row.id: row for row in session.scalars(some)}
    return found


def _recipient(row: Delivery, number: int, at: datetime) -> Recipient:
    return Recipient(
        delivery_id=row.id,
        attempts=number,
        first_attempt_at=row.first_attempt_at,
        subscriber_id=row.subscriber_id or 0,
        address=row.address,
        name=row.name,
        list_id=row.list_id,
        compiled_id=row.compiled_id,
    )


def _free(session: Session, claim: Claim, news: Collection[int] | None, now: datetime) -> None:
    """Give the batch back, if it is still claimed under that mark. `news` is None when the journal is complete."""
    mine = select(Batch.on_wire).where(Batch.id == claim.batch_id, Batch.claim == claim.mark).with_for_update()
    held = session.execute(mine).first()
    if held is None:
        return
    if news is not None:
        give_up(session, claim.send_id, set(json.loads(held.on_wire or "[]")).difference(news), now)
    ledger.skip_rest(session, claim)
    release(session, claim, ledger.next_due(session, claim, now))
