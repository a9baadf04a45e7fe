"""Recipients of a turn wait here for the pace, by groups of domains that have budgets of their own."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from jlgc_mailer.sending.letters import Recipient
from jlgc_mailer.sending.pace import Pace
from jlgc_mailer.sending.pace.groups import group_of
from jlgc_mailer.sending.routes import Route
from jlgc_mailer.sending.stock import Stock

if TYPE_CHECKING:
    from jlgc_mailer.sending.bookkeeper import OpenBatch

_PATIENCE = timedelta(seconds=2)  # for longer nobody waits on a worker: the batch is put back
_ROOM = 50  # for each group: a slow one must not keep the others from being drawn
_EVERYBODY = ""
Entry = tuple[Recipient, "OpenBatch"]


class Queue:
    """First come first served within a group; groups do not wait for each other.

    `closed_until` is set, with the reason, once the transport itself has to wait for too long.
    """

    def __init__(self, route: Route, pace: Pace, clock: Callable[[], datetime]) -> None:
        self._route = route
        self._is_free = replace(route.limits, max_connections=None).are_none
        self._pace = pace
        self._clock = clock
        self._groups: dict[str, deque[Entry]] = {}
        self._closed: dict[str, tuple[datetime, str]] = {}
        self._granted: deque[tuple[float, list[Entry]]] = deque()
        self._ask_at = 0.0
        self.closed_until: tuple[datetime, str] | None = None

    @property
    def size(self) -> int:
        """How many wait."""
        return sum(map(len, self._groups.values())) + sum(len(entries) for _, entries in self._granted)

    def admit(self, batch: "OpenBatch", recipients: Sequence[Recipient]) -> Sequence[Recipient]:
        """Those for whom there is room; the others stay pending, and their batch is due again when there may be."""
        if self._is_free:
            self._groups.setdefault(_EVERYBODY, deque()).extend((recipient, batch) for recipient in recipients)
            return recipients
        return [recipient for recipient in recipients if self._admit(batch, recipient)]

    def _admit(self, batch: "OpenBatch", recipient: Recipient) -> bool:
        group = _group(recipient)
        if group in self._closed:
            defer(batch, *self._closed[group])
            return False
        queue = self._groups.setdefault(group, deque())
        if len(queue) >= _ROOM:
            return False
        queue.append((recipient, batch))
        return True

    def hand_over(self, stock: Stock) -> list[Recipient]:
        """As many as the pace allows go to the stock; those who would wait too long are given back."""
        turned_away = self._ask() if time.monotonic() >= self._ask_at else []
        while self._granted and self._granted[0][0] <= time.monotonic():
            _, entries = self._granted.popleft()
            for batch, its in groupby(entries, key=itemgetter(1)):
                stock.add([recipient for recipient, _ in its], batch.stationery, urgent=batch.urgent)
        return turned_away

    def patience(self, longest: float) -> float:
        """Seconds until there may be something to hand over, `longest` at most."""
        moments = [at for at, _ in self._granted]
        if any(self._groups.values()):
            moments.append(self._ask_at)
        return min([longest, *(max(moment - time.monotonic(), 0) for moment in moments)])

    def give_up(self, unattempted: Sequence[Recipient]) -> None:
        """The turn ends: the pace has back what was granted to those who wait here and to these of the stock."""
        granted = [recipient for _, entries in self._granted for recipient, _ in entries]
        if not self._is_free:
            unused = Counter(_group(recipient) for recipient in (*granted, *unattempted))
            self._pace.give_back(self._route.name, self._route.limits, unused, self._clock())

    def _ask(self) -> list[Recipient]:
        """Ask the pace for all who wait; those who have to wait too long for it are taken out."""
        wanted = {group: len(queue) for group, queue in self._groups.items() if queue}
        if not wanted:
            return []
        now = self._clock()
        grant = self._pace.reserve(self._route.name, self._route.limits, wanted, now)
        entries = [self._groups[group].popleft() for group, number in grant.granted.items() for _ in range(number)]
        if entries:
            self._granted.append((time.monotonic() + grant.after, entries))
        if grant.wait is None:
            return []
        if grant.wait <= _PATIENCE:
            self._ask_at = time.monotonic() + grant.wait.total_seconds()
            return []
        until, why = now + grant.wait, grant.why or ""
        if grant.is_general:
            self.closed_until = until, why
        return self._turn_away(wanted, until, why)

    def _turn_away(self, groups: Iterable[str], until: datetime, why: str) -> list[Recipient]:
        entries: list[Entry] = []
        for group in groups:
            self._closed[group] = until, why
            entries += self._groups.pop(group)
        for _, batch in entries:
            defer(batch, until, why)
        return [recipient for recipient, _ in entries]


def _group(recipient: Recipient) -> str:
    return group_of(recipient.address.rpartition("@")[2])


def defer(batch: "OpenBatch", until: datetime, why: str) -> None:
    """The batch is due again when the first of those whom it had to leave out can go."""
    if batch.not_before is None or until < batch.not_before:
        batch.not_before, batch.hold = until, why
