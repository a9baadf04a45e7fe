"""Where the time goes: the processor's time for each part of the work on one message."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from bench.installation import Installation, accepted
from bench.programs import cpu_seconds
from bench.workers import Worker
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.mail.dkim import Signer
from jlgc_mailer.sending.deliver import deliver_next
from jlgc_mailer.sending.journal import Journal
from jlgc_mailer.sending.letters import Stationery
from jlgc_mailer.states import Priority

_TASKS = 200


@dataclass
class _Watch:
    """The time of its thread that some work has taken."""

    seconds: float = 0
    calls: int = 0


@dataclass
class _Watches:
    letters: _Watch = field(default_factory=_Watch)
    signing: _Watch = field(default_factory=_Watch)
    journal: _Watch = field(default_factory=_Watch)


def of_a_send(installed: Installation, mailer: Mailer, signer: Signer | None, send_id: int, name: str) -> str:
    """One line about a send that is delivered here, in this process, without Celery.

    The wire has this thread, the bookkeeper the only other one, whose time is the ledger's.
    """
    server, watches = cpu_seconds(installed.postmaster), _Watches()
    with _watched(watches):
        began = time.thread_time(), time.process_time()
        deliver_next(replace(mailer.means, signer=signer))
        thread, process = time.thread_time() - began[0], time.process_time() - began[1]
    number = accepted(mailer, send_id)
    journal, signing = watches.journal.seconds, watches.signing.seconds
    merging, wire = watches.letters.seconds - signing, thread - watches.letters.seconds - journal
    server = cpu_seconds(installed.postmaster) - server
    shares = (merging, signing, journal, wire, process - thread, process, server)
    together = watches.journal.calls / number
    return _line(name, *(f"{each / number * 1e6:.1f}" for each in shares), f"{together:.2f}")


def _line(name: str, *cells: str) -> str:
    return f"{name:<42}" + "".join(f"{cell:>11}" for cell in cells)


TITLE = _line(
    "processor time of a message, in µs", "merge", "sign", "journal", "wire", "ledger", "all", "PostgreSQL", "writes"
)


def of_celery(worker: Worker, messages: int) -> str:
    """One line about what it takes to hand a task to a worker that then finds nothing to do."""
    used, began, before = cpu_seconds(worker.pid), time.perf_counter(), worker.tasks_done
    worker.mailer.nudge_delivery(Priority.NORMAL, _TASKS)
    worker.wait_until_done(before + _TASKS)
    taken, used = (time.perf_counter() - began) / _TASKS, (cpu_seconds(worker.pid) - used) / _TASKS
    return (
        f"Celery: a task that finds nothing to do takes {taken * 1e3:.2f} ms, of which the worker computes "
        f"{used * 1e3:.2f}; of that, each of {messages:,} messages of a turn bears {used / messages * 1e6:.2f} µs"
    )


@contextmanager
def _watched(watches: _Watches) -> Iterator[None]:
    with ExitStack() as stack:
        for owner, name, watch in (
            (Stationery, "letter", watches.letters),
            (Signer, "fields", watches.signing),
            (Journal, "note", watches.journal),
        ):
            stack.enter_context(patch.object(owner, name, _timed(getattr(owner, name), watch)))
        yield


def _timed(work: Callable[..., Any], watch: _Watch) -> Callable[..., Any]:
    """The same work, timed. A plain function, so that it becomes a method as the other did."""

    def timed(*arguments: Any, **named: Any) -> Any:
        began = time.thread_time()
        try:
            return work(*arguments, **named)
        finally:
            watch.seconds += time.thread_time() - began
            watch.calls += 1

    return timed
