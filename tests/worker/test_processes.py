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

from sqlalchemy import select

from jlgc_mailer.bootstrap import Mailer, utc_now
from jlgc_mailer.db.sending import Batch, Send
from jlgc_mailer.sending.progress import Account, account
from jlgc_mailer.states import BatchStatus, DeliveryStatus, Priority, SendStatus, UncertainPolicy
from tests import factories
from tests.fakes import Receiver, listening

_PROGRAM = Path(sys.executable).with_name("jlgc-mailer")
_PATIENCE = 60
_READERS = 120
_CONNECTIONS = 10


def test_killed_workers_lose_nobody_and_resend_to_nobody_unasked(
    make_mailer: Callable[..., Mailer], pair: dict[str, str], tmp_path: Path
) -> None:
    """Promise 1: `kill -9` in the middle of batches; the uncertain are at most the windows on the wire."""
    with ExitStack() as stack:
        receiver = stack.enter_context(listening(Receiver(latency=0.01)))
        mailer = make_mailer(clock=utc_now, smtp_port=receiver.port)
        send_id = _scheduled(mailer)
        for round_ in range(2):
            with _running(mailer, pair, tmp_path) as processes:
                _wait_for(lambda goal=15 + 25 * round_: len(receiver.received) >= goal)
                for process in processes:
                    os.killpg(process.pid, signal.SIGKILL)
        with _running(mailer, pair, tmp_path):
            _wait_for(lambda: _account(mailer, send_id).status is SendStatus.FINISHED)
        numbers = _account(mailer, send_id)
    accepted, uncertain = numbers.count(DeliveryStatus.ACCEPTED), numbers.count(DeliveryStatus.UNCERTAIN)
    assert accepted + uncertain == numbers.total == _READERS
    assert max(Counter(receiver.addresses).values()) == 1
    assert accepted <= len(set(receiver.addresses)) <= accepted + uncertain
    assert 0 < uncertain <= 2 * 2 * _CONNECTIONS  # kills, processes


def test_told_to_end_it_hears_the_replies_it_waits_for_and_gives_the_rest_back(
    make_mailer: Callable[..., Mailer], pair: dict[str, str], tmp_path: Path
) -> None:
    """SIGTERM to a worker, SIGINT to `serve`, in the middle of slow batches: nobody is uncertain, nobody waits."""
    with ExitStack() as stack:
        receiver = stack.enter_context(listening(Receiver(latency=0.3)))
        mailer = make_mailer(clock=utc_now, smtp_port=receiver.port)
        send_id = _scheduled(mailer)
        with _running(mailer, pair, tmp_path) as processes:
            _wait_for(lambda: len(receiver.received) >= 15)
            began = time.monotonic()
            processes[0].send_signal(signal.SIGTERM if _is_scaled(pair) else signal.SIGINT)
            processes[0].wait(_PATIENCE)
            took = time.monotonic() - began
        numbers, got = _account(mailer, send_id), set(receiver.addresses)
        with mailer.database.reading() as session:
            held = session.scalars(select(Batch.id).where(Batch.status == BatchStatus.CLAIMED)).all()
        with _running(mailer, pair, tmp_path):
            _wait_for(lambda: _account(mailer, send_id).status is SendStatus.FINISHED)
    assert took < 5
    assert numbers.count(DeliveryStatus.ACCEPTED) == len(got)
    assert numbers.count(DeliveryStatus.PENDING) == _READERS - len(got) > 0
    assert not held
    assert Counter(receiver.addresses) == Counter(f"r{number}@example.com" for number in range(_READERS))


def test_an_urgent_send_does_not_wait_for_the_turns_of_a_long_one(
    make_mailer: Callable[..., Mailer], pair: dict[str, str], tmp_path: Path
) -> None:
    """Every worker is busy with a send that lasts for long; the urgent one is through in the middle of it."""
    with ExitStack() as stack:
        receiver = stack.enter_context(listening(Receiver(latency=1)))
        mailer = make_mailer(clock=utc_now, smtp_port=receiver.port)
        long_one = _scheduled(mailer)
        stack.enter_context(_running(mailer, pair, tmp_path, smtp_connections=2))
        _wait_for(lambda: len(receiver.received) >= 10)
        urgent = _scheduled(mailer, "urgent", readers=2, priority=Priority.URGENT)
        began = time.monotonic()
        _wait_for(lambda: _account(mailer, urgent).count(DeliveryStatus.ACCEPTED) == 2)
        took = time.monotonic() - began
        numbers = _account(mailer, long_one)
    assert took < 8
    assert numbers.count(DeliveryStatus.PENDING) > 0


def _scheduled(
    mailer: Mailer, name: str = "news", readers: int = _READERS, priority: Priority = Priority.NORMAL
) -> int:
    prefix = "r" if priority is Priority.NORMAL else "urgent"
    with mailer.database.transaction() as session:
        its = factories.mailing_list(session, name)
        for number in range(readers):
            factories.subscriber(session, its, f"{prefix}{number}@example.com")
        revision = factories.issue(session, mailer)
        policy = UncertainPolicy.HOLD
        return factories.send(
            session, mailer, revision, [its], planned=False, batch_size=30, on_uncertain=policy, priority=priority
        ).id


def _account(mailer: Mailer, send_id: int) -> Account:
    with mailer.database.reading() as session:
        return account(session, session.get_one(Send, send_id))


def _is_scaled(pair: dict[str, str]) -> bool:
    return pair["broker_url"].startswith("redis")


@contextmanager
def _running(
    mailer: Mailer, pair: dict[str, str], home: Path, **others: object
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The installation's processes: `serve` on SQLite, worker and beat on PostgreSQL."""
    commands = [["worker", "--concurrency", "2"], ["beat"]] if _is_scaled(pair) else [["serve", "--port", "0"]]
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
            **others,
        }.items()
    }
    with (home / "processes.log").open("ab") as log:
        started = [
            subprocess.Popen([_PROGRAM, *command], env=environment, stdout=log, stderr=log, start_new_session=True)
            for command in commands
        ]
    try:
        yield started
    finally:
        for process in started:
            process.terminate()
            process.wait(_PATIENCE)


def _wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)
