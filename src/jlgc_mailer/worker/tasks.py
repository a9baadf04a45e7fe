"""The tasks. Each is a hint that there may be work; what the work is, the database says (promise 4)."""

import logging
from collections.abc import Callable
from datetime import timedelta

from celery import Celery
from sqlalchemy.orm import Session

from jlgc_mailer.bootstrap import COLLECT_TASK, DELIVER_TASK, JUDGE_TASK, READ_TASK, TICK_TASK, Mailer
from jlgc_mailer.errors import MailerError
from jlgc_mailer.feedback.breaker import trip_breakers
from jlgc_mailer.feedback.judge import judge_waiting
from jlgc_mailer.feedback.reading import any_waiting, read_waiting
from jlgc_mailer.feedback.retention import delete_outdated, outdated
from jlgc_mailer.sending.cancelled import settle_cancelled
from jlgc_mailer.sending.claim import take_nudges
from jlgc_mailer.sending.deliver import deliver_next
from jlgc_mailer.sending.means import Worked
from jlgc_mailer.sending.plan import finish_done, plan_due
from jlgc_mailer.sending.recovery import recover
from jlgc_mailer.states import DeliveryStatus

_NUDGES_A_TICK = 20  # each turn goes on with the next batch by itself: this only has to wake idle workers
log = logging.getLogger("jlgc_mailer.worker")


def with_tasks(mailer: Mailer) -> Celery:
    """The Celery application of this installation with its tasks, as workers and beat need it."""
    app = mailer.queue
    tasks = {TICK_TASK: tick, DELIVER_TASK: deliver, READ_TASK: read, JUDGE_TASK: judge, COLLECT_TASK: collect}
    for name, work in tasks.items():
        app.task(_told_plainly(work, mailer), name=name, shared=False)
    return app


def tick(mailer: Mailer) -> None:
    """Find what no nudge announced: due sends, sends that are done, batches with work, feedback to read and judge.

    Reports that are too old are deleted, a few at each.
    """
    recover(mailer.means)
    settle_cancelled(mailer.means)
    plan_due(mailer.database, mailer.clock(), mailer.keyring.key_id)
    with mailer.database.transaction() as session:
        finish_done(session, mailer.clock())
        nudges = take_nudges(session, mailer.clock(), _NUDGES_A_TICK)
    for priority, times in nudges.items():
        mailer.nudge_delivery(priority, times)
    forget(mailer)
    read(mailer)


def deliver(mailer: Mailer) -> None:
    """A turn of delivering, if a batch waits."""
    worked = deliver_next(mailer.means)
    if worked is not None:
        _tell(worked)
        if worked.outcomes.get(DeliveryStatus.REFUSED):
            mailer.nudge(JUDGE_TASK)


def read(mailer: Mailer) -> None:
    """Read all raw reports that wait, and judge what they say; refusals are judged even if the rules cannot be read."""
    try:
        while _is_any_waiting(mailer) and _read_some(mailer):
            pass
    finally:
        judge(mailer)


def forget(mailer: Mailer) -> None:
    """Delete some of the reports that are settled and old. Asked first: on SQLite all who write wait for who does."""
    before = mailer.clock() - timedelta(days=mailer.settings.feedback_keep_days)
    with mailer.database.reading() as session:
        is_any = bool(outdated(session, before))
    if is_any:
        deleted = _in_transaction(mailer, lambda session: delete_outdated(session, before))
        log.info("%d reports deleted that are older than %g days", deleted, mailer.settings.feedback_keep_days)


def judge(mailer: Mailer) -> None:
    """Judge all feedback that waits; a send of which too much comes back pauses itself.

    Breakers are looked at without news too: of a send that began slowly, what came back may be too much only later.
    """
    while _in_transaction(mailer, lambda session: judge_waiting(session, mailer.clock(), mailer.policy)):
        pass
    _in_transaction(mailer, lambda session: trip_breakers(session, mailer.clock(), mailer.policy))


def collect(mailer: Mailer) -> None:
    """Empty the mailboxes whose interval is over."""
    for mailbox in mailer.mailboxes:
        found = mailer.collector.collect_due(mailbox)
        if found and found.problem:
            log.warning("mailbox %s: %s", mailbox.name, found.problem)
        if found and found.stored:
            log.info("mailbox %s: %d new reports", mailbox.name, found.stored)
            mailer.nudge(READ_TASK)


def _is_any_waiting(mailer: Mailer) -> bool:
    """Asked first, so that a process that never has one to read does not load the rules."""
    with mailer.database.reading() as session:
        return any_waiting(session)


def _read_some(mailer: Mailer) -> int:
    return _in_transaction(mailer, lambda session: read_waiting(session, mailer.readers, mailer.keyring, mailer.policy))


def _in_transaction(mailer: Mailer, work: Callable[[Session], int]) -> int:
    with mailer.database.transaction() as session:
        return work(session)


def _tell(worked: Worked) -> None:
    counts = ", ".join(f"{count} {status}" for status, count in worked.outcomes.items()) or "nothing attempted"
    log.info("%d batches, %d done: %s", worked.batches, worked.done, counts)
    if worked.hold:
        log.warning("held: %s", worked.hold)


def _told_plainly(work: Callable[[Mailer], None], mailer: Mailer) -> Callable[[], None]:
    """A task around `work`; what a person can mend is logged as its sentence, and the next tick tries again."""

    def task() -> None:
        try:
            work(mailer)
        except MailerError as error:
            log.error("%s: %s", work.__name__, error)

    return task
