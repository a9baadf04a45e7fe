"""Running worker and beat: as processes of their own, or both inside another one (embedded)."""

import contextlib
import threading
from collections.abc import Iterator

import celery.worker.state
from celery.apps.beat import Beat
from celery.beat import EmbeddedService
from celery.signals import worker_shutting_down
from celery.worker import WorkController

from jlgc_mailer.bootstrap import TICK_TASK, Mailer
from jlgc_mailer.sending.claim import forget_nudges
from jlgc_mailer.worker.tasks import with_tasks

_READY_SECONDS = 20
_STOP_SECONDS = 60


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
    mailer.database.close()  # the forked processes must not share a connection that this one opened
    # Told to end, the forked processes stop sending within a moment and give their batches back.
    stopping = mailer.stopping  # made before they are forked, or they would not share it
    worker_shutting_down.connect(lambda **_: stopping.set(), weak=False)
    return int(with_tasks(mailer).worker_main(arguments) or 0)


def run_beat(mailer: Mailer) -> None:
    """The clock of the installation until it is told to stop. One is enough; two do no harm."""
    Beat(app=with_tasks(mailer), loglevel="INFO", quiet=True).run()


@contextlib.contextmanager
def embedded(mailer: Mailer) -> Iterator[None]:
    """A worker on threads and a beat inside this process, for as long as the block lasts."""
    with mailer.database.transaction() as session:
        forget_nudges(session)
    app = with_tasks(mailer)
    app.set_default()  # threads of the pool look their tasks up in the process's default application
    ready = threading.Event()
    # The bare controller: it neither prints a banner nor takes over this process's logging and output.
    worker = WorkController(
        app=app,
        pool="threads",
        concurrency=mailer.settings.worker_concurrency,
        hostname="embedded",
        ready_callback=lambda _consumer: ready.set(),
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    thread = threading.Thread(target=worker.start, name="worker", daemon=True)
    beat = EmbeddedService(app, thread=True)
    thread.start()
    ready.wait(_READY_SECONDS)
    beat.start()
    try:
        yield
    finally:
        mailer.stopping.set()
        beat.stop()
        celery.worker.state.should_stop = 0
        mailer.nudge(TICK_TASK)  # the worker looks at should_stop after a message, or else every two seconds
        thread.join(_STOP_SECONDS)
        celery.worker.state.should_stop = None
