"""Recipients of a turn wait here for the pace; receivers that have a rate of their own hold up nobody else."""

import heapq
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter

from jlgc_mailer.sending.letters import Recipient
from jlgc_mailer.sending.open_batch import OpenBatch
from jlgc_mailer.sending.pace import Pace
from jlgc_mailer.sending.pace.budgets import why_slow
from jlgc_mailer.sending.pace.groups import group_of
from jlgc_mailer.sending.routes import Route
from jlgc_mailer.sending.stock import Stock

_PATIENCE = timedelta(seconds=2)  # for longer nobody waits on a worker: the batch is put back
_ROOM = 50  # for each slow receiver, or for a second of its rate: these are uncertain if the machine dies
_BREATH = 0.1  # seconds between strides in which nobody finds room: a list of a million such is not run through
_EVERYBODY = ""  # the group of all receivers that have no rate of their own
Entry = tuple[Recipient, OpenBatch]


@dataclass
class _Line:
    """Those who wait for one group. The first `promised` of them have slots: whoever is first by then takes them."""

    urgent: deque[Entry] = field(default_factory=deque)
    others: deque[Entry] = field(default_factory=deque)
    promised: int = 0
    ask_at: float = 0.0

    def __len__(self) -> int:
        return len(self.urgent) + len(self.others)

    @property
    def wanting(self) -> int:
        """How many have no slot."""
        return len(self) - self.promised

    def part(self, batch: OpenBatch) -> deque[Entry]:
        """Where the recipients of this batch stand."""
        return self.urgent if batch.urgent else self.others

    def take(self, number: int) -> list[Entry]:
        """The first so many, whose slots have come."""
        self.promised -= number
        return [(self.urgent or self.others).popleft() for _ in range(number)]

    def leave(self) -> list[Entry]:
        """Those who have no slot, taken out from the end."""
        return [(self.others or self.urgent).pop() for _ in range(self.wanting)]


class Queue:
    """First come first served within a group, but urgent ones before all others; groups do not wait for each other.

    `closed_until` is set, with the reason, once the transport itself has to wait for too long.
    """

    def __init__(self, route: Route, pace: Pace, clock: Callable[[], datetime]) -> None:
        self._route = route
        self._is_free = route.limits.are_none
        self._slow = route.limits.domains
        self._pace = pace
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self._closed: dict[str, tuple[datetime, str]] = {}
        self._slots: list[tuple[float, int, Mapping[str, int]]] = []  # a heap: slots are not granted in their order
        self._granted = 0
        self._full_until = 0.0
        self.closed_until: tuple[datetime, str] | None = None

    @property
    def size(self) -> int:
        """How many wait, without those of slow receivers, for whom nobody else is kept from being drawn."""
        return len(self._lines.get(_EVERYBODY, ()))

    @property
    def is_full(self) -> bool:
        """Whether it is too early to draw more: there was no room for anybody just now."""
        return time.monotonic() < self._full_until

    def admit(self, batch: OpenBatch, recipients: Sequence[Recipient]) -> Sequence[Recipient]:
        """Those for whom there is room; the others stay pending, and their batch is due again when there may be."""
        if self._is_free:
            self._lines.setdefault(_EVERYBODY, _Line()).part(batch).extend([(each, batch) for each in recipients])
            return recipients
        admitted = [recipient for recipient in recipients if self._admit(batch, recipient)]
        if recipients and not admitted:
            self._full_until = time.monotonic() + _BREATH
        return admitted

    def _admit(self, batch: OpenBatch, recipient: Recipient) -> bool:
        group = self._group(recipient)
        line = self._lines.setdefault(group, _Line())
        hindrance = self._hindrance(group, batch, line)
        if hindrance:
            batch.defer(*hindrance)
            return False
        line.part(batch).append((recipient, batch))
        return True

    def _hindrance(self, group: str, batch: OpenBatch, line: _Line) -> tuple[datetime, str] | None:
        """Until when and why one more cannot be admitted. Only urgent ones keep urgent ones out."""
        closed = self._closed.get(group)
        if closed and not batch.urgent and closed[0] > self._clock():
            return closed
        rate = self._slow.get(group)
        ahead = len(line.part(batch))
        if rate is None or ahead < max(_ROOM, rate // 60):
            return None
        return self._clock() + timedelta(minutes=ahead / rate), why_slow(group, rate)

    def hand_over(self, stock: Stock) -> list[Recipient]:
        """As many as the pace allows go to the stock; those who would wait too long are given back."""
        if stock.is_stopped:
            return []
        turned_away = self._ask()
        while self._slots and self._slots[0][0] <= time.monotonic():
            _, _, granted = heapq.heappop(self._slots)
            entries = [entry for group, number in granted.items() for entry in self._lines[group].take(number)]
            for batch, its in groupby(entries, key=itemgetter(1)):
                stock.add([recipient for recipient, _ in its], batch.stationery, urgent=batch.urgent)
        return turned_away

    def patience(self, longest: float) -> float:
        """Seconds until there may be something to hand over or to draw, `longest` at most."""
        moments = [line.ask_at for line in self._lines.values() if line.wanting]
        moments += [at for at, _, _ in self._slots[:1]]
        if self.is_full:
            moments.append(self._full_until)
        return min([longest, *(max(moment - time.monotonic(), 0) for moment in moments)])

    def unattempted(self, recipients: Iterable[Recipient]) -> None:
        """The pace has back what was granted to these: the stock returned them."""
        self._return(Counter(map(self._group, recipients)))

    def give_up(self) -> None:
        """The turn ends: the pace has back what was granted to those who wait here."""
        self._slots.clear()
        self._return({group: line.promised for group, line in self._lines.items()})

    def _return(self, unused: Mapping[str, int]) -> None:
        if any(unused.values()) and not self._is_free:
            self._pace.give_back(self._route.name, self._route.limits, unused, self._clock())

    def _ask(self) -> list[Recipient]:
        """Ask the pace until all who wait have slots or know how long they wait; who waits too long is taken out."""
        turned_away: list[Recipient] = []
        while wanted := self._wanted():
            now = self._clock()
            grant = self._pace.reserve(self._route.name, self._route.limits, wanted, now)
            if grant.wait is None:
                self._promise(grant.granted, grant.after)
            elif grant.wait <= _PATIENCE:
                for group in wanted:
                    self._lines[group].ask_at = time.monotonic() + grant.wait.total_seconds()
            else:
                until, why = now + grant.wait, grant.why or ""
                if grant.is_general:
                    self.closed_until = until, why
                turned_away += self._turn_away(self._lines if grant.is_general else wanted, until, why)
        return turned_away

    def _wanted(self) -> dict[str, int]:
        now = time.monotonic()
        return {group: line.wanting for group, line in self._lines.items() if line.wanting and line.ask_at <= now}

    def _promise(self, granted: Mapping[str, int], after: float) -> None:
        self._granted += 1
        heapq.heappush(self._slots, (time.monotonic() + after, self._granted, granted))
        for group, number in granted.items():
            self._lines[group].promised += number

    def _turn_away(self, groups: Iterable[str], until: datetime, why: str) -> list[Recipient]:
        entries: list[Entry] = []
        for group in groups:
            self._closed[group] = until, why
            entries += self._lines[group].leave()
        for _, batch in entries:
            batch.defer(until, why)
        return [recipient for recipient, _ in entries]

    def _group(self, recipient: Recipient) -> str:
        if not self._slow:
            return _EVERYBODY
        group = group_of(recipient.address.rpartition("@")[2])
        return group if group in self._slow else _EVERYBODY
