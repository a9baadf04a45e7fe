"""Our transport alone, and smtplib, over connections on which a round trip takes long."""

import os
import smtplib
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from statistics import median

from bench.delay import delayed
from bench.rows import Row
from jlgc_mailer.bootstrap import utc_now
from jlgc_mailer.sending.letters import Letter
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.sending.transports.smtp.relay import Relay, Security
from jlgc_mailer.sending.transports.smtp.wire import SmtpTransport
from jlgc_mailer.states import DeliveryStatus

_DIALOGUE = 4  # round trips of smtplib for a message: MAIL, RCPT, DATA, content
# At 10 ms a hundred connections would ask for more than one sink can take.
_ROUND_TRIPS = {0.01: (), 0.05: (10, 50, 100)}


class Prepared:
    """A supply of letters that are ready; it notes the moment of each outcome."""

    def __init__(self, letters: Sequence[Letter]) -> None:
        self._letters = list(reversed(letters))
        self._reader, self._writer = os.pipe()
        self.moments: list[float] = []
        self.is_stopped = False

    def close(self) -> None:
        """Let the descriptors go."""
        os.close(self._reader)
        os.close(self._writer)

    def fileno(self) -> int:
        """A descriptor that never becomes readable."""
        return self._reader

    def heard(self) -> None:
        """Nothing ever changes here."""

    def next(self) -> Letter | None:
        """The next letter."""
        return self._letters.pop() if self._letters else None

    @property
    def is_over(self) -> bool:
        """Whether that was the last."""
        return not self._letters

    def note(self, settled: Sequence[tuple[Letter, Outcome]], going_out: Sequence[Letter]) -> None:
        """Look at the clock."""
        assert all(outcome.status is DeliveryStatus.ACCEPTED for _, outcome in settled)
        self.moments += [time.perf_counter()] * len(settled)

    def put_back(self, letters: Sequence[Letter]) -> None:
        """Must not happen."""
        raise AssertionError(f"{len(letters)} letters came back")


def rows(port: int, letter: Letter, rounds: int, seconds: float) -> Iterator[Row]:
    """Messages a second, per connection and with many; each measurement lasts about so many seconds."""
    for round_trip, numbers in _ROUND_TRIPS.items():
        each = round(seconds / round_trip)
        with delayed(port, round_trip) as far:
            works = [
                partial(of_smtplib, far, letter, each // _DIALOGUE),
                *(partial(ours, far, letter, number * each, number) for number in (1, *numbers)),
            ]
            theirs, one, *many = zip(*([work() for work in works] for _ in range(rounds)), strict=True)
        place = f"round trip {round_trip * 1000:.0f} ms"
        yield _row(f"1 connection, {place}, against smtplib", one, theirs, ">= 3.8")
        for number, its in zip(numbers, many, strict=True):
            linear = [number * rate for rate in one]
            yield _row(f"{number} connections, {place}, against {number} times one", its, linear, "linear: 1")


def _row(what: str, its: Sequence[float], theirs: Sequence[float], aim: str) -> Row:
    ratio = median([a / b for a, b in zip(its, theirs, strict=True)])
    return Row(what, f"{median(its):,.1f}/s", f"{median(theirs):,.1f}/s", ratio, aim)


def ours(port: int, letter: Letter, number: int, connections: int) -> float:
    """Messages a second over so many connections."""
    relay = Relay("bench", "127.0.0.1", port, Security.NONE, connections=connections)
    with closing(Prepared([letter] * number)) as supply, closing(SmtpTransport(relay, utc_now)) as transport:
        trouble = transport.deliver(supply)
        assert trouble is None, str(trouble)
        return _rate(supply.moments)


def of_smtplib(port: int, letter: Letter, number: int) -> float:
    """Messages a second over one connection."""
    moments = []
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        for _ in range(number):
            smtp.sendmail(letter.envelope_sender, [letter.address], letter.content)
            moments.append(time.perf_counter())
    return _rate(moments)


def _rate(moments: Sequence[float]) -> float:
    """Of the middle half, so that opening and closing do not count."""
    first, last = len(moments) // 4, len(moments) * 3 // 4
    return (last - first) / (moments[last] - moments[first])
