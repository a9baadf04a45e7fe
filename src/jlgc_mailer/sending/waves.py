"""Local time: one time on the clock, which the readers of each zone reach in their turn."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Label, func, select
from sqlalchemy.orm import Session

from jlgc_mailer.audience.zones import zone_named
from jlgc_mailer.db.people import Subscriber, Subscription, Suppression
from jlgc_mailer.states import SubscriptionStatus


@dataclass(frozen=True)
class WallClock:
    """What clocks show in `zone` at a moment."""

    moment: datetime
    zone: str

    def moment_in(self, zone: str) -> datetime:
        """When clocks in another zone show the same: the first time if twice, right after the gap if they skip it."""
        if zone == self.zone:
            return self.moment
        shown = self.moment.astimezone(zone_named(self.zone)).replace(tzinfo=None, fold=0)
        return _first_moment(shown, zone_named(zone))


@dataclass(frozen=True)
class Wave:
    """The readers of one zone, who get a send at the same moment."""

    zone: str
    due_at: datetime
    readers: int


def zone_of(own_zone: str) -> Label[str]:
    """A subscriber's zone in a query, called `lives_in`: that of the send for those who gave none."""
    return func.coalesce(Subscriber.zone, own_zone).label("lives_in")


def waves(session: Session, list_ids: Sequence[int], clock: WallClock, now: datetime) -> list[Wave]:
    """When the present readers of these lists get a send by local time: in order of time, none before `now`."""
    suppressed = select(Suppression.id).where(
        Suppression.address_key == Subscriber.address_key, Suppression.released_at.is_(None)
    )
    counted = session.execute(
        select(zone_of(clock.zone), func.count(Subscriber.id.distinct()))
        .join(Subscription, Subscription.subscriber_id == Subscriber.id)
        .where(Subscription.list_id.in_(list_ids), Subscription.status == SubscriptionStatus.CONFIRMED)
        .where(~suppressed.exists())
        .group_by("lives_in")
    )
    found = [Wave(zone, max(now, clock.moment_in(zone)), readers) for zone, readers in counted]
    return sorted(found, key=lambda wave: (wave.due_at, wave.zone))


def _first_moment(shown: datetime, zone: ZoneInfo) -> datetime:
    earlier, later = sorted(shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    is_skipped = earlier.astimezone(zone).replace(tzinfo=None, fold=0) != shown
    return _change_between(earlier, later, zone) if is_skipped else earlier


def _change_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The second at which the clocks of a zone go forward."""
    old = before.astimezone(zone).utcoffset()

    def has_changed(seconds: int) -> bool:
        return (before + timedelta(seconds=seconds)).astimezone(zone).utcoffset() != old

    return before + timedelta(seconds=bisect_left(range(int((after - before).total_seconds())), True, key=has_changed))
