"""`make bench-send`: sending against smtp-source, a naive sender and smtplib; each ratio from the same minute and sink.

ARGS=--quick takes a minute, and its numbers only show that everything works.
"""

import argparse
import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median

from bench import ledger, parts, postfix, wire
from bench.ed25519_worker import Ed25519Mailer
from bench.installation import (
    Installation,
    add_issue,
    add_readers,
    durability,
    installation,
    planned,
    recipient,
    stationery,
)
from bench.naive import NaiveSender
from bench.programs import resident_megabytes
from bench.rounds import seconds_of
from bench.rows import TITLE, Row, ratio_of
from bench.workers import Worker, imports_alone, readiness, ready
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.mail.dkim import Signer
from jlgc_mailer.render.source import Compiled

_BATCH = 500
_LEDGER_BATCH = 100
_SIGNING = {"": "no DKIM", "ed25519": "Ed25519 *", "rsa": "RSA-2048"}


@dataclass(frozen=True)
class Volume:
    """How much is measured: messages by size, those of the naive sender, batches of the ledger, seconds on a line."""

    rounds: int
    sizes: dict[int, int]
    naive: int
    batches: int
    seconds: float


FULL = Volume(7, {25_000: 10_000, 62_000: 5_000, 80_000: 4_000}, 150, 2_000, 2.0)
QUICK = Volume(1, {25_000: 1_000, 62_000: 500, 80_000: 400}, 20, 100, 0.8)
_AIMS = {25_000: ">= 0.35", 62_000: ">= 0.6", 80_000: ">= 0.7"}


class Bench:
    """A sink, an installation with a list and an issue for each size, and the rows measured on them."""

    def __init__(self, stack: ExitStack, volume: Volume) -> None:
        self.volume = volume
        self.port = stack.enter_context(postfix.sink())
        self.installed: Installation = stack.enter_context(installation())
        self.mailer: Mailer = self.installed.mailer("", self.port)
        stack.callback(self.mailer.database.close)
        self.editions: dict[int, Compiled] = {}
        for size, number in volume.sizes.items():
            self.editions[size] = add_issue(self.mailer, _slug(size), size)
            add_readers(self.mailer, _slug(size), number)

    def sends(self, workers: dict[str, Worker]) -> Iterator[Row]:
        """The whole product against smtp-source and a naive sender."""
        for worker in workers.values():
            self._send(worker, next(iter(self.volume.sizes)))  # not counted: its caches fill
        for size, number in self.volume.sizes.items():
            naive = NaiveSender(self.installed.database.replace("+psycopg", ""), self.editions[size])
            works = {"source": partial(postfix.source, self.port, number, self._on_wire(size))}
            works |= {name: partial(self._send, worker, size) for name, worker in workers.items()}
            works["naive"] = partial(seconds_of, partial(naive.send, self.port, self.volume.naive))
            taken = self._rounds(works)
            yield from self._compared(size, taken)

    def _compared(self, size: int, taken: dict[str, list[float]]) -> Iterator[Row]:
        number, naive = self.volume.sizes[size], self.volume.naive
        theirs = f"{number / median(taken['source']):,.0f}/s"
        aims = {"": ">= 1.0", "ed25519": ">= 0.95", "rsa": _AIMS[size]}
        for name, signing in _SIGNING.items():
            ours = f"{number / median(taken[name]):,.0f}/s"
            what = f"whole product, {signing}, {size // 1000} KB, against smtp-source"
            yield Row(what, ours, theirs, ratio_of(taken[name], taken["source"]), aims[name])
        each = [[seconds / count for seconds in taken[name]] for name, count in (("", number), ("naive", naive))]
        ours, theirs = (f"{1 / median(its):,.0f}/s" for its in each)
        what = f"whole product, no DKIM, {size // 1000} KB, against a naive sender"
        yield Row(what, ours, theirs, ratio_of(*each), ">= 25")

    def _rounds(self, works: dict[str, partial[float]]) -> dict[str, list[float]]:
        taken: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(self.volume.rounds):
            for name, work in works.items():
                taken[name].append(work())
        return taken

    def _send(self, worker: Worker, size: int) -> float:
        send_id = planned(self.mailer, _slug(size), _slug(size), _BATCH)
        return worker.send(send_id, self.volume.sizes[size])

    def _on_wire(self, size: int) -> int:
        return len(stationery(self.mailer, self.editions[size]).letter(recipient(1_000_000)).content)

    def latencies(self) -> Iterator[Row]:
        """One connection and many, to a sink that is far away."""
        letter = stationery(self.mailer, next(iter(self.editions.values()))).letter(recipient(1_000_000))
        yield from wire.rows(self.port, letter, self.volume.rounds, self.volume.seconds)

    def claims(self) -> Iterator[Row]:
        """The ledger alone."""
        add_readers(self.mailer, "ledger", self.volume.batches * _LEDGER_BATCH)
        slug = _slug(next(iter(self.editions)))
        with self.installed.unhurried() as mailer:
            yield from ledger.rows(mailer, slug, "ledger", _LEDGER_BATCH, self.volume.rounds)

    def starts(self) -> Iterator[Row]:
        """How soon a worker works."""
        started = [readiness(self.installed, self.port) + imports_alone() for _ in range(self.volume.rounds)]
        takes, has_done, floor, megabytes = (median(each) for each in zip(*started, strict=True))
        yield Row(
            "worker ready after start, against its libraries' import", f"{takes:.2f} s", f"{floor:.2f} s", None, "< 1 s"
        )
        yield Row("worker has done a task after start", f"{has_done:.2f} s", "", None, "")
        yield Row("resident memory of a process that imports the libraries", "", f"{megabytes:.0f} MB", None, "")

    def details(self, worker: Worker) -> Iterator[str]:
        """Where the time goes."""
        yield parts.TITLE
        for size in self.volume.sizes:
            for name, signing in _SIGNING.items():
                send_id = planned(self.mailer, _slug(size), _slug(size), _BATCH)
                signer = self._signer(name)
                yield parts.of_a_send(self.installed, self.mailer, signer, send_id, f"{size // 1000} KB, {signing}")
        yield parts.of_celery(worker, next(iter(self.volume.sizes.values())))

    def _signer(self, name: str) -> Signer | None:
        mailer = self.installed.mailer(name)
        signer = Ed25519Mailer(mailer.settings).signer if name == "ed25519" else mailer.signer
        assert signer is None or isinstance(signer, Signer)
        return signer


def _slug(size: int) -> str:
    return f"kb{size // 1000}"


def memory(worker: Worker, when: str) -> Iterator[Row]:
    """What the two processes of a worker hold."""
    for name, pid in (("master", worker.pid), ("child", worker.child)):
        yield Row(f"resident memory, {name}, {when}", f"{resident_megabytes(pid):.0f} MB", "", None, "< 80 MB")


def run(volume: Volume) -> Iterator[object]:
    """All lines, as they become known."""
    with ExitStack() as stack:
        bench = Bench(stack, volume)
        yield f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
        yield f"{durability(bench.mailer)}; {volume.rounds} rounds"
        yield TITLE
        yield from bench.starts()
        workers = {name: stack.enter_context(ready(bench.installed, name, bench.port)) for name in _SIGNING}
        yield from memory(workers[""], "before a send")
        yield from bench.sends(workers)
        yield from memory(workers[""], "after many sends")
        yield from bench.latencies()
        yield from bench.claims()
        yield "* RSA left out of the signer: the product signs with Ed25519 only beside RSA (RFC 8463)"
        yield from bench.details(workers[""])
        yield f"load at the end: {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small round")
    postfix.require()
    for line in run(QUICK if parser.parse_args().quick else FULL):
        print(line, flush=True)
