"""Budgets: the same questions to the pace in this process and to the one on a real Valkey."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from zoneinfo import ZoneInfo

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.errors import SettingError, Unreachable
from jlgc_mailer.sending.pace import Grant, Pace
from jlgc_mailer.sending.pace.in_process import InProcessPace
from jlgc_mailer.sending.pace.limits import Limits, Ramp
from jlgc_mailer.sending.pace.on_redis import RedisPace
from jlgc_mailer.sending.pace.windows import parse_window
from tests.sending.pace.conftest import START, Sent, at
from tests.servers import free_port

LONDON = ZoneInfo("Europe/London")


def test_without_limits_everything_goes_at_once(pace: Pace) -> None:
    assert pace.reserve("relay", Limits(), {"gmail.com": 7, "example.org": 3}, START) == Grant(
        {"gmail.com": 7, "example.org": 3}
    )


def test_without_limits_nobody_is_asked(sent: Sent) -> None:
    """Nothing listens at the address, so any question would fail."""
    pace = RedisPace(f"redis://127.0.0.1:{free_port()}/0", sent.since)
    unlimited, slow_gmail = Limits(), Limits(domains={"gmail.com": 1})
    assert pace.reserve("relay", unlimited, {"gmail.com": 7}, START).granted == {"gmail.com": 7}
    assert pace.reserve("relay", slow_gmail, {"example.org": 7}, START).granted == {"example.org": 7}
    pace.give_back("relay", unlimited, {"gmail.com": 7}, START)
    pace.give_back("relay", slow_gmail, {"example.org": 7}, START)
    assert pace.connect("relay", unlimited, "worker", 10, START) == 10
    pace.disconnect("relay", "worker")


def test_who_wants_nothing_gets_nothing(pace: Pace) -> None:
    assert pace.reserve("relay", Limits(per_minute=60), {}, START) == Grant({})
    assert pace.reserve("relay", Limits(per_minute=60), {"example.org": 0}, START) == Grant({})


def test_slots_are_handed_out_as_far_as_the_horizon(pace: Pace) -> None:
    limits, wanted = Limits(per_minute=60), {"example.org": 5}
    grants = [pace.reserve("relay", limits, wanted, START) for _ in range(5)]
    assert [grant.after for grant in grants[:3]] == [0, pytest.approx(0.4), pytest.approx(1.4)]
    assert [grant.granted for grant in grants] == [{"example.org": 1}] * 3 + [{}] * 2
    assert grants[3] == grants[4]
    assert grants[3].wait == timedelta(seconds=0.4)
    assert grants[3].why == "relay takes at most 60 messages a minute here"
    assert pace.reserve("relay", limits, wanted, at(0.4)).after == pytest.approx(2)


def test_a_slow_receiver_holds_nobody_else_up(pace: Pace) -> None:
    limits = Limits(per_minute=6_000, domains={"gmail.com": 6})
    wanted = {"example.org": 10, "gmail.com": 10}
    assert pace.reserve("relay", limits, wanted, START).granted == {"gmail.com": 1, "example.org": 10}
    assert pace.reserve("relay", limits, wanted, START).granted == {"example.org": 10}
    refused = pace.reserve("relay", limits, {"gmail.com": 10}, START)
    assert (refused.granted, refused.wait) == ({}, timedelta(seconds=8))
    assert refused.why == "gmail.com takes at most 6 messages a minute here"
    assert pace.reserve("relay", limits, {"gmail.com": 10}, at(9)) == Grant({"gmail.com": 1}, after=1)


def test_transports_do_not_share(pace: Pace) -> None:
    limits = Limits(per_minute=1)
    assert pace.reserve("one", limits, {"example.org": 1}, START).granted
    assert pace.reserve("two", limits, {"example.org": 1}, START).granted
    assert not pace.reserve("one", limits, {"example.org": 1}, START).granted


def test_a_clock_that_is_behind_does_not_turn_the_schedule_back(workers: Callable[[int], list[Pace]]) -> None:
    ahead, behind = workers(2)
    limits = Limits(per_minute=600)
    first = ahead.reserve("relay", limits, {"example.org": 12}, at(1))
    second = behind.reserve("relay", limits, {"example.org": 6}, at(0.5))
    assert (first.granted, first.after) == ({"example.org": 12}, 0)
    assert (second.granted, second.after) == ({"example.org": 6}, pytest.approx(1.6 - 0.5))


def test_a_clock_that_is_wrong_by_hours_stops_nobody(workers: Callable[[int], list[Pace]]) -> None:
    wrong, right = workers(2)
    limits = Limits(per_minute=60)
    assert wrong.reserve("relay", limits, {"example.org": 1}, at(7_200)).granted
    assert right.reserve("relay", limits, {"example.org": 1}, START).granted


def test_a_closed_window_grants_nothing_and_says_until_when(pace: Pace) -> None:
    limits = Limits(windows=(parse_window("Mon-Fri 08:00-18:00"),), zone=LONDON)
    assert pace.reserve("relay", limits, {"example.org": 3}, START).granted == {"example.org": 3}
    evening = datetime(2026, 6, 5, 18, 30, tzinfo=UTC)
    refused = pace.reserve("relay", limits, {"example.org": 3}, evening)
    assert (refused.granted, refused.wait) == ({}, timedelta(days=2, hours=12, minutes=30))
    assert refused.why == "relay sends Mon-Fri 08:00-18:00 (Europe/London) only, next from 2026-06-08 08:00"


def test_the_day_has_one_count_for_all_workers(workers: Callable[[int], list[Pace]], sent: Sent) -> None:
    one, two = workers(2)
    limits = Limits(daily_cap=10, zone=LONDON)
    sent.count = 3
    assert one.reserve("relay", limits, {"example.org": 4}, START).granted == {"example.org": 4}
    assert two.reserve("relay", limits, {"a.example": 2, "b.example": 9}, START).granted == {
        "a.example": 2,
        "b.example": 1,
    }
    refused = one.reserve("relay", limits, {"example.org": 1}, START)
    assert (refused.granted, refused.wait) == ({}, timedelta(hours=14))
    assert refused.why == (
        "relay has carried the 10 messages of 2026-06-01; more go from 2026-06-02 00:00 (Europe/London)"
    )
    assert sent.asked == [("relay", datetime(2026, 5, 31, 23, 0, tzinfo=UTC))]
    sent.count = 0
    assert two.reserve("relay", limits, {"example.org": 40}, at(14 * 3600)).granted == {"example.org": 10}


def test_the_cap_of_a_day_in_the_ramp_counts(pace: Pace) -> None:
    limits = Limits(daily_cap=1_000, ramp=Ramp(START.date() - timedelta(days=2), 5, 2))
    assert pace.reserve("relay", limits, {"example.org": 100}, START).granted == {"example.org": 20}


def test_what_was_not_attempted_is_given_back_to_the_day(pace: Pace) -> None:
    limits = Limits(daily_cap=10)
    pace.reserve("relay", limits, {"example.org": 10}, START)
    pace.give_back("relay", limits, {"example.org": 4}, START)
    assert pace.reserve("relay", limits, {"example.org": 10}, START).granted == {"example.org": 4}
    pace.give_back("relay", limits, {"example.org": 400}, START)
    assert pace.reserve("relay", limits, {"example.org": 100}, START).granted == {"example.org": 10}


def test_slots_that_have_not_begun_are_given_back(pace: Pace) -> None:
    limits, wanted = Limits(per_minute=60, domains={"gmail.com": 60}), {"gmail.com": 1}
    while pace.reserve("relay", limits, wanted, START).granted:
        pass
    pace.give_back("relay", limits, {"gmail.com": 1}, START)
    assert pace.reserve("relay", limits, wanted, START).granted == {"gmail.com": 1}
    assert not pace.reserve("relay", limits, wanted, START).granted


def test_slots_that_are_gone_cannot_be_given_back(pace: Pace) -> None:
    """Else a worker could save up a burst."""
    limits, wanted = Limits(per_minute=60), {"example.org": 1}
    pace.reserve("relay", limits, wanted, START)
    pace.give_back("relay", limits, {"example.org": 50}, at(10))
    at_once = [pace.reserve("relay", limits, wanted, at(10)).after for _ in range(3)]
    assert at_once == [0, pytest.approx(0.4), pytest.approx(1.4)]


def test_a_flushed_redis_costs_accuracy_for_a_moment(flushed: str, sent: Sent) -> None:
    pace, limits = RedisPace(flushed, sent.since), Limits(per_minute=60, daily_cap=10)
    while pace.reserve("relay", limits, {"example.org": 1}, START).granted:
        pass
    with redis.Redis.from_url(flushed) as client:
        keys = list(client.scan_iter())
        assert len(keys) == 2
        assert all(int(client.ttl(key)) > 0 for key in keys)
        client.flushall()
        client.script_flush()
    sent.count = 9
    assert pace.reserve("relay", limits, {"example.org": 1}, START).granted == {"example.org": 1}
    assert "has carried the 10 messages" in (pace.reserve("relay", limits, {"example.org": 1}, START).why or "")
    assert len(sent.asked) == 2
    pace.close()


def test_an_unreachable_redis_is_one_sentence_without_its_password(sent: Sent) -> None:
    port = free_port()
    pace, limits = RedisPace(f"redis://:geheim@127.0.0.1:{port}/0", sent.since), Limits(per_minute=1, max_connections=1)
    for ask in (
        lambda: pace.reserve("relay", limits, {"example.org": 1}, START),
        lambda: pace.give_back("relay", limits, {"example.org": 1}, START),
        lambda: pace.connect("relay", limits, "worker", 1, START),
    ):
        with pytest.raises(Unreachable) as caught:
            ask()
        assert str(caught.value).startswith(f"Cannot reach the broker at redis://127.0.0.1:{port}/0: ")
        assert str(caught.value).endswith("Start Redis, or correct JLGC_MAILER_BROKER_URL.")
        assert "geheim" not in str(caught.value)


def test_an_address_that_is_no_redis_is_told(sent: Sent) -> None:
    with pytest.raises(SettingError, match="JLGC_MAILER_BROKER_URL: is no Redis address"):
        RedisPace("amqp://localhost", sent.since)


_GROUPS = ("gmail.com", "outlook.com", "example.org")
_RATES = st.none() | st.sampled_from([1, 7, 49, 50, 99, 600, 7_777, 60_000])
_CALLS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(_GROUPS), st.integers(0, 900)),
        st.integers(0, 3_000),
        st.sampled_from([1, 1, 0]),
    ),
    max_size=25,
)


@given(_RATES, st.dictionaries(st.sampled_from(_GROUPS[:2]), _RATES.filter(bool)), st.none() | st.just(500), _CALLS)
def test_both_kinds_answer_alike(
    flushed: str,
    per_minute: int | None,
    domains: dict[str, int],
    cap: int | None,
    calls: list[tuple[dict[str, int], int, int]],
) -> None:
    limits = Limits(per_minute=per_minute, domains=domains, daily_cap=cap)
    sent = Sent()
    with redis.Redis.from_url(flushed) as client:
        client.flushall()
    here, there = InProcessPace(sent.since), RedisPace(flushed, sent.since)
    milliseconds = 0
    for wanted, pause, is_asking in calls:
        milliseconds += pause
        now = at(milliseconds / 1000)
        if is_asking:
            answer = here.reserve("relay", limits, wanted, now)
            assert there.reserve("relay", limits, wanted, now) == answer
            assert all(0 < n <= wanted[group] for group, n in answer.granted.items())
            assert 0 <= answer.after <= 2
        else:
            here.give_back("relay", limits, wanted, now)
            there.give_back("relay", limits, wanted, now)
    there.close()


def _all_at_once(paces: list[Pace], work: Callable[[Pace], int]) -> list[int]:
    """What `work` gives for each pace, in a thread for each."""
    together = Barrier(len(paces), timeout=20)

    def begin(pace: Pace) -> int:
        together.wait()
        return work(pace)

    with ThreadPoolExecutor(len(paces)) as pool:
        return [*pool.map(begin, paces)]


def test_workers_at_the_same_moment_share_no_slot(workers: Callable[[int], list[Pace]]) -> None:
    limits = Limits(per_minute=60_000, domains={"gmail.com": 6_000}, daily_cap=100_000)

    def take_all(pace: Pace, transport: str) -> int:
        taken = 0
        while (grant := pace.reserve(transport, limits, {"gmail.com": 7, "example.org": 5}, START)).granted:
            taken += sum(grant.granted.values())
        return taken

    paces = workers(8)
    alone = take_all(paces[0], "alone")
    assert alone > 1_000
    assert sum(_all_at_once(paces, lambda pace: take_all(pace, "together"))) == alone


def test_workers_at_the_same_moment_share_no_connection(workers: Callable[[int], list[Pace]]) -> None:
    limits, paces = Limits(max_connections=10), workers(8)
    names = iter("abcdefgh")
    held = _all_at_once(paces, lambda pace: pace.connect("relay", limits, next(names), 3, START))
    assert 0 < sum(held) <= 10
