"""Real worker processes of the product, each in a home of its own, and what a send through one of them takes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.installation import Installation, accepted
from bench.programs import family, running
from jlgc_mailer.bootstrap import Mailer, utc_now
from jlgc_mailer.db.sending import Send
from jlgc_mailer.mail.dkim_keys import FOLDER, Algorithm, new_key, write_key
from jlgc_mailer.settings.environment import PREFIX
from jlgc_mailer.states import Priority

_PRODUCT = (Path(sys.executable).with_name("jlgc-mailer"), "worker", "--concurrency", "1")
_WITH_ED25519 = (sys.executable, "-m", "bench.ed25519_worker")
_KEYS = {"": (), "rsa": (Algorithm.RSA,), "ed25519": (Algorithm.RSA, Algorithm.ED25519)}
_IMPORTS = """
import celery.apps.worker, celery.concurrency.prefork, kombu.transport.redis, sqlalchemy.orm, psycopg, pydantic_settings
import sqlalchemy.dialects.postgresql.psycopg
status = open("/proc/self/status").read()
print(status.partition("VmRSS:")[2].split()[0])
"""
_PATIENCE = 120
_GLANCE = 0.1  # seconds; looking more often would take time from the worker


@dataclass(frozen=True)
class Worker:
    """A worker process and its log, and the installation as seen from here."""

    mailer: Mailer
    pid: int
    log: Path

    @property
    def child(self) -> int:
        """The forked process that does the work."""
        return family(self.pid)[1]

    @property
    def is_ready(self) -> bool:
        """Whether it takes tasks."""
        return " ready." in self.log.read_text(errors="replace")

    @property
    def tasks_done(self) -> int:
        """How many tasks it has done since it was started."""
        return self.log.read_text(errors="replace").count(" succeeded in ")

    def wait_until_done(self, tasks: int) -> None:
        """Returns when it has done so many tasks."""
        _wait_for(lambda: self.tasks_done >= tasks, f"what {self.log} tells")

    def send(self, send_id: int, messages: int) -> float:
        """The seconds from the nudge until the last outcome is in the ledger, by the ledger's own account."""
        began = utc_now()
        self.mailer.nudge_delivery(Priority.NORMAL, 1)
        _wait_for(lambda: _finished_at(self.mailer, send_id) is not None, f"the end of send {send_id}", _GLANCE)
        finished_at = _finished_at(self.mailer, send_id)
        assert finished_at is not None
        assert accepted(self.mailer, send_id) == messages
        return (finished_at - began).total_seconds()


@contextmanager
def started(installed: Installation, home: str, smtp_port: int) -> Iterator[Worker]:
    """A worker that begins to start now, with the keys that its home is named after. A task waits for it."""
    mailer = installed.mailer(home, smtp_port)
    _write_keys(mailer, home)
    mailer.nudge_delivery(Priority.NORMAL, 1)
    settings = installed.settings(home, smtp_port)
    environment = os.environ | {f"{PREFIX}{name}".upper(): value for name, value in settings.items()}
    command = _WITH_ED25519 if home == "ed25519" else _PRODUCT
    log = mailer.settings.home / "worker.log"
    with log.open("wb") as stream, running(command, environment, stderr=stream) as process:
        yield Worker(mailer, process.pid, log)


@contextmanager
def ready(installed: Installation, home: str, smtp_port: int) -> Iterator[Worker]:
    """A worker that has done its first task."""
    with started(installed, home, smtp_port) as worker:
        worker.wait_until_done(1)
        yield worker


def readiness(installed: Installation, smtp_port: int) -> tuple[float, float]:
    """The seconds from its start until a worker takes tasks, and until it has done one."""
    began = time.perf_counter()
    with started(installed, "", smtp_port) as worker:
        _wait_for(lambda: worker.is_ready, f"what {worker.log} tells")
        takes = time.perf_counter() - began
        worker.wait_until_done(1)
        return takes, time.perf_counter() - began


def imports_alone() -> tuple[float, float]:
    """What no worker can be below: the seconds and the megabytes of a process that imports its libraries and ends."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _IMPORTS], check=True, capture_output=True)
    return time.perf_counter() - began, int(done.stdout) / 1024


def _write_keys(mailer: Mailer, home: str) -> None:
    folder = mailer.settings.home / FOLDER
    if not folder.exists():
        for algorithm in _KEYS[home]:
            write_key(folder, new_key(algorithm, mailer.settings.signing_domain, f"bench-{algorithm}"))


def _wait_for(condition: Callable[[], bool], what: str, glance: float = 0.01) -> None:
    give_up = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > give_up:
            raise TimeoutError(f"{_PATIENCE} seconds are over, without {what}")
        time.sleep(glance)


def _finished_at(mailer: Mailer, send_id: int) -> datetime | None:
    with mailer.database.reading() as session:
        return session.get_one(Send, send_id).finished_at
