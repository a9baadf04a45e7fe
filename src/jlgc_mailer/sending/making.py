"""When letters are made: at the moment they are asked for, or a few ahead, in threads of their own.

A signature with RSA takes longer than all the rest of a letter, and lets other threads run meanwhile: so signed letters
are made ahead, and the wire does not stand still. They are handed out in the order of their recipients.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from jlgc_mailer.sending.letters import Letter, Recipient, Stationery
from jlgc_mailer.sending.outcomes import Outcome

_THREADS = 2
_AT_ONCE = 4  # letters that a thread makes before it hands them over, which costs as much as a tenth of one with RSA

Order = tuple[Recipient, Stationery]
Made = Letter | Outcome
Make = Callable[[Recipient, Stationery], Made]
Item = TypeVar("Item")


class Making(Protocol):
    """Makes letters of orders, which stand in a queue. The wire calls `next`; the rest may be called at any time."""

    def next(self, orders: deque[Order]) -> tuple[Recipient, Made] | None:
        """The next letter, or why none can be made."""
        ...

    def pending(self) -> list[Recipient]:
        """Whose letters are begun or made, and not handed out."""
        ...

    def take_back(self, orders: deque[Order]) -> None:
        """These become orders again, the first ones; their letters are thrown away."""
        ...

    def close(self) -> None:
        """No more will be asked for."""
        ...


class MakingAtOnce:
    """One at a time, when it is asked for."""

    def __init__(self, make: Make) -> None:
        self._make = make

    def next(self, orders: deque[Order]) -> tuple[Recipient, Made] | None:
        """Made now."""
        order = first_of(orders)
        return (order[0], self._make(*order)) if order else None

    def pending(self) -> list[Recipient]:
        """Nobody."""
        return []

    def take_back(self, orders: deque[Order]) -> None:
        """There is nothing to take."""

    def close(self) -> None:
        """Nothing is held."""


class _Chunk:
    """A few orders that one thread makes; no further one once it is called off."""

    def __init__(self, orders: Sequence[Order], make: Make, pool: ThreadPoolExecutor) -> None:
        self.orders = orders
        self.is_off = False
        self._make = make
        self._made: Future[list[Made]] = pool.submit(self._work)

    def _work(self) -> list[Made]:
        made: list[Made] = []
        for order in self.orders:
            if self.is_off:
                break
            made.append(self._make(*order))
        return made

    def wait(self) -> list[tuple[Order, Made]]:
        """Each with its letter. When it was called off meanwhile, those that were made."""
        return list(zip(self.orders, self._made.result(), strict=False))


class MakingAhead:
    """A few ahead, in threads of their own."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._pool = ThreadPoolExecutor(_THREADS, "letters")
        self._moving = threading.Lock()  # who waits stands in one place at any time: orders, chunks, or done
        self._chunks: deque[_Chunk] = deque()
        self._done: deque[tuple[Order, Made]] = deque()

    def next(self, orders: deque[Order]) -> tuple[Recipient, Made] | None:
        """The next of those made; waited for, when the threads are not so far."""
        while True:
            with self._moving:
                self._begin(orders)
                if self._done:
                    (recipient, _), made = self._done.popleft()
                    return recipient, made
                if not self._chunks:
                    return None
                chunk = self._chunks[0]
            finished = chunk.wait()
            with self._moving:
                if not chunk.is_off:
                    self._chunks.popleft()
                    self._done.extend(finished)

    def pending(self) -> list[Recipient]:
        """Those done and those begun."""
        with self._moving:
            return [recipient for recipient, _ in self._orders()]

    def take_back(self, orders: deque[Order]) -> None:
        """Whatever is being made is made no further than to the end of the letter."""
        with self._moving:
            taken = self._orders()
            for chunk in self._chunks:
                chunk.is_off = True
            self._chunks.clear()
            self._done.clear()
            orders.extendleft(reversed(taken))

    def close(self) -> None:
        """Wait for the letters that are being made at this moment."""
        self.take_back(deque())
        self._pool.shutdown()

    def _orders(self) -> list[Order]:
        return [order for order, _ in self._done] + [order for chunk in self._chunks for order in chunk.orders]

    def _begin(self, orders: deque[Order]) -> None:
        while len(self._chunks) <= _THREADS and (taken := _first_few(orders)):
            self._chunks.append(_Chunk(taken, self._make, self._pool))


def first_of(queue: deque[Item]) -> Item | None:
    """Taken out; None when it is empty, perhaps because another thread has just taken the last."""
    with contextlib.suppress(IndexError):
        return queue.popleft()
    return None


def _first_few(orders: deque[Order]) -> list[Order]:
    few: list[Order] = []
    while len(few) < _AT_ONCE and (order := first_of(orders)):
        few.append(order)
    return few
