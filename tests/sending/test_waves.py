"""Local time: everybody gets a send when their own clocks show the time, and no batch holds readers of two zones."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.people import MailingList, Subscriber
from jlgc_mailer.db.sending import Batch, Delivery, Send
from jlgc_mailer.errors import InvalidInput
from jlgc_mailer.sending.plan import due_sends, plan
from jlgc_mailer.sending.progress import next_wave
from jlgc_mailer.sending.schedule import cancel
from jlgc_mailer.sending.waves import WallClock, waves
from jlgc_mailer.states import BatchStatus, Language
from tests import factories
from tests.conftest import Clock

NINE_IN_LONDON = datetime(2026, 6, 2, 8, 0, tzinfo=UTC)
NINE_IN_TOKYO = datetime(2026, 6, 2, 0, 0, tzinfo=UTC)
NINE_IN_NEW_YORK = datetime(2026, 6, 2, 13, 0, tzinfo=UTC)
ZONES = ["Europe/London", "Asia/Tokyo", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]


def scheduled(mailer: Mailer, zones: list[str], *, batch_size: int = 100) -> int:
    """A send at nine in London, by local time, to a reader in each of these zones."""
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        for number, zone in enumerate(zones):
            factories.subscriber(session, news, f"r{number}@example.com", "", Language.ENGLISH, zone)
        revision = factories.issue(session, mailer)
        return factories.send(
            session, mailer, revision, [news],
            planned=False, batch_size=batch_size, due_at=NINE_IN_LONDON, local_time=True,
        ).id  # fmt: skip


def planned(mailer: Mailer, send_id: int) -> list[tuple[datetime, set[str | None], int]]:
    """Plan the send; when each batch is due, the zones of those in it, and how many they are."""
    with mailer.database.transaction() as session:
        number = plan(session, send_id, mailer.clock(), mailer.keyring.key_id)
        found = []
        for batch in session.scalars(select(Batch).where(Batch.send_id == send_id).order_by(Batch.number)):
            inside = select(Subscriber.zone).join(Delivery, Delivery.subscriber_id == Subscriber.id)
            zones = session.scalars(inside.where(Delivery.id.between(batch.first_id, batch.last_id))).all()
            found.append((batch.due_at, set(zones), len(zones)))
        assert number == len(found)
        return found


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("own", "zone", "moment", "expected"),
    [
        ("Europe/London", "Europe/London", "2026-06-02 08:00", "2026-06-02 08:00"),
        ("Europe/London", "Asia/Tokyo", "2026-06-02 08:00", "2026-06-02 00:00"),
        ("Europe/London", "America/New_York", "2026-06-02 08:00", "2026-06-02 13:00"),
        # London skips 01:00 to 02:00 on 29 March 2026; Lord Howe skips half an hour, Samoa skipped a whole day.
        ("Asia/Tokyo", "Europe/London", "2026-03-28 16:30", "2026-03-29 01:00"),
        ("UTC", "Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-03 15:30"),
        ("UTC", "Pacific/Apia", "2011-12-30 09:00", "2011-12-30 10:00"),
        # London repeats 01:00 to 02:00 on 25 October 2026; asked for there, the moment is already one of the two.
        ("Asia/Tokyo", "Europe/London", "2026-10-24 16:30", "2026-10-25 00:30"),
        ("Europe/London", "Europe/London", "2026-10-25 01:30", "2026-10-25 01:30"),
        ("Europe/London", "UTC", "2026-10-25 01:30", "2026-10-25 01:30"),
    ],
)
def test_a_time_on_the_clock_comes_once_in_each_zone(own: str, zone: str, moment: str, expected: str) -> None:
    """A skipped time is the moment after the gap, a repeated one the first."""
    assert WallClock(utc(moment), own).moment_in(zone) == utc(expected)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2037, 12, 31)), st.sampled_from(ZONES), st.sampled_from(ZONES))
def test_clocks_show_the_time_or_have_just_skipped_it(shown: datetime, own: str, zone: str) -> None:
    moment = shown.replace(tzinfo=ZoneInfo(own)).astimezone(UTC)
    clock = WallClock(moment, own)
    wanted = moment.astimezone(ZoneInfo(own)).replace(tzinfo=None, fold=0)
    found = clock.moment_in(zone)
    local = found.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
    just_before = (found - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert local == wanted or just_before < wanted < local
    if own != zone and local == wanted:
        earlier = [found - timedelta(minutes=minutes) for minutes in (30, 60, 120)]
        assert wanted not in [each.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0) for each in earlier]


def test_the_first_zone_of_the_readers_decides_when_a_send_begins(mailer: Mailer, clock: Clock) -> None:
    send_id = scheduled(mailer, ["", "Asia/Tokyo", "America/New_York"])
    with mailer.database.reading() as session:
        assert session.get_one(Send, send_id).due_at == NINE_IN_TOKYO
        clock.now = NINE_IN_TOKYO - timedelta(seconds=1)
        assert due_sends(session, clock()) == []
        clock.now = NINE_IN_TOKYO
        assert due_sends(session, clock()) == [send_id]


def test_without_readers_to_the_east_the_own_zone_is_the_first(mailer: Mailer) -> None:
    send_id = scheduled(mailer, ["America/New_York"])
    with mailer.database.reading() as session:
        assert session.get_one(Send, send_id).due_at == NINE_IN_LONDON


def test_each_batch_is_due_when_its_zone_gets_there_and_holds_no_other(mailer: Mailer, clock: Clock) -> None:
    """Readers without a zone have that of the send."""
    send_id = scheduled(mailer, ["", "Asia/Tokyo", "America/New_York", "Europe/London", "Asia/Tokyo"] * 3, batch_size=4)
    clock.now = NINE_IN_TOKYO
    found = planned(mailer, send_id)
    assert sorted(found, key=lambda each: (each[0], -each[2])) == [
        (NINE_IN_TOKYO, {"Asia/Tokyo"}, 4),
        (NINE_IN_TOKYO, {"Asia/Tokyo"}, 2),
        (NINE_IN_LONDON, {None, "Europe/London"}, 4),
        (NINE_IN_LONDON, {None, "Europe/London"}, 2),
        (NINE_IN_NEW_YORK, {"America/New_York"}, 3),
    ]


def test_nobody_is_due_before_now(mailer: Mailer, clock: Clock) -> None:
    """Somebody may have joined from a zone that is past the time, or the tick was late."""
    send_id = scheduled(mailer, ["", "Asia/Tokyo"])
    clock.now = NINE_IN_LONDON + timedelta(hours=1)
    assert {due_at for due_at, _, _ in planned(mailer, send_id)} == {clock()}


def test_a_zone_that_is_past_the_time_when_scheduling_gets_it_at_once(mailer: Mailer, clock: Clock) -> None:
    clock.now = NINE_IN_TOKYO + timedelta(hours=3)
    send_id = scheduled(mailer, ["", "Asia/Tokyo"])
    with mailer.database.reading() as session:
        assert session.get_one(Send, send_id).due_at == clock()
    assert [(due, zones) for due, zones, _ in planned(mailer, send_id)] == [
        (clock(), {"Asia/Tokyo"}),
        (NINE_IN_LONDON, {None}),
    ]


def test_a_time_gone_by_in_the_own_zone_is_refused(mailer: Mailer, clock: Clock) -> None:
    clock.now = NINE_IN_LONDON + timedelta(hours=1)
    with pytest.raises(InvalidInput, match="gone by"):
        scheduled(mailer, ["America/New_York"])


def test_who_moves_between_scheduling_and_planning_is_counted_where_they_live(mailer: Mailer, clock: Clock) -> None:
    send_id = scheduled(mailer, ["Asia/Tokyo"])
    with mailer.database.transaction() as session:
        session.execute(update(Subscriber).values(zone="America/New_York"))
    clock.now = NINE_IN_TOKYO
    assert planned(mailer, send_id) == [(NINE_IN_NEW_YORK, {"America/New_York"}, 1)]


def test_the_present_readers_are_counted_by_zone_in_order_of_time(mailer: Mailer) -> None:
    scheduled(mailer, ["", "Asia/Tokyo", "America/New_York", "Asia/Tokyo"])
    with mailer.database.reading() as session:
        news = session.scalars(select(MailingList)).one()
        told = waves(session, [news.id], WallClock(NINE_IN_LONDON, "Europe/London"), mailer.clock())
    assert [(wave.zone, wave.due_at, wave.readers) for wave in told] == [
        ("Asia/Tokyo", NINE_IN_TOKYO, 2),
        ("Europe/London", NINE_IN_LONDON, 1),
        ("America/New_York", NINE_IN_NEW_YORK, 1),
    ]


def test_the_next_zone_is_told_until_all_have_begun(mailer: Mailer, clock: Clock) -> None:
    send_id = scheduled(mailer, ["", "Asia/Tokyo", "America/New_York"])
    clock.now = NINE_IN_TOKYO
    planned(mailer, send_id)
    told = []
    with mailer.database.reading() as session:
        send = session.get_one(Send, send_id)
        for clock.now in (NINE_IN_TOKYO, NINE_IN_LONDON, NINE_IN_NEW_YORK):
            told.append(next_wave(session, send, clock()))
    assert told == [NINE_IN_LONDON, NINE_IN_NEW_YORK, None]


def test_a_send_by_local_time_can_be_cancelled_before_it_is_planned(mailer: Mailer) -> None:
    send_id = scheduled(mailer, ["Asia/Tokyo"])
    with mailer.database.transaction() as session:
        cancel(session, send_id, mailer.clock())
        assert set(session.scalars(select(Batch.status))) <= {BatchStatus.DONE}
        assert plan(session, send_id, NINE_IN_LONDON, 1) is None


def test_nobody_is_lost_however_the_zones_are_mixed(mailer: Mailer, clock: Clock) -> None:
    """Promise 1: every delivery is in exactly one batch."""
    send_id = scheduled(mailer, [ZONES[number * 5 % 6] for number in range(31)], batch_size=3)
    clock.now = NINE_IN_NEW_YORK
    planned(mailer, send_id)
    with mailer.database.reading() as session:
        ids = session.scalars(select(Delivery.id).order_by(Delivery.id)).all()
        batches = session.scalars(select(Batch)).all()
    assert [sum(batch.first_id <= each <= batch.last_id for batch in batches) for each in ids] == [1] * 31
