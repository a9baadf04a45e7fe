"""The composition root: puts the parts together from settings. Shells take a Mailer and nothing else."""

import logging
import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from celery import Celery
from kombu.exceptions import OperationalError as BrokerError

from jlgc_mailer.db.base import Database
from jlgc_mailer.db.version import require_current
from jlgc_mailer.errors import InvalidFile, Unreachable
from jlgc_mailer.mail.tokens import Keyring
from jlgc_mailer.render.source import Site
from jlgc_mailer.sending.letters import Identity, Signer
from jlgc_mailer.sending.means import Means
from jlgc_mailer.sending.outcomes import RetryPolicy
from jlgc_mailer.sending.pace import Pace
from jlgc_mailer.sending.pace.in_process import InProcessPace
from jlgc_mailer.sending.pace.on_redis import RedisPace
from jlgc_mailer.sending.routes import Route, sent_since
from jlgc_mailer.sending.transports import Transport
from jlgc_mailer.settings import Settings, read_routes
from jlgc_mailer.states import Language, Priority, ReportForm

if TYPE_CHECKING:
    from jlgc_mailer.content.issues import Press
    from jlgc_mailer.feedback.mailboxes import Mailbox
    from jlgc_mailer.feedback.mailboxes.collect import Collector
    from jlgc_mailer.feedback.policy import Policy
    from jlgc_mailer.feedback.reading import Readers
    from jlgc_mailer.feedback.webhooks.posted import Webhook
    from jlgc_mailer.mail.reports.rules import Rules

DELIVER_TASK = "jlgc_mailer.deliver"
TICK_TASK = "jlgc_mailer.tick"
JUDGE_TASK = "jlgc_mailer.judge"
COLLECT_TASK = "jlgc_mailer.collect"
READ_TASK = "jlgc_mailer.read"

# Redis gives unacknowledged messages back only after this time; the ledger does not wait for it (promise 4).
_REDIS_OPTIONS = {
    "visibility_timeout": 300,
    "socket_connect_timeout": 5,
    "socket_timeout": 30,
    "queue_order_strategy": "priority",  # the queues in the order below, not in turn
}
_MEMORY_OPTIONS = {"polling_interval": 0.05}

_SHORT = "jlgc_mailer.short"
_QUEUES = {Priority.URGENT: "jlgc_mailer.urgent", Priority.NORMAL: "jlgc_mailer"}
_NUDGE_EXPIRES = 30
log = logging.getLogger("jlgc_mailer")
_COLLECT_SECONDS = 5  # between two looks whether the interval of a mailbox is over


def utc_now() -> datetime:
    """The clock of everything that runs for real."""
    return datetime.now(UTC)


class StopSign:
    """Tells a process and all that are forked from it to end.

    It is one octet of shared memory: a process that is killed cannot leave it locked, as it could a semaphore.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    def set(self) -> None:
        """End."""
        self._memory[0] = 1

    def clear(self) -> None:
        """Go on."""
        self._memory[0] = 0

    def is_set(self) -> bool:
        """Whether to end."""
        return self._memory[0] == 1


@dataclass(frozen=True)
class Mailer:
    """An installation, ready for use; parts are made when first needed."""

    settings: Settings
    clock: Callable[[], datetime] = utc_now

    @cached_property
    def database(self) -> Database:
        """The store, whatever its state."""
        return Database(self.settings.effective_database_url)

    def checked_database(self) -> Database:
        """The store, reachable and at the version that this code needs; else NotInitialised or Unreachable."""
        require_current(self.database)
        return self.database

    @cached_property
    def keyring(self) -> Keyring:
        """The secrets that sign links and envelopes."""
        return Keyring(tuple(key.get_secret_value().encode() for key in self.settings.secret_keys))

    @cached_property
    def identity(self) -> Identity:
        """Who we are on the wire."""
        own = self.settings
        return Identity(own.public_url, own.mail_domain, own.bounce_domain, own.sender_id, self.keyring)

    @cached_property
    def press(self) -> "Press":
        """What compiling an edition needs. Workers never do: the libraries for it would be half of their memory."""
        from jlgc_mailer.content.issues import Press

        own = self.settings
        organisation = {Language.ENGLISH: own.organisation_en, Language.JAPANESE: own.organisation_ja}
        return Press(Site(own.public_url, organisation, own.postal_address, own.contact), templates_folder())

    @cached_property
    def signer(self) -> Signer | None:
        """Signs what we send, if the home folder has DKIM keys; without them its libraries are not loaded."""
        folder = self.settings.home / "dkim"
        if not folder.is_dir():
            return None
        from jlgc_mailer.mail.dkim import read_signer

        return read_signer(folder, self.settings.signing_domain)

    @cached_property
    def routes(self) -> Sequence[Route]:
        """The ways out."""
        return read_routes(self.settings)

    @cached_property
    def pace(self) -> Pace:
        """The budgets of the ways out: in Redis where that is the broker, else in this process."""
        own = self.settings
        return RedisPace(own.broker_url, self._sent_since) if own.has_redis else InProcessPace(self._sent_since)

    def _sent_since(self, transport: str, since: datetime) -> int:
        with self.database.reading() as session:
            return sent_since(session, transport, since)

    def open_transport(self, route: Route, connections: int) -> Transport:
        """A way out; it connects when the first letter is handed over."""
        from jlgc_mailer.sending.transports.smtp.wire import SmtpTransport

        return SmtpTransport(replace(route.relay, connections=connections), self.clock)

    @cached_property
    def means(self) -> Means:
        """What delivering needs."""
        own = self.settings
        retry = RetryPolicy(
            timedelta(seconds=own.retry_greylist_seconds),
            timedelta(seconds=own.retry_first_seconds),
            timedelta(seconds=own.retry_longest_seconds),
            timedelta(seconds=own.retry_give_up_seconds),
        )
        return Means(
            database=self.database,
            identity=self.identity,
            signer=self.signer,
            routes=self.routes,
            open_transport=self.open_transport,
            pace=self.pace,
            clock=self.clock,
            retry=retry,
            rules=lambda: self._rules_or_ours,  # a worker that is never refused does not load them
            lease=own.lease,
            turn=timedelta(seconds=own.turn_seconds),
            journals=own.home / "journals",
            is_stopping=self.stopping.is_set,
        )

    @cached_property
    def policy(self) -> "Policy":
        """How much evidence in feedback has consequences."""
        from jlgc_mailer.feedback.policy import Policy

        own = self.settings
        return Policy(
            match_window=timedelta(days=own.feedback_match_days),
            soft_sends=own.feedback_soft_sends,
            soft_span=timedelta(days=own.feedback_soft_days),
            hard_rate=own.feedback_hard_percent / 100,
            hard_after=own.feedback_hard_after,
            complaint_rate=own.feedback_complaint_percent / 100,
            complaint_after=own.feedback_complaint_after,
        )

    @cached_property
    def rules(self) -> "Rules":
        """How reports and refusals are classified; raises InvalidFile."""
        from jlgc_mailer.settings.feedback_rules import read_feedback_rules

        return read_feedback_rules(self.settings.home)

    @cached_property
    def _rules_or_ours(self) -> "Rules":
        """The same for a send under way, which does not end because an operator's own rules have a fault."""
        from jlgc_mailer.mail.reports.rules import default_rules

        try:
            return self.rules
        except InvalidFile as error:
            log.error("%s Until then refusals are read by the rules of the program alone.", error)
            return default_rules()

    @cached_property
    def readers(self) -> "Readers":
        """How raw reports are read. A process that never has one to read does not load the rules."""
        return self.readers_by(self.rules)

    def readers_by(self, rules: "Rules") -> "Readers":
        """How raw reports are read by these rules."""
        from jlgc_mailer.feedback.webhooks import read_webhook
        from jlgc_mailer.mail.reports.read import read_report

        posts = {form: partial(read_webhook, form, rules=rules) for form in ReportForm}
        return {**posts, ReportForm.MESSAGE: lambda body: read_report(body, rules)}

    @cached_property
    def webhooks(self) -> "Mapping[str, Webhook]":
        """Where providers post feedback, by name. Only the web process needs what verifies their signatures."""
        from jlgc_mailer.settings.webhooks import read_webhooks

        return read_webhooks(self.settings)

    @cached_property
    def mailboxes(self) -> "Sequence[Mailbox]":
        """Where reports are collected from."""
        from jlgc_mailer.settings.mailboxes import read_mailboxes

        return read_mailboxes(self.settings)

    @cached_property
    def collector(self) -> "Collector":
        """Collects them."""
        from jlgc_mailer.feedback.mailboxes.collect import Collector

        return Collector(self.database, self.settings.bounce_domain, self.clock, self.stopping.is_set)

    @cached_property
    def stopping(self) -> StopSign:
        """Set when this process and those forked from it are to end."""
        return StopSign()

    @cached_property
    def queue(self) -> Celery:
        """The broker's client. Workers add the tasks; everybody else only names them."""
        own = self.settings
        app = Celery("jlgc_mailer", broker=own.broker_url, set_as_current=False)
        app.conf.update(
            task_ignore_result=True,
            task_acks_late=True,
            # Short tasks and urgent sends have queues of their own: they do not wait behind the batches of a long one.
            task_queues={_SHORT: {}, _QUEUES[Priority.URGENT]: {}, _QUEUES[Priority.NORMAL]: {}},
            task_default_queue=_QUEUES[Priority.NORMAL],
            task_routes={name: {"queue": _SHORT} for name in (TICK_TASK, READ_TASK, JUDGE_TASK, COLLECT_TASK)},
            worker_prefetch_multiplier=1,
            worker_hijack_root_logger=False,
            broker_connection_retry_on_startup=True,
            broker_transport_options=_REDIS_OPTIONS if own.has_redis else _MEMORY_OPTIONS,
            beat_schedule={
                # A tick that waited for a busy worker is no use when the next one is there.
                "tick": {
                    "task": TICK_TASK,
                    "schedule": own.tick_seconds,
                    "options": {"expires": 3 * own.tick_seconds},
                },
                "collect": {
                    "task": COLLECT_TASK,
                    "schedule": _COLLECT_SECONDS,
                    "options": {"expires": 3 * _COLLECT_SECONDS},
                },
            },
            beat_schedule_filename=str(own.home / "beat-schedule"),
        )
        return app

    def nudge(self, task: str) -> None:
        """Tell a worker, after the commit, that there is work; a message that is lost only costs time (promise 4)."""
        with self._broker_reachable():
            self.queue.send_task(task, retry=False, expires=3600)

    def nudge_delivery(self, priority: Priority, times: int) -> None:
        """Tell so many workers that batches wait. They are announced again before these messages expire."""
        with self._broker_reachable():
            for _ in range(times):
                self.queue.send_task(DELIVER_TASK, queue=_QUEUES[priority], retry=False, expires=_NUDGE_EXPIRES)

    def require_broker(self) -> None:
        """Raise Unreachable unless the broker answers."""
        with self._broker_reachable(), self.queue.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=5)

    @contextmanager
    def _broker_reachable(self) -> Iterator[None]:
        try:
            yield
        except (BrokerError, OSError) as error:
            raise Unreachable(
                service="broker",
                place=self.queue.connection_for_write().as_uri(),
                problem=str(error).strip().rstrip("."),
                remedy="Start Redis, or correct JLGC_MAILER_BROKER_URL.",
            ) from error


def templates_folder() -> Path:
    """The templates: inside the installed package, or beside `src` in a checkout."""
    return _beside("templates")


def examples_folder() -> Path:
    """The sample issue that the demo sends."""
    return _beside("examples")


def _beside(name: str) -> Path:
    package = Path(__file__).parent
    return package / name if (package / name).is_dir() else package.parents[1] / name
