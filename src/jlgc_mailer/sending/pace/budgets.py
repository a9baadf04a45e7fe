"""What both kinds of pace have in common: limits are turned into orders, and bookings into grants."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from jlgc_mailer.sending.pace import Grant, SentSince
from jlgc_mailer.sending.pace.connections import Lease, share_out, without
from jlgc_mailer.sending.pace.limits import Limits
from jlgc_mailer.sending.pace.slots import DAY, HORIZON, TRANSPORT, Booking, Line, Order, Rate

Leases = Mapping[str, Lease]
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REST = "*"  # the line of all receivers that have no rate of their own


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many may go on a day."""

    day: date
    cap: int


class Budgets(ABC):
    """A Pace; where the schedules, the day's counts and the leases stand is for its children to say."""

    def __init__(self, sent_since: SentSince) -> None:
        self._sent_since = sent_since
        self._connected: set[tuple[str, str]] = set()

    def reserve(self, transport: str, limits: Limits, wanted: Mapping[str, int], now: datetime) -> Grant:
        """See Pace."""
        everything = Grant({group: count for group, count in wanted.items() if count > 0})
        if limits.are_none:
            return everything
        opens = limits.opens(now)
        if opens > now:
            return Grant({}, wait=opens - now, why=limits.why_closed(transport, opens), is_general=True)
        order, allowance = order_of(limits, wanted, now), _allowance(limits, now)
        if not order.lines or (allowance is None and not order.is_limited):
            return everything
        booking = self._book(transport, order, allowance)
        if booking is None and allowance is not None:
            self._begin_day(transport, allowance.day, self._sent_since(transport, limits.midnight(allowance.day)))
            booking = self._book(transport, order, allowance)
        if booking is None:  # the count was lost again in between: whoever asks next begins it
            return Grant({}, wait=timedelta(seconds=1), why=f"{transport} has lost count of today's messages")
        if booking.blocked_by is not None:
            return _refusal(transport, limits, booking, now)
        return Grant(_spread(order, booking, wanted), after=(booking.start - order.now) / 1e6)

    def give_back(self, transport: str, limits: Limits, unused: Mapping[str, int], now: datetime) -> None:
        """See Pace."""
        slots = {
            group: (n, Rate(limits.domains[group])) for group, n in unused.items() if n and group in limits.domains
        }
        total = sum(unused.values())
        if limits.per_minute and total:
            slots[TRANSPORT] = (total, Rate(limits.per_minute))
        day = limits.today(now) if limits.daily_cap is not None and total else None
        if slots or day:
            self._return(transport, microseconds(now), slots, day, total)

    def connect(self, transport: str, limits: Limits, worker: str, wanted: int, now: datetime) -> int:
        """See Pace."""
        most = limits.max_connections
        if most is None:
            return wanted
        self._connected.add((transport, worker))
        return self._change_leases(transport, lambda leases: share_out(leases, worker, wanted, most, now))[worker].held

    def disconnect(self, transport: str, worker: str) -> None:
        """See Pace."""
        if (transport, worker) in self._connected:
            self._change_leases(transport, lambda leases: without(leases, worker))
            self._connected.discard((transport, worker))

    @abstractmethod
    def _book(self, transport: str, order: Order, allowance: Allowance | None) -> Booking | None:
        """`slots.book` in one step with the day's count; None when there is no count for that day."""

    @abstractmethod
    def _begin_day(self, transport: str, day: date, count: int) -> None:
        """The day's count, unless another worker was faster."""

    @abstractmethod
    def _return(
        self, transport: str, now: int, slots: Mapping[str, tuple[int, Rate]], day: date | None, total: int
    ) -> None:
        """`slots.give_back`, and the day's count lowered by `total`."""

    @abstractmethod
    def _change_leases(self, transport: str, change: Callable[[Leases], Leases]) -> Leases:
        """Replace the transport's leases by what `change` makes of them, in one step."""


def order_of(limits: Limits, wanted: Mapping[str, int], now: datetime) -> Order:
    """The order that asks for these. Receivers with a rate come first: the others can go at any time."""
    limited = [Line(g, n, Rate(limits.domains[g])) for g, n in wanted.items() if n > 0 and g in limits.domains]
    rest = sum(n for group, n in wanted.items() if n > 0 and group not in limits.domains)
    lines = [*limited, Line(_REST, rest, None)] if rest else limited
    return Order(microseconds(now), Rate(limits.per_minute) if limits.per_minute else None, lines)


def microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def _allowance(limits: Limits, now: datetime) -> Allowance | None:
    day = limits.today(now)
    cap = limits.cap_on(day)
    return None if cap is None else Allowance(day, cap)


def _spread(order: Order, booking: Booking, wanted: Mapping[str, int]) -> dict[str, int]:
    """By receiver; those without a rate share what their common line got, in the order in which they were named."""
    by_line = {line.name: count for line, count in zip(order.lines, booking.granted, strict=True)}
    rest = by_line.pop(_REST, 0)
    granted = {name: count for name, count in by_line.items() if count}
    for group, count in wanted.items():
        if group not in by_line and min(count, rest) > 0:
            granted[group] = min(count, rest)
            rest -= granted[group]
    return granted


def _refusal(transport: str, limits: Limits, booking: Booking, now: datetime) -> Grant:
    if booking.blocked_by == DAY:
        day = limits.today(now)
        tomorrow = limits.midnight(day + timedelta(days=1))
        return Grant({}, wait=tomorrow - now, why=limits.why_spent(transport, day), is_general=True)
    receiver = booking.blocked_by or transport
    rate = limits.domains[receiver] if booking.blocked_by else limits.per_minute
    wait = timedelta(microseconds=booking.start - HORIZON - microseconds(now))
    return Grant({}, wait=wait, why=why_slow(receiver, rate), is_general=not booking.blocked_by)


def why_slow(receiver: str, rate: int | None) -> str:
    """The sentence for people when there are more letters to a receiver, or for a transport, than it takes now."""
    return f"{receiver} takes at most {rate:,} messages a minute here"
