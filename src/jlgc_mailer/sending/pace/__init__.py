"""Pace: how fast each transport may go, agreed between all workers. See docs/decisions/0012-pace.md."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from jlgc_mailer.sending.pace.limits import Limits

SentSince = Callable[[str, datetime], int]
"""How many messages the ledger has of a transport since a moment: where a day's count begins when it was lost."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What may go: so many of each receiver, all at once, `after` seconds from now.

    When it is nothing, `wait` is how long until it is worth asking again, and `why` the sentence for people;
    `is_general` says that it is the transport itself that has to wait, whoever the receiver.
    """

    granted: Mapping[str, int]
    after: float = 0
    wait: timedelta | None = None
    why: str | None = None
    is_general: bool = False


class Pace(Protocol):
    """Budgets of transports, shared by all workers. Receivers are named as `groups.group_of` does.

    Asked for N messages a minute, N and 2 % go in any minute, however many workers ask; below 50 a minute it is never
    more than N. Where there is no limit, a call costs nothing. Raises Unreachable when the budgets cannot be asked for.
    """

    def reserve(self, transport: str, limits: Limits, wanted: Mapping[str, int], now: datetime) -> Grant:
        """Take what may go next out of all budgets in one step: at most 1 % of a minute, within two seconds."""
        ...

    def give_back(self, transport: str, limits: Limits, unused: Mapping[str, int], now: datetime) -> None:
        """These were granted and not attempted after all: the day has them again, and slots that have not begun."""
        ...

    def connect(self, transport: str, limits: Limits, worker: str, wanted: int, now: datetime) -> int:
        """How many connections this worker may have open for the next 30 seconds; call again before they are over.

        A worker keeps what it got first until it disconnects; others get the rest.
        """
        ...

    def disconnect(self, transport: str, worker: str) -> None:
        """Say that this worker has no connection open any more."""
        ...
