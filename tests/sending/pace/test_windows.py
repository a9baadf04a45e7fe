"""Windows: by weekday and wall clock, through both changes of the clocks."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.errors import InvalidInput
from jlgc_mailer.sending.pace.windows import Window, next_opening, parse_window

LONDON, TOKYO = ZoneInfo("Europe/London"), ZoneInfo("Asia/Tokyo")


def opening(window: str, now: str, zone: ZoneInfo = LONDON) -> str:
    """When it is open next, in UTC; `now` is in UTC too."""
    moment = next_opening([parse_window(window)], zone, datetime.fromisoformat(f"{now}+00:00"))
    return f"{moment:%a %d %H:%M}"


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-06-01 06:59", "Mon 01 07:00"),  # British Summer Time: 08:00 is 07:00 UTC
        ("2026-06-01 07:00", "Mon 01 07:00"),
        ("2026-06-01 16:59", "Mon 01 16:59"),
        ("2026-06-01 17:00", "Tue 02 07:00"),
        ("2026-06-05 17:00", "Mon 08 07:00"),
        ("2026-12-01 07:30", "Tue 01 08:00"),
    ],
)
def test_office_hours_are_those_of_the_office(now: str, opens: str) -> None:
    assert opening("Mon-Fri 08:00-18:00", now) == opens


def test_a_window_may_pass_midnight() -> None:
    assert opening("Fri 22:00-06:00", "2026-06-05 20:59") == "Fri 05 21:00"
    assert opening("Fri 22:00-06:00", "2026-06-06 04:59") == "Sat 06 04:59"
    assert opening("Fri 22:00-06:00", "2026-06-06 05:00") == "Fri 12 21:00"
    assert opening("Sat-Mon 00:00-24:00", "2026-06-02 03:00", TOKYO) == "Fri 05 15:00"


def test_no_window_is_always_open() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert next_opening([], LONDON, now) == now


def test_the_earliest_of_several_counts() -> None:
    windows = [parse_window("Mon-Fri 08:00-18:00"), parse_window("Sat 10:00-12:00")]
    saturday = datetime(2026, 6, 6, 8, 0, tzinfo=UTC)
    assert next_opening(windows, LONDON, saturday) == saturday + timedelta(hours=1)


def test_the_clocks_go_forward() -> None:
    """On 29 March 2026 London has no 01:30: it is read with the offset before, so 01:30 UTC, which is 02:30."""
    assert opening("Sun 01:30-05:00", "2026-03-29 00:00") == "Sun 29 01:30"
    assert opening("Sun 01:30-05:00", "2026-03-29 03:59") == "Sun 29 03:59"
    assert opening("Sun 01:30-05:00", "2026-03-29 04:00") == "Sun 05 00:30"


def test_the_clocks_go_back() -> None:
    """On 25 October 2026 London has 01:30 twice: the first is meant, at 00:30 UTC, and it stays open."""
    assert opening("Sun 01:30-05:00", "2026-10-25 00:29") == "Sun 25 00:30"
    assert opening("Sun 01:30-05:00", "2026-10-25 01:10") == "Sun 25 01:10"
    assert opening("Sun 00:00-01:30", "2026-10-25 00:30") == "Sun 01 00:00"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Mon",
        "Mon 8-18",
        "Mon-Fri 08:00",
        "Mo-Fr 08:00-18:00",
        "Mon-Fri 08:60-18:00",
        "Mon-Fri 24:00-06:00",
        "Mon-Fri 08:00-24:01",
        "Mon-Fri-Sat 08:00-18:00",
    ],
)
def test_what_is_no_window_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput, match="write it like Mon-Fri 08:00-18:00"):
        parse_window(text)


_WINDOWS = st.builds(
    lambda first, length, opens, closes: Window(tuple((first + n) % 7 for n in range(length)), opens, closes),
    st.integers(0, 6),
    st.integers(1, 7),
    st.integers(0, 24 * 60 - 1),
    st.integers(0, 24 * 60),
)
_MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
_ZONES = st.sampled_from(["Europe/London", "Asia/Tokyo", "America/St_Johns", "Australia/Lord_Howe", "UTC"])


@given(_WINDOWS)
def test_a_window_reads_as_it_is_written(window: Window) -> None:
    assert parse_window(str(window)) == window


@given(st.lists(_WINDOWS, min_size=1, max_size=3), _ZONES.map(ZoneInfo), _MOMENTS)
def test_the_next_opening_is_open_and_nothing_before_it_is(
    windows: list[Window], zone: ZoneInfo, now: datetime
) -> None:
    opens = next_opening(windows, zone, now)
    assert now <= opens <= now + timedelta(days=8)
    assert next_opening(windows, zone, opens) == opens
    just_before = opens - timedelta(seconds=1)
    if just_before >= now:
        assert next_opening(windows, zone, just_before) == opens


@given(_WINDOWS, _ZONES.map(ZoneInfo), st.dates(date(2020, 1, 1), date(2040, 1, 1)))
def test_a_window_never_closes_before_it_opens(window: Window, zone: ZoneInfo, day: date) -> None:
    assert all(opens <= closes for opens, closes in window.spans(zone, day, 9))
