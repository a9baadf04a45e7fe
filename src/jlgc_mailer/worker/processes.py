"""Running worker and beat: as processes of their own, or both inside another one (embedded)."""

import contextlib
import logging
import threading
from collections.abc import Iterator

import celery.worker.state
from celery import Celery
from celery.apps.beat import Beat
from celery.beat import EmbeddedService

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.worker.tasks import with_tasks

_QUIET_START = {"without_gossip": True, "without_mingle": True}
_READY_SECONDS = 20


def run_worker(mailer: Mailer, concurrency: int) -> int:
    """A worker process until it is told to stop; its exit status."""
    arguments = [
        "worker",
        f"--concurrency={concurrency}",
        "--pool=prefork",
        "--without-gossip",
        "--without-mingle",
        "--loglevel=INFO",
    ]
    return int(with_tasks(mailer).worker_main(arguments) or 0)


def run_beat(mailer: Mailer) -> None:
    """The clock of the installation until it is told to stop. One is enough; two do no harm."""
    Beat(app=with_tasks(mailer), loglevel="INFO", quiet=True).run()


@contextlib.contextmanager
def embedded(mailer: Mailer) -> Iterator[None]:
    """A worker on threads and a beat inside this process, for as long as the block lasts."""
    app = with_tasks(mailer)
    worker = app.Worker(pool="threads", concurrency=mailer.settings.worker_concurrency, loglevel=None, **_QUIET_START)
    ready = threading.Event()
    worker.on_consumer_ready = lambda _consumer: ready.set()
    thread = threading.Thread(target=worker.start, name="worker", daemon=True)
    beat = EmbeddedService(app, thread=True)
    thread.start()
    ready.wait(_READY_SECONDS)
    beat.start()
    try:
        yield
    finally:
        beat.stop()
        _stop(app, thread)


def _stop(app: Celery, thread: threading.Thread) -> None:
    celery.worker.state.should_stop = 0
    thread.join(_READY_SECONDS)
    celery.worker.state.should_stop = None
    logging.getLogger("jlgc_mailer.worker").debug("%s stopped", app.main)
