"""The tasks. Each is a hint that there may be work; what the work is, the database says (promise 4)."""

import logging
from collections.abc import Callable

from celery import Celery

from jlgc_mailer.bootstrap import DELIVER_TASK, JUDGE_TASK, TICK_TASK, Mailer
from jlgc_mailer.errors import MailerError
from jlgc_mailer.feedback.judge import judge_waiting
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
    for name, work in ((TICK_TASK, tick), (DELIVER_TASK, deliver), (JUDGE_TASK, judge)):
        app.task(_told_plainly(work, mailer), name=name, shared=False)
    return app


def tick(mailer: Mailer) -> None:
    """Find what no nudge announced: due sends, sends that are done, batches with work, feedback to judge."""
    recover(mailer.means)
    settle_cancelled(mailer.means)
    plan_due(mailer.database, mailer.clock(), mailer.keyring.key_id)
    with mailer.database.transaction() as session:
        finish_done(session, mailer.clock())
        nudges = take_nudges(session, mailer.clock(), _NUDGES_A_TICK)
    for priority, times in nudges.items():
        mailer.nudge_delivery(priority, times)
    judge(mailer)


def deliver(mailer: Mailer) -> None:
    """A turn of delivering, if a batch waits."""
    worked = deliver_next(mailer.means)
    if worked is not None:
        _tell(worked)
        if worked.outcomes.get(DeliveryStatus.REFUSED):
            mailer.nudge(JUDGE_TASK)


def judge(mailer: Mailer) -> None:
    """Judge all feedback that waits."""
    judged = -1
    while judged:
        with mailer.database.transaction() as session:
            judged = judge_waiting(session, mailer.clock())


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
