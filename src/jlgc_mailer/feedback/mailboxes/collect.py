"""Collecting: what waits in a mailbox is fetched, stored and committed, and only then let go (STANDARDS F8)."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from jlgc_mailer.db.base import Database
from jlgc_mailer.errors import MailerError, SettingError
from jlgc_mailer.feedback import health
from jlgc_mailer.feedback.mailboxes import Fetched, Mailbox, MailboxTrouble, Visit
from jlgc_mailer.feedback.message import inbound
from jlgc_mailer.feedback.store import NotStored, store, storing

log = logging.getLogger("jlgc_mailer.mailboxes")


@dataclass(frozen=True)
class Collected:
    """What looking into a mailbox brought. What was stored before, as after a crash, is only taken."""

    taken: int = 0
    stored: int = 0
    waiting: int = 0
    problem: str | None = None


@dataclass(frozen=True)
class Collector:
    """What collecting needs."""

    database: Database
    bounce_domain: str
    clock: Callable[[], datetime]
    is_stopping: Callable[[], bool]

    def collect_due(self, mailbox: Mailbox) -> Collected | None:
        """Empty it if nobody has looked into it for its interval; else None."""
        with self.database.transaction() as session:
            is_due = health.claim(session, way_in(mailbox), self.clock(), mailbox.every)
        return self.collect(mailbox) if is_due else None

    def collect(self, mailbox: Mailbox) -> Collected:
        """Empty it, in as many visits as that takes; its trouble is noted for operators."""
        total = self._visited(mailbox)
        more = total
        while more.stored and more.waiting and not more.problem and not self.is_stopping():
            more = self._visited(mailbox)
            total = Collected(total.taken + more.taken, total.stored + more.stored, more.waiting, more.problem)
        return total

    def _visited(self, mailbox: Mailbox) -> Collected:
        taken = stored = waiting = 0
        problem = None
        try:
            with mailbox.visit() as visit:
                waiting = visit.waiting
                for batch in visit.batches():
                    stored += self._stored(mailbox, batch, waiting)
                    visit.settle(batch)
                    taken += len(batch)
                    waiting = max(0, visit.waiting - taken)  # an mbox cannot tell how many there are
                    if self.is_stopping():
                        break
            problem = _worst_of(visit)
        except (MailboxTrouble, SettingError) as trouble:
            problem = health.printable(str(trouble))
        except NotStored as error:
            _log_cause(mailbox)
            problem = str(error)
        except MailerError:  # the database is away: nobody could be told
            raise
        except Exception as error:  # noqa: BLE001  (whatever it is, it holds up no other mailbox)
            _log_cause(mailbox)
            problem = health.printable(str(MailboxTrouble(place=mailbox.name, problem=_words_of(error))))
        with self.database.transaction() as session:
            health.seen(session, way_in(mailbox), self.clock(), backlog=waiting, problem=problem)
        return Collected(taken, stored, waiting, problem)

    def _stored(self, mailbox: Mailbox, batch: Sequence[Fetched], backlog: int) -> int:
        """Commit a batch; the note that the mailbox is being read keeps other processes away from it meanwhile."""
        name, now = way_in(mailbox), self.clock()
        reports = [inbound(name, message.body, self.bounce_domain) for message in batch]
        with storing(self.database) as session:
            stored = sum(store(session, report, now) for report in reports)
            health.seen(session, name, now, stored=stored, backlog=backlog)
        return stored


def way_in(mailbox: Mailbox) -> str:
    """Its name among the ways in, which is the source of its reports."""
    return f"mailbox {mailbox.name}"


def _log_cause(mailbox: Mailbox) -> None:
    """For who looks into the log of a worker; that there is a problem, everybody hears in a sentence."""
    log.info("mailbox %s has trouble", mailbox.name, exc_info=True)


def _words_of(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _worst_of(visit: Visit) -> str | None:
    if not visit.problems:
        return None
    others = f", and {len(visit.problems) - 1} more" if len(visit.problems) > 1 else ""
    return health.printable(f"{visit.problems[0]}{others}. The rest was read.")
