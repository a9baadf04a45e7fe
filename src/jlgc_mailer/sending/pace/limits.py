"""What a transport may carry: values, and what they say about a moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from jlgc_mailer.sending.pace.windows import Window, local_moment, next_opening


@dataclass(frozen=True, slots=True)
class Ramp:
    """Warming up a new sender: so many on the first day, `factor` times as many on each day after it."""

    begins: date
    first_day: int
    factor: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What a transport takes from all workers together; None and empty mean that it does not mind.

    `domains` is messages per minute by receiver, as `group_of` names them. Days and windows are those of `zone`.
    """

    per_minute: int | None = None
    max_connections: int | None = None
    daily_cap: int | None = None
    ramp: Ramp | None = None
    windows: tuple[Window, ...] = ()
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    domains: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def are_none(self) -> bool:
        """Whether any number of messages may go at any time."""
        return self.per_minute is None and self.daily_cap is None and not self.windows and not self.domains

    def today(self, now: datetime) -> date:
        """The day that the daily cap counts."""
        return now.astimezone(self.zone).date()

    def midnight(self, day: date) -> datetime:
        """When that day begins."""
        return local_moment(day, 0, self.zone)

    def cap_on(self, day: date) -> int | None:
        """How many may go on that day; days before the ramp begins are like its first."""
        if self.daily_cap is None or self.ramp is None:
            return self.daily_cap
        allowed = float(self.ramp.first_day)
        for _ in range((day - self.ramp.begins).days):
            if allowed >= self.daily_cap:
                break
            allowed *= self.ramp.factor
        return min(self.daily_cap, int(allowed))

    def opens(self, now: datetime) -> datetime:
        """The moment from which its windows allow sending; `now` while they do."""
        return next_opening(self.windows, self.zone, now)

    def why_closed(self, transport: str, until: datetime) -> str:
        """The sentence for people while every window is closed."""
        hours = ", ".join(map(str, self.windows))
        return f"{transport} sends {hours} ({self.zone}) only, next from {self._local(until)}"

    def why_spent(self, transport: str, day: date) -> str:
        """The sentence for people when the day's cap is reached."""
        again = self._local(self.midnight(day + timedelta(days=1)))
        return f"{transport} has carried the {self.cap_on(day):,} messages of {day}; more go from {again} ({self.zone})"

    def __str__(self) -> str:
        parts = [
            self.per_minute and f"{self.per_minute:,} a minute",
            *(f"{domain} {rate:,} a minute" for domain, rate in sorted(self.domains.items())),
            self.max_connections and f"{self.max_connections:,} connections",
            self.daily_cap and f"{self.daily_cap:,} a day",
            self.ramp and f"from {self.ramp.first_day:,} on {self.ramp.begins}, times {self.ramp.factor:g} each day",
            self.windows and f"{', '.join(map(str, self.windows))} ({self.zone})",
        ]
        return ", ".join(filter(None, map(str, filter(None, parts)))) or "none"

    def _local(self, moment: datetime) -> str:
        return f"{moment.astimezone(self.zone):%Y-%m-%d %H:%M}"
