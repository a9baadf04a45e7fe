"""Reports from the store to their verdicts, stage after stage, and the memory of this process meanwhile."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, func, insert, literal, select, text, update

from bench.programs import cpu_seconds, resident_megabytes
from bench.reports import REASONS, About, report
from jlgc_mailer.audience.subscriptions import Evidence, Person, confirm, person
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.people import Suppression
from jlgc_mailer.db.sending import Attempt, Delivery
from jlgc_mailer.feedback.judge import judge_waiting
from jlgc_mailer.feedback.reading import read_waiting
from jlgc_mailer.feedback.store import Inbound, store
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.mail.tokens import Purpose
from jlgc_mailer.mail.verp import envelope_sender
from jlgc_mailer.states import DeliveryStatus, ReportForm, Stage
from tests import factories

_SIZE = 3_000
_TOGETHER = 500  # reports that are stored in one commit
_PEOPLE = 10_000  # at a time
_EDGE = 10  # of so many parts of a stage the first and the last are compared
Step = Callable[[], int]


@dataclass
class Taken:
    """What a stage took of a number of reports: seconds on the clock, of our processor, in `read_report`, the server's.

    `began_with` and `ended_with` are megabytes of resident memory, after the first tenth and at the end.
    """

    name: str
    number: int = 0
    elapsed: float = 0
    here: float = 0
    reading: float = 0
    server: float = 0
    began_with: float = 0
    ended_with: float = 0


class Intake:
    """An installation whose send to so many was accepted by the relay; all of them come back."""

    def __init__(self, mailer: Mailer, number: int, server: int | None) -> None:
        self._mailer = mailer
        self._number = number
        self._server = server
        self._reading = 0.0
        self._readers = {form: self._timed(read) for form, read in mailer.readers.items()}
        _send(mailer, number)

    def stages(self, singly: int) -> Iterator[Taken]:
        """The stages in turn; of the reports, so many are stored with a commit for each."""
        inbound = self._inbound()
        yield self._measured("store singly", singly, self._storing(inbound, 1))
        yield self._measured(f"store by {_TOGETHER}", self._number - singly, self._storing(inbound, _TOGETHER))
        yield self._measured("read and match", self._number, _again(self._read))
        yield self._measured("judge", self._number, _again(self._judge))
        self._check()

    def _measured(self, name: str, number: int, steps: Iterator[Step]) -> Taken:
        """Only the steps themselves are timed."""
        taken, self._reading, server = Taken(name), 0.0, self._server_seconds()
        while taken.number < number:
            step = next(steps)
            elapsed, here = time.perf_counter(), time.process_time()
            done = step()
            taken.elapsed += time.perf_counter() - elapsed
            taken.here += time.process_time() - here
            taken.number += done
            assert done, f"{name}: nothing is left after {taken.number} of {number}"
            if not taken.began_with and taken.number >= number / _EDGE:
                taken.began_with = resident_megabytes(os.getpid())
        taken.ended_with = resident_megabytes(os.getpid())
        taken.reading, taken.server = self._reading, self._server_seconds() - server
        return taken

    def _server_seconds(self) -> float:
        return cpu_seconds(self._server) if self._server else 0.0

    def _timed(self, read: Callable[[bytes], tuple[Signal, ...]]) -> Callable[[bytes], tuple[Signal, ...]]:
        def timed(body: bytes) -> tuple[Signal, ...]:
            began = time.process_time()
            try:
                return read(body)
            finally:
                self._reading += time.process_time() - began

        return timed

    def _inbound(self) -> Iterator[Inbound]:
        keyring, domain = self._mailer.keyring, self._mailer.settings.bounce_domain
        with self._mailer.database.reading() as session:
            first = session.scalar(select(func.min(Delivery.id))) or 0
        for number in range(self._number):
            sender = envelope_sender(first + number, keyring, domain)
            message_id = f"{keyring.sign(Purpose.MESSAGE_ID, first + number)}@news.example.org"
            body = report(number, About(sender, _address(number), message_id), _SIZE)
            yield Inbound("bench", ReportForm.MESSAGE, body, envelope_to=sender)

    def _storing(self, inbound: Iterator[Inbound], together: int) -> Iterator[Step]:
        while batch := list(islice(inbound, together)):
            yield partial(self._store, batch)

    def _store(self, batch: Iterable[Inbound]) -> int:
        with self._mailer.database.transaction() as session:
            return sum(store(session, each, self._mailer.clock()) for each in batch)

    def _read(self) -> int:
        with self._mailer.database.transaction() as session:
            return read_waiting(session, self._readers, self._mailer.keyring, self._mailer.policy)

    def _judge(self) -> int:
        with self._mailer.database.transaction() as session:
            return judge_waiting(session, self._mailer.clock(), self._mailer.policy)

    def _check(self) -> None:
        """What was measured did its work: exactly those whom nobody knows are barred."""
        with self._mailer.database.reading() as session:
            barred = session.scalar(select(func.count(Suppression.id)))
        assert barred == sum(REASONS[number % len(REASONS)].is_hard for number in range(self._number))


def _again(step: Step) -> Iterator[Step]:
    while True:
        yield step


def _address(number: int) -> str:
    return f"r{number:06d}@example.com"


def _people(begin: int, end: int) -> list[Person]:
    return [person(_address(number), "Reader", "en") for number in range(begin, end)]


def _send(mailer: Mailer, number: int) -> None:
    """Everybody got a letter, of which the relay said that it took it. Deliveries are numbered as their readers are."""
    now, evidence = mailer.clock(), Evidence("bench", "I agreed in a benchmark")
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        for begin in range(0, number, _PEOPLE):
            confirm(session, _people(begin, min(begin + _PEOPLE, number)), news.id, evidence, now)
        factories.send(session, mailer, factories.issue(session, mailer), [news])
        session.execute(update(Delivery).values(status=DeliveryStatus.ACCEPTED, attempts=1, first_attempt_at=now))
        columns: dict[str, ColumnElement[Any]] = {
            "delivery_id": Delivery.id.expression,
            "number": literal(1),
            "at": literal(now, Attempt.at.type),
            "outcome": literal(DeliveryStatus.ACCEPTED.value),
            "stage": literal(Stage.CONTENT.value),
            "text": literal("250 Ok"),
            "transport": literal("relay"),
        }
        session.execute(insert(Attempt).from_select(list(columns), select(*columns.values())))
    with mailer.database.engine.begin() as connection:
        connection.execute(text("ANALYZE"))
