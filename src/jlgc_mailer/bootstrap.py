"""The composition root: puts the parts together from settings. Shells take a Mailer and nothing else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from celery import Celery
from kombu.exceptions import OperationalError as BrokerError

from jlgc_mailer.content.issues import Press
from jlgc_mailer.db.base import Database
from jlgc_mailer.db.migrate import require_current
from jlgc_mailer.errors import Unreachable
from jlgc_mailer.mail.tokens import Keyring
from jlgc_mailer.render.source import Site
from jlgc_mailer.sending.deliver import Means
from jlgc_mailer.sending.letters import Identity
from jlgc_mailer.sending.outcomes import RetryPolicy
from jlgc_mailer.sending.transports import Transport
from jlgc_mailer.sending.transports.smtp import Relay, SmtpTransport
from jlgc_mailer.settings import Settings
from jlgc_mailer.states import Language

DELIVER_TASK = "jlgc_mailer.deliver"
TICK_TASK = "jlgc_mailer.tick"
JUDGE_TASK = "jlgc_mailer.judge"

# Redis gives unacknowledged messages back only after this time; the ledger does not wait for it (promise 4).
_REDIS_OPTIONS = {"visibility_timeout": 300, "socket_connect_timeout": 5, "socket_timeout": 30}
_MEMORY_OPTIONS = {"polling_interval": 0.05}


def utc_now() -> datetime:
    """The clock of everything that runs for real."""
    return datetime.now(UTC)


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
    def press(self) -> Press:
        """What compiling an edition needs."""
        own = self.settings
        organisation = {Language.ENGLISH: own.organisation_en, Language.JAPANESE: own.organisation_ja}
        return Press(Site(own.public_url, organisation, own.postal_address, own.contact), templates_folder())

    def open_transport(self) -> Transport:
        """The way out; it connects when the first letter is handed over."""
        own = self.settings
        relay = Relay(
            host=own.smtp_host,
            port=own.smtp_port,
            security=own.smtp_security,
            user=own.smtp_user,
            password=own.smtp_password.get_secret_value(),
            ehlo_name=own.smtp_ehlo_name or None,
            timeout=own.smtp_timeout,
            messages_per_connection=own.smtp_messages_per_connection,
        )
        return SmtpTransport(relay, self.clock)

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
        hold = timedelta(seconds=own.hold_seconds)
        return Means(self.database, self.identity, self.open_transport, self.clock, retry, own.lease, hold)

    @cached_property
    def queue(self) -> Celery:
        """The broker's client. Workers add the tasks; everybody else only names them."""
        own = self.settings
        app = Celery("jlgc_mailer", broker=own.broker_url, set_as_current=False)
        app.conf.update(
            task_ignore_result=True,
            task_acks_late=True,
            # Short tasks have a queue of their own: they must not wait behind the batches of a long send.
            task_queues={"jlgc_mailer.short": {}, "jlgc_mailer": {}},
            task_default_queue="jlgc_mailer",
            task_routes={name: {"queue": "jlgc_mailer.short"} for name in (TICK_TASK, JUDGE_TASK)},
            worker_prefetch_multiplier=1,
            worker_hijack_root_logger=False,
            broker_connection_retry_on_startup=True,
            broker_transport_options=_MEMORY_OPTIONS if own.broker_url.startswith("memory:") else _REDIS_OPTIONS,
            beat_schedule={
                # A tick that waited for a busy worker is no use when the next one is there.
                "tick": {
                    "task": TICK_TASK,
                    "schedule": own.tick_seconds,
                    "options": {"expires": 3 * own.tick_seconds},
                }
            },
            beat_schedule_filename=str(own.home / "beat-schedule"),
        )
        return app

    def nudge(self, task: str, times: int = 1) -> None:
        """Tell a worker, after the commit, that there is work; a message that is lost only costs time (promise 4)."""
        with self._broker_reachable():
            for _ in range(times):
                self.queue.send_task(task, retry=False, expires=3600)

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
