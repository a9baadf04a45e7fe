"""The counter between bookkeeping and the wire: recipients wait here, and outcomes are fetched here.

The wire calls it from its thread as a Supply; the bookkeeper from another. Everything that goes over the counter is
one append or one popleft, which a deque does at once for both.
"""

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar

from jlgc_mailer.errors import UnsafeValue
from jlgc_mailer.mail.replies import Reply
from jlgc_mailer.sending.journal import Journal
from jlgc_mailer.sending.letters import Letter, Recipient, Stationery
from jlgc_mailer.sending.making import Making, MakingAhead, MakingAtOnce, Order, first_of
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.sending.record import Result
from jlgc_mailer.states import DeliveryStatus, Stage

Item = TypeVar("Item")
log = logging.getLogger("jlgc_mailer.sending")


class Stock:
    """A Supply whose letters are made when they are asked for, or a few ahead; none is for who has left (promise 2)."""

    def __init__(self, journal: Journal, clock: Callable[[], datetime], *, ahead: bool = False) -> None:
        self._journal = journal
        self._clock = clock
        self._waiting: deque[Order] = deque()
        self._making: Making = MakingAhead(self._made) if ahead else MakingAtOnce(self._made)
        self._results: deque[Result] = deque()
        self._returned: deque[Recipient] = deque()
        self._departed: set[int] = set()
        self._out: set[int] = set()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._over = False
        self._stopped = False
        self._believed_until = float("inf")
        self.enough = 0
        self.hungry = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._making.close()
        os.close(self._reader)
        os.close(self._writer)

    # What the wire sees.

    def fileno(self) -> int:
        """Readable when there is news."""
        return self._reader

    def heard(self) -> None:
        """The news was taken in."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._reader, 4096):
                pass

    def next(self) -> Letter | None:
        """The next letter to somebody who has not left."""
        while following := self._making.next(self._waiting):
            recipient, made = following
            if recipient.delivery_id in self._departed:
                self._returned.append(recipient)
                continue
            if isinstance(made, Letter):
                self._out.add(recipient.delivery_id)
                return made
            self._results.append(Result(recipient, made))
        self._tell_bookkeeper()
        return None

    @property
    def is_over(self) -> bool:
        """Whether no more letters will come."""
        return self._over and not self.size

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more may go out: told so, or the lease ran out without a word from the bookkeeper."""
        return self._stopped or time.monotonic() > self._believed_until

    def note(self, settled: Sequence[tuple[Letter, Outcome]], going_out: Sequence[Letter]) -> None:
        """Into the journal with both; then the bookkeeper may have the outcomes."""
        self._journal.note(
            [(letter.recipient.delivery_id, letter.recipient.attempts, outcome) for letter, outcome in settled],
            [(letter.recipient.delivery_id, letter.recipient.attempts) for letter in going_out],
        )
        for letter, outcome in settled:
            self._results.append(Result(letter.recipient, outcome))
            self._out.discard(letter.recipient.delivery_id)
        if self.size <= self.enough or self.is_answered:
            self._tell_bookkeeper()

    def put_back(self, letters: Sequence[Letter]) -> None:
        """These were not attempted: the wire comes to its end."""
        self._stopped = True
        self._out.difference_update(letter.recipient.delivery_id for letter in letters)
        self._returned.extend(letter.recipient for letter in letters)
        self._tell_bookkeeper()

    # What the bookkeeper sees.

    def add(self, recipients: Iterable[Recipient], stationery: Stationery, *, urgent: bool = False) -> None:
        """These may go out; their intent is committed."""
        fresh = [(recipient, stationery) for recipient in recipients]
        if urgent:
            self._making.take_back(self._waiting)
            self._waiting.extendleft(reversed(fresh))
        else:
            self._waiting.extend(fresh)
        self._tell_wire()

    def withdraw(self, delivery_ids: Collection[int]) -> None:
        """These readers left: no letter is made for them any more; they come back with `fetch`."""
        self._departed.update(delivery_ids)

    def believe_until(self, moment: float) -> None:
        """Go on until then (monotonic seconds) without another word."""
        self._believed_until = moment

    def fetch(self) -> tuple[list[Result], list[Recipient]]:
        """Outcomes that are in the journal and not fetched yet, and recipients that were not attempted."""
        return _drained(self._results), _drained(self._returned)

    @property
    def on_wire(self) -> set[int]:
        """The deliveries that the wire has and of which it has not said what became; none when it ended well."""
        return self._out

    @property
    def is_answered(self) -> bool:
        """Whether the wire has nothing to do, and outcomes wait to be fetched."""
        return bool(self._results) and not (self.size or self._out)

    @property
    def size(self) -> int:
        """How many wait to be written to."""
        return len(self._waiting) + len(self._making.pending())

    def waiting(self) -> list[int]:
        """The deliveries whose letters are not handed out yet."""
        waiting = [recipient for recipient, _ in list(self._waiting)]
        return [recipient.delivery_id for recipient in self._making.pending() + waiting]

    def finish(self) -> None:
        """No more will come."""
        self._over = True
        self._tell_wire()

    def stop(self) -> None:
        """Nothing more goes out; who waits is handed back with `fetch`."""
        self._stopped = True
        self._making.take_back(self._waiting)
        self._returned.extend(recipient for recipient, _ in _drained(self._waiting))
        self._tell_wire()

    def _made(self, recipient: Recipient, stationery: Stationery) -> Letter | Outcome:
        """The letter, or why none can be written to this recipient."""
        try:
            return stationery.letter(recipient)
        except UnsafeValue as error:
            status, reply = DeliveryStatus.REFUSED, Reply(554, str(error), "5.6.0")
        except Exception as error:
            log.exception("the letter of delivery %d cannot be made", recipient.delivery_id)
            status, reply = DeliveryStatus.DEFERRED, Reply(451, f"the letter cannot be made: {error!r}", "4.3.0")
        return Outcome(status, Stage.BUILD, reply, self._clock())

    def _tell_wire(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full of news that was not taken in yet
            os.write(self._writer, b".")

    def _tell_bookkeeper(self) -> None:
        if not self.hungry.is_set():
            self.hungry.set()


def _drained(queue: deque[Item]) -> list[Item]:
    """All that is in it; another thread may take some at the same time."""
    items = []
    while item := first_of(queue):
        items.append(item)
    return items
