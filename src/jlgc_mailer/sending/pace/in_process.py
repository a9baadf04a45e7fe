"""The pace of an installation that is one process."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from threading import Lock

from jlgc_mailer.sending.pace import SentSince
from jlgc_mailer.sending.pace.budgets import Allowance, Budgets, Leases
from jlgc_mailer.sending.pace.slots import Booking, Order, Rate, book, give_back, spent


@dataclass
class _Account:
    """What has been booked of one transport."""

    schedules: dict[str, int] = field(default_factory=dict)
    day: date | None = None
    count: int = 0
    leases: Leases = field(default_factory=dict)


class InProcessPace(Budgets):
    """Budgets in this process' memory, for all of its threads."""

    def __init__(self, sent_since: SentSince) -> None:
        super().__init__(sent_since)
        self._lock = Lock()
        self._accounts: defaultdict[str, _Account] = defaultdict(_Account)

    def _book(self, transport: str, order: Order, allowance: Allowance | None) -> Booking | None:
        with self._lock:
            account = self._accounts[transport]
            if allowance is None:
                return book(account.schedules, order, None)
            if account.day != allowance.day:
                return None
            left = allowance.cap - account.count
            booking = book(account.schedules, order, left) if left > 0 else spent(order)
            account.count += sum(booking.granted)
            return booking

    def _begin_day(self, transport: str, day: date, count: int) -> None:
        with self._lock:
            account = self._accounts[transport]
            if account.day != day:
                account.day, account.count = day, count

    def _return(
        self, transport: str, now: int, slots: Mapping[str, tuple[int, Rate]], day: date | None, total: int
    ) -> None:
        with self._lock:
            account = self._accounts[transport]
            give_back(account.schedules, now, slots)
            if day is not None and account.day == day:
                account.count = max(0, account.count - total)

    def _change_leases(self, transport: str, change: Callable[[Leases], Leases]) -> Leases:
        with self._lock:
            account = self._accounts[transport]
            account.leases = change(account.leases)
            return account.leases
