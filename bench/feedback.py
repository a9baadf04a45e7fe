"""`make bench-feedback`: reading reports against the standard library's parser; 100,000 reports from store to verdict.

Reading is measured in time of the processor, all else in time that passes. ARGS=--quick takes half a minute, and its
numbers only show that everything works.
"""

import argparse
import logging
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import compat32
from pathlib import Path
from statistics import median

from bench.installation import durability, installation
from bench.intake import Intake, Taken
from bench.reports import About, report
from bench.rows import TITLE, Row, ratio_of
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.migrate import migrate
from jlgc_mailer.mail.reports.read import read_report
from jlgc_mailer.mail.reports.rules import default_rules
from jlgc_mailer.settings import read_settings


@dataclass(frozen=True)
class Volume:
    """How much is measured: reports that are read in a round, and that are judged; those with a commit for each."""

    rounds: int
    read: int
    judged: int
    singly: int


FULL = Volume(rounds=7, read=1_000, judged=100_000, singly=2_000)
QUICK = Volume(rounds=1, read=100, judged=2_000, singly=200)
_MIX = {3_000: 12, 6_000: 6, 60_000: 2}  # parts of twenty: most relays return only the headers of a letter
_ABOUT = About("b+gaexq3vdsfrk2@bounce.example.org", "reader@example.com", "gaexq3vdsfrk2@news.example.org")


def readings(volume: Volume) -> Iterator[Row]:
    """Reading reports and telling their class, by size, on one processor."""
    sizes = {f"{size // 1000} KB": [size] for size in _MIX}
    sizes["a mix of them"] = [size for size, parts in _MIX.items() for _ in range(parts)]
    for name, these in sizes.items():
        reports = [report(number, _ABOUT, these[number % len(these)]) for number in range(volume.read)]
        _read_all(reports[:1])  # not counted: the rules are read
        ours, theirs = _rounds(volume.rounds, reports, _read_all, _parse_all)
        our_speed, their_speed = (f"{volume.read / median(its):,.0f}/s" for its in (ours, theirs))
        what = f"read_report, {name}, against the email parser alone"
        yield Row(what, our_speed, their_speed, ratio_of(ours, theirs), ">= 1,000/s" if len(these) > 1 else "")


def _rounds(
    rounds: int, reports: Sequence[bytes], *works: Callable[[Sequence[bytes]], None]
) -> tuple[list[float], ...]:
    """The seconds of processor time of each, in turns."""
    taken: tuple[list[float], ...] = tuple([] for _ in works)
    for _ in range(rounds):
        for work, seconds in zip(works, taken, strict=True):
            began = time.process_time()
            work(reports)
            seconds.append(time.process_time() - began)
    return taken


def _read_all(reports: Sequence[bytes]) -> None:
    rules = default_rules()
    for each in reports:
        read_report(each, rules)


def _parse_all(reports: Sequence[bytes]) -> None:
    parser = BytesParser(policy=compat32)
    for each in reports:
        parser.parsebytes(each)


def intake(database: str, stages: Iterable[Taken], known: list[Taken]) -> Iterator[Row]:
    """What the stages take, one by one and together; each is added to what is known."""
    for taken in stages:
        known.append(taken)
        what, end, tenth = f"{database}: {taken.name}", taken.ended_with, taken.began_with
        yield Row(f"{what}, {taken.number:,} reports", f"{taken.number / taken.elapsed:,.0f}/s", "", None, "")
        yield Row(f"{what}: memory at its end, after a tenth", f"{end:.0f} MB", f"{tenth:.0f} MB", end / tenth, "1.0")
    together = sum(taken.elapsed / taken.number for taken in known[1:])  # the first stage is another way to store
    yield Row(f"{database}: from store to verdict", f"{1 / together:,.0f}/s", "", None, "")


def _line(name: str, *cells: str) -> str:
    return f"{name:<42}" + "".join(f"{cell:>13}" for cell in cells)


def details(database: str, stages: Sequence[Taken]) -> Iterator[str]:
    """Where the time goes: of a report, in each stage."""
    yield _line(f"{database}: time of a report, in µs", "elapsed", "here", "read_report", "PostgreSQL")
    for taken in stages:
        shares = taken.elapsed, taken.here, taken.reading, taken.server
        yield _line(taken.name, *(f"{each / taken.number * 1e6:.0f}" for each in shares))


@contextmanager
def _on_sqlite() -> Iterator[Mailer]:
    with tempfile.TemporaryDirectory(prefix="mailer-bench-") as folder:
        mailer = Mailer(read_settings(Path(folder), secret_keys="a key for benchmarks that is long enough"))
        migrate(mailer.database)
        with closing(mailer.database):
            yield mailer


def run(volume: Volume) -> Iterator[object]:
    """All lines, as they become known."""
    yield f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
    yield TITLE
    yield from readings(volume)
    on_sqlite: list[Taken] = []
    with _on_sqlite() as mailer:
        yield from intake("SQLite", Intake(mailer, volume.judged, None).stages(volume.singly), on_sqlite)
    on_postgresql: list[Taken] = []
    with installation() as installed:
        mailer = installed.mailer()
        with closing(mailer.database):
            yield durability(mailer)
            stages = Intake(mailer, volume.judged, installed.postmaster).stages(volume.singly)
            yield from intake("PostgreSQL", stages, on_postgresql)
    yield from details("SQLite", on_sqlite)
    yield from details("PostgreSQL", on_postgresql)
    yield f"load at the end: {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small round")
    logging.disable(logging.WARNING)  # that the sends which are made up here are blocked somewhere
    for line in run(QUICK if parser.parse_args().quick else FULL):
        print(line, flush=True)
