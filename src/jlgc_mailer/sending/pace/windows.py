"""Hours in which sending is allowed, by weekday and wall clock."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from jlgc_mailer.errors import InvalidInput

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = timedelta(days=1)
_WRITTEN = re.compile(
    r"(?P<first>[A-Za-z]{3})(?:-(?P<last>[A-Za-z]{3}))? +(?P<opens>\d\d:\d\d) *- *(?P<closes>\d\d:\d\d)"
)


@dataclass(frozen=True, slots=True)
class Window:
    """From `opens` to `closes` (minutes after midnight) on some weekdays (Monday is 0).

    One that closes no later than it opens lasts until that time on the next day.
    """

    days: tuple[int, ...]
    opens: int
    closes: int

    def __str__(self) -> str:
        names = f"{_DAYS[self.days[0]]}-{_DAYS[self.days[-1]]}" if len(self.days) > 1 else _DAYS[self.days[0]]
        return f"{names} {_clock(self.opens)}-{_clock(self.closes)}"

    def spans(self, zone: ZoneInfo, since: date, days: int) -> Iterator[tuple[datetime, datetime]]:
        """When it opens and closes, on each of so many days beginning with `since`."""
        for day in (since + n * _DAY for n in range(days)):
            if day.weekday() in self.days:
                last = day if self.opens < self.closes else day + _DAY
                yield local_moment(day, self.opens, zone), local_moment(last, self.closes, zone)


def parse_window(text: str) -> Window:
    """The window that `Mon-Fri 08:00-18:00` or `Sat 22:00-06:00` means; raises InvalidInput."""
    written = _WRITTEN.fullmatch(text.strip())
    if written:
        first, last = written["first"].title(), (written["last"] or written["first"]).title()
        opens, closes = _minutes(written["opens"]), _minutes(written["closes"])
        if first in _DAYS and last in _DAYS and opens is not None and opens < 24 * 60 and closes is not None:
            start, length = _DAYS.index(first), (_DAYS.index(last) - _DAYS.index(first)) % 7 + 1
            return Window(tuple((start + n) % 7 for n in range(length)), opens, closes)
    raise InvalidInput(what="Window", value=text, problem="write it like Mon-Fri 08:00-18:00 or Sat 10:00-12:00.")


def next_opening(windows: Sequence[Window], zone: ZoneInfo, now: datetime) -> datetime:
    """The moment from which sending is allowed: `now` itself while a window is open, or when there is none."""
    if not windows:
        return now
    yesterday = now.astimezone(zone).date() - _DAY  # one that passes midnight may have opened then
    spans = [span for window in windows for span in window.spans(zone, yesterday, 9)]
    return min(max(now, opens) for opens, closes in spans if now < closes)


def local_moment(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    """When a clock in `zone` shows that many minutes after midnight.

    A time that the clocks skip is read with the offset before the gap, and of a repeated one the first is meant
    (RFC 5545 3.3.5), which is what `fold=0` says.
    """
    on, at = divmod(minutes, 24 * 60)
    return datetime.combine(day + on * _DAY, time(at // 60, at % 60), zone).astimezone(UTC)


def _minutes(clock: str) -> int | None:
    hours, minutes = int(clock[:2]), int(clock[3:])
    total = 60 * hours + minutes
    return total if minutes < 60 and total <= 24 * 60 else None


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
