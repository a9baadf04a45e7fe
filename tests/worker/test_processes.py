"""Real worker processes, killed as only the kernel kills."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from jlgc_mailer.bootstrap import Mailer, utc_now
from jlgc_mailer.db.sending import Send
from jlgc_mailer.sending.progress import Account, account
from jlgc_mailer.states import DeliveryStatus, SendStatus, UncertainPolicy
from tests import factories
from tests.fakes import Receiver, listening

_PROGRAM = Path(sys.executable).with_name("jlgc-mailer")
_PATIENCE = 60
_READERS = 120
_WINDOW = 10


def test_killed_workers_lose_nobody_and_resend_to_nobody_unasked(
    make_mailer: Callable[..., Mailer], pair: dict[str, str], tmp_path: Path
) -> None:
    """Promise 1: `kill -9` in the middle of batches; the uncertain are at most the windows on the wire."""
    with ExitStack() as stack:
        receiver = stack.enter_context(listening(Receiver(latency=0.01)))
        mailer = make_mailer(clock=utc_now, smtp_port=receiver.port)
        send_id = _scheduled(mailer)
        for round_ in range(2):
            with _running(mailer, pair, tmp_path) as kill:
                _wait_for(lambda goal=15 + 25 * round_: len(receiver.received) >= goal)
                kill()
        with _running(mailer, pair, tmp_path):
            _wait_for(lambda: _account(mailer, send_id).status is SendStatus.FINISHED)
        numbers = _account(mailer, send_id)
    accepted, uncertain = numbers.count(DeliveryStatus.ACCEPTED), numbers.count(DeliveryStatus.UNCERTAIN)
    assert accepted + uncertain == numbers.total == _READERS
    assert max(Counter(receiver.addresses).values()) == 1
    assert accepted <= len(set(receiver.addresses)) <= accepted + uncertain
    assert 0 < uncertain <= 2 * _WINDOW * 2


def _scheduled(mailer: Mailer) -> int:
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        for number in range(_READERS):
            factories.subscriber(session, news, f"r{number}@example.com")
        revision = factories.issue(session, mailer)
        policy = UncertainPolicy.HOLD
        return factories.send(session, mailer, revision, [news], planned=False, batch_size=30, on_uncertain=policy).id


def _account(mailer: Mailer, send_id: int) -> Account:
    with mailer.database.reading() as session:
        return account(session, session.get_one(Send, send_id))


@contextmanager
def _running(mailer: Mailer, pair: dict[str, str], home: Path) -> Iterator[Callable[[], None]]:
    """The installation's processes: `serve` on SQLite, worker and beat on PostgreSQL; gives a way to kill them."""
    scaled = pair["broker_url"].startswith("redis")
    commands = [["worker", "--concurrency", "2"], ["beat"]] if scaled else [["serve", "--port", "0"]]
    environment = os.environ | {
        f"JLGC_MAILER_{name.upper()}": str(value)
        for name, value in {
            **pair,
            "home": home,
            "secret_keys": mailer.settings.secret_keys[0].get_secret_value(),
            "public_url": mailer.settings.public_url,
            "smtp_port": mailer.settings.smtp_port,
            "worker_concurrency": 2,
            "tick_seconds": 0.2,
            "lease_seconds": 2,
        }.items()
    }
    with (home / "processes.log").open("ab") as log:
        started = [
            subprocess.Popen([_PROGRAM, *command], env=environment, stdout=log, stderr=log, start_new_session=True)
            for command in commands
        ]

    def kill() -> None:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)

    try:
        yield kill
    finally:
        for process in started:
            process.terminate()
            process.wait(_PATIENCE)


def _wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)
