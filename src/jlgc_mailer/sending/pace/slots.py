"""The virtual schedule: slots at equal distances, handed out in slices (GCRA, ITU-T I.371).

Times are whole microseconds since 1970, which both Python and the numbers of Redis' Lua hold exactly.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

MINUTE = 60_000_000
HORIZON = 2_000_000  # slots are handed out this far ahead; it is also the longest that a worker waits for its own
LIFE = HORIZON + 2 * MINUTE  # nobody can book further ahead: what stands there, a worker with a wrong clock wrote
TRANSPORT = ""  # the name of the transport's own schedule, among those of its receivers
DAY = "day"  # stands for the day's count where a booking says what is in the way; no receiver is named without a dot


@dataclass(frozen=True, slots=True)
class Rate:
    """So many slots a minute.

    The promise is N and 2 % over any minute. A slice of 1 % goes out at its first slot, so the last of it is up to
    1 % of a minute early; a slot that nobody asked for in time is still good for 1 % of a minute. Below 50 a minute
    one message is more than 2 %, so there a slot that is gone is gone.
    """

    per_minute: int

    @property
    def interval(self) -> float:
        """The distance of two slots."""
        return MINUTE / self.per_minute

    @property
    def slice(self) -> int:
        """How many consecutive slots are handed out at most."""
        return max(1, self.per_minute // 100)

    @property
    def late(self) -> int:
        """How long a slot is good for after its time."""
        return MINUTE // 100 if self.per_minute >= 50 else 0


@dataclass(frozen=True, slots=True)
class Line:
    """Those who wait for slots of one schedule; with no rate they need none but the transport's."""

    name: str
    wanted: int
    rate: Rate | None


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker asks for at a moment; the lines are served in their order."""

    now: int
    transport: Rate | None
    lines: Sequence[Line]

    @property
    def is_limited(self) -> bool:
        """Whether any schedule has to be asked."""
        return self.transport is not None or any(line.rate for line in self.lines)


@dataclass(frozen=True, slots=True)
class Booking:
    """How many of each line go at `start`; when nobody can go by the horizon, `blocked_by` names what is in the way."""

    start: int
    granted: tuple[int, ...]
    blocked_by: str | None = None


def book(schedules: MutableMapping[str, int], order: Order, left_today: int | None) -> Booking:
    """Take slots out of the schedules, which hold the next free slot of each; both budgets in one step.

    `reserve.lua` does the same on Redis. All that go at one moment go together, so a receiver whose next slot comes
    later than another's is left for the next call.
    """
    transport = _first(schedules.get(TRANSPORT), order.transport, order.now)
    firsts = [_first(schedules.get(line.name), line.rate, order.now) for line in order.lines]
    start = max(order.now, transport, min(firsts))
    if start > order.now + HORIZON:
        return Booking(start, (), TRANSPORT if transport == start else order.lines[firsts.index(start)].name)
    left = min(_due(order.transport, transport, start), _ANY if left_today is None else left_today)
    granted = []
    for line, first in zip(order.lines, firsts, strict=True):
        count = min(line.wanted, left, _due(line.rate, first, start))
        if line.rate and count:
            schedules[line.name] = _after(line.rate, first, start, count)
        granted.append(count)
        left -= count
    if order.transport and sum(granted):
        schedules[TRANSPORT] = _after(order.transport, transport, start, sum(granted))
    return Booking(start, tuple(granted))


def spent(order: Order) -> Booking:
    """The booking when the day has nothing left."""
    return Booking(order.now, (), DAY)


def give_back(schedules: MutableMapping[str, int], now: int, unused: Mapping[str, tuple[int, Rate]]) -> None:
    """Free slots at the end of each schedule, but none that has begun: the schedule never goes behind `now`."""
    for name, (count, rate) in unused.items():
        if name in schedules:
            booked = schedules[name]
            schedules[name] = max(min(booked, now), round(booked - count * rate.interval))


_ANY = 1 << 53


def _first(next_free: int | None, rate: Rate | None, now: int) -> int:
    """The slot that comes next: the next free one, if it is not too old."""
    if rate is None:
        return 0
    oldest = now - rate.late
    if next_free is None or next_free > now + LIFE:
        return oldest
    return max(oldest, next_free)


def _due(rate: Rate | None, first: int, start: int) -> int:
    """How many slots may be used at `start`: a slice, and those before it that are still good."""
    if rate is None:
        return _ANY
    if first > start:
        return 0
    return rate.slice + int((start - max(first, start - rate.late)) / rate.interval)


def _after(rate: Rate, first: int, start: int, count: int) -> int:
    """The next free slot when so many have been taken at `start`."""
    return int(max(first, start - rate.late) + count * rate.interval + 0.5)
