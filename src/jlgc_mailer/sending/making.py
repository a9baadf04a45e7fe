"""When letters are made: at the moment they are asked for, or a few ahead, in threads of their own.

A signature with RSA takes longer than all the rest of a letter, and lets other threads run meanwhile: so signed letters
are made ahead, and the wire does not stand still. They are handed out in the order of their recipients.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from jlgc_mailer.sending.letters import Letter, Recipient, Stationery
from jlgc_mailer.sending.outcomes import Outcome

_THREADS = 2
_AT_ONCE = 8  # letters that a thread makes before it hands them over, which costs as much as a third of one

Order = tuple[Recipient, Stationery]
Made = tuple[Recipient, Letter | Outcome]
Make = Callable[[Recipient, Stationery], Letter | Outcome]
Item = TypeVar("Item")


class Making(Protocol):
    """Makes letters of orders. Only `drain` may be called by another thread at the same time."""

    def next(self, orders: deque[Order]) -> Made | None:
        """The next letter, or why none can be made."""
        ...

    def pending(self) -> list[Recipient]:
        """Whose letters are begun or made, and not handed out."""
        ...

    def drain(self) -> list[Recipient]:
        """The same; their letters are thrown away."""
        ...

    def close(self) -> None:
        """No more will be asked for."""
        ...


class MakingAtOnce:
    """One at a time, when it is asked for."""

    def __init__(self, make: Make) -> None:
        self._make = make

    def next(self, orders: deque[Order]) -> Made | None:
        """Made now."""
        order = first_of(orders)
        return (order[0], self._make(*order)) if order else None

    def pending(self) -> list[Recipient]:
        """Nobody."""
        return []

    def drain(self) -> list[Recipient]:
        """Nobody."""
        return []

    def close(self) -> None:
        """Nothing is held."""


class MakingAhead:
    """A few ahead, in threads of their own."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._pool = ThreadPoolExecutor(_THREADS, "letters")
        self._begun: deque[tuple[Sequence[Recipient], Future[list[Made]]]] = deque()
        self._done: deque[Made] = deque()

    def next(self, orders: deque[Order]) -> Made | None:
        """The next of those made; waited for, when the threads are not so far."""
        self._begin(orders)
        if not self._done and (first := first_of(self._begun)):
            self._done.extend(first[1].result())
            self._begin(orders)
        return first_of(self._done)

    def pending(self) -> list[Recipient]:
        """Those begun and those done."""
        return [each for each, _ in list(self._done)] + [each for its, _ in list(self._begun) for each in its]

    def drain(self) -> list[Recipient]:
        """Take out those begun and those done."""
        drained = []
        while made := first_of(self._done):
            drained.append(made[0])
        while begun := first_of(self._begun):
            drained += begun[0]
        return drained

    def close(self) -> None:
        """Wait for what is being made."""
        self._pool.shutdown(cancel_futures=True)

    def _begin(self, orders: deque[Order]) -> None:
        while len(self._begun) <= _THREADS and (chunk := _chunk(orders)):
            self._begun.append(([recipient for recipient, _ in chunk], self._pool.submit(self._make_all, chunk)))

    def _make_all(self, chunk: Sequence[Order]) -> list[Made]:
        return [(recipient, self._make(recipient, stationery)) for recipient, stationery in chunk]


def first_of(queue: deque[Item]) -> Item | None:
    """Taken out; None when it is empty, perhaps because another thread has just taken the last."""
    with contextlib.suppress(IndexError):
        return queue.popleft()
    return None


def _chunk(orders: deque[Order]) -> list[Order]:
    chunk: list[Order] = []
    while len(chunk) < _AT_ONCE and (order := first_of(orders)):
        chunk.append(order)
    return chunk
