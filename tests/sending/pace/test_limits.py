"""Limits: what a day allows, and how they read."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.sending.pace.limits import Limits, Ramp
from jlgc_mailer.sending.pace.windows import parse_window

LONDON = ZoneInfo("Europe/London")
FIRST = date(2026, 6, 1)


def test_a_new_sender_warms_up_day_by_day_until_the_cap() -> None:
    limits = Limits(daily_cap=500, ramp=Ramp(FIRST, 50, 2))
    allowed = [limits.cap_on(FIRST + timedelta(days=n)) for n in (-3, 0, 1, 2, 3, 4, 5, 4_000)]
    assert allowed == [50, 50, 100, 200, 400, 500, 500, 500]


@given(st.integers(1, 10**6), st.floats(1.0001, 10), st.integers(1, 10**7), st.integers(-10, 3_000))
def test_a_ramp_never_falls_and_never_leaves_its_bounds(first_day: int, factor: float, cap: int, days: int) -> None:
    limits = Limits(daily_cap=cap, ramp=Ramp(FIRST, first_day, factor))
    today, tomorrow = (limits.cap_on(FIRST + timedelta(days=days + n)) for n in (0, 1))
    assert today is not None
    assert tomorrow is not None
    assert min(first_day, cap) <= today <= tomorrow <= cap


def test_without_a_cap_any_number_may_go() -> None:
    assert Limits().cap_on(FIRST) is None


def test_days_are_those_of_the_zone() -> None:
    limits = Limits(daily_cap=1, zone=LONDON)
    assert limits.today(datetime(2026, 6, 1, 22, 59, tzinfo=UTC)) == FIRST
    assert limits.today(datetime(2026, 6, 1, 23, 0, tzinfo=UTC)) == FIRST + timedelta(days=1)
    assert limits.midnight(FIRST) == datetime(2026, 5, 31, 23, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(), "none"),
        (Limits(per_minute=1_200, max_connections=20), "1,200 a minute, 20 connections"),
        (Limits(domains={"gmail.com": 60}), "gmail.com 60 a minute"),
        (Limits(daily_cap=5_000, ramp=Ramp(FIRST, 50, 1.5)), "5,000 a day, from 50 on 2026-06-01, times 1.5 each day"),
        (
            Limits(windows=(parse_window("Mon-Fri 08:00-18:00"), parse_window("sat 10:00-12:00")), zone=LONDON),
            "Mon-Fri 08:00-18:00, Sat 10:00-12:00 (Europe/London)",
        ),
    ],
)
def test_limits_read_as_words(limits: Limits, words: str) -> None:
    assert str(limits) == words


def test_only_what_holds_letters_back_is_a_limit_of_pace() -> None:
    assert Limits(max_connections=5).are_none
    assert not any(
        limits.are_none
        for limits in (
            Limits(per_minute=1),
            Limits(daily_cap=1),
            Limits(domains={"gmail.com": 1}),
            Limits(windows=(parse_window("Mon 08:00-09:00"),)),
        )
    )
