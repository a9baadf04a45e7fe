"""Asked for N a minute, N and 2 % go over any minute: simulated with a clock of its own, on both kinds of pace."""

import heapq
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import accumulate
from math import ceil, floor
from random import Random

import pytest

from jlgc_mailer.sending.pace import Pace
from jlgc_mailer.sending.pace.limits import Limits
from tests.sending.pace.conftest import at

Workers = Callable[[int], list[Pace]]
_SECOND = 1_000_000  # the simulation counts whole microseconds, so that nothing is owed to rounding
_MINUTE = 60 * _SECOND
_MICROSECOND = timedelta(microseconds=1)


@dataclass
class Traffic:
    """When how many messages went."""

    moments: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def minutes(self, since: int, until: int) -> list[int]:
        """The messages of every minute in between that differs from its neighbours.

        Their number changes only where the minute begins or ends at a message, so these are all minutes there are.
        """
        order = sorted(range(len(self.moments)), key=self.moments.__getitem__)
        moments = [self.moments[n] for n in order]
        total = [0, *accumulate(self.counts[n] for n in order)]
        edges = [edge for m in moments for edge in (m, m + 1, m - _MINUTE, m - _MINUTE + 1)]
        return [
            total[bisect_left(moments, edge + _MINUTE)] - total[bisect_left(moments, edge)]
            for edge in edges
            if since * _SECOND <= edge <= until * _SECOND - _MINUTE
        ]


def simulate(
    workers: list[Pace], limits: Limits, wants: Mapping[str, int], seconds: int, sloth: float = 0.05
) -> dict[str, Traffic]:
    """Workers that always have as much to send as `wants`, and ask again when what they were granted has gone.

    Each call comes up to `sloth` seconds later than it could.
    """
    random = Random(1)
    delays = iter(lambda: int(random.random() * sloth * _SECOND), None)
    traffic = {group: Traffic() for group in wants}
    queue = [(next(delays), number) for number in range(len(workers))]
    heapq.heapify(queue)
    while queue[0][0] < seconds * _SECOND:
        now, number = heapq.heappop(queue)
        grant = workers[number].reserve("relay", limits, wants, at(now / _SECOND))
        waits = grant.wait or timedelta(seconds=grant.after)
        for group, count in grant.granted.items():
            traffic[group].moments.append(now + waits // _MICROSECOND)
            traffic[group].counts.append(count)
        assert bool(grant.granted) == (grant.wait is None)
        heapq.heappush(queue, (now + waits // _MICROSECOND + next(delays), number))
    return traffic


def whole(traffic: Mapping[str, Traffic]) -> Traffic:
    """The traffic to everybody."""
    return Traffic(
        [m for each in traffic.values() for m in each.moments], [c for each in traffic.values() for c in each.counts]
    )


@pytest.mark.parametrize("number", [1, 8])
@pytest.mark.parametrize("per_minute", [60, 600, 6_000, 60_000])
@pytest.mark.parametrize("sloth", [0.05, 0.5])
def test_as_many_go_as_were_asked_for_over_any_minute(
    workers: Workers, number: int, per_minute: int, sloth: float
) -> None:
    sent = simulate(workers(number), Limits(per_minute=per_minute), {"example.org": 5_000}, 200, sloth)
    minutes = sent["example.org"].minutes(0, 198)
    assert len(minutes) > 100
    assert max(minutes) <= floor(per_minute * 1.02)
    assert min(minutes) >= ceil(per_minute * 0.98)


@pytest.mark.parametrize("number", [1, 8])
def test_the_promise_holds_for_a_receiver_and_for_the_transport_at_once(workers: Workers, number: int) -> None:
    limits = Limits(per_minute=3_000, domains={"gmail.com": 600, "outlook.com": 120})
    wants = {"example.org": 500, "gmail.com": 500, "outlook.com": 500}
    sent = simulate(workers(number), limits, wants, 200)
    for traffic, rate in ((sent["gmail.com"], 600), (sent["outlook.com"], 120), (whole(sent), 3_000)):
        minutes = traffic.minutes(0, 198)
        assert max(minutes) <= floor(rate * 1.02)
        assert min(minutes) >= ceil(rate * 0.98)


@pytest.mark.parametrize("number", [1, 8])
def test_a_receiver_alone_gets_its_rate_on_a_transport_that_could_do_more(workers: Workers, number: int) -> None:
    limits = Limits(per_minute=6_000, domains={"gmail.com": 60})
    minutes = simulate(workers(number), limits, {"gmail.com": 100}, 200)["gmail.com"].minutes(0, 198)
    assert (min(minutes), max(minutes)) in {(60, 60), (59, 60), (60, 61), (59, 61)}


@pytest.mark.parametrize("per_minute", [1, 7, 49])
def test_a_small_rate_is_never_exceeded(workers: Workers, per_minute: int) -> None:
    sent = simulate(workers(8), Limits(per_minute=per_minute), {"example.org": 10}, 400, sloth=0.2)
    minutes = sent["example.org"].minutes(0, 390)
    assert max(minutes) == per_minute
    assert min(minutes) >= per_minute - 1


@pytest.mark.parametrize("per_minute", [60, 6_000])
def test_idling_saves_nothing_up(pace: Pace, per_minute: int) -> None:
    limits = Limits(per_minute=per_minute)
    first = simulate([pace], limits, {"example.org": 5_000}, 1)["example.org"]
    now = 3_600.0
    burst = 0
    while (grant := pace.reserve("relay", limits, {"example.org": 5_000}, at(now))).granted and not grant.after:
        burst += grant.granted["example.org"]
    assert sum(first.counts) > 0
    assert 1 <= burst <= max(2, per_minute // 50)


@pytest.mark.parametrize("number", [1, 8])
def test_what_is_given_back_makes_no_minute_too_full(workers: Workers, number: int) -> None:
    """Every worker gives a fifth of each grant back at the moment when the rest goes."""
    paces, limits = workers(number), Limits(per_minute=6_000)
    sent = Traffic()
    queue = [(0.001 * n, n, 0) for n in range(number)]
    heapq.heapify(queue)
    while queue[0][0] < 200:
        now, n, unused = heapq.heappop(queue)
        if unused:
            paces[n].give_back("relay", limits, {"example.org": unused}, at(now))
        grant = paces[n].reserve("relay", limits, {"example.org": 5_000}, at(now))
        waits = grant.wait.total_seconds() if grant.wait else grant.after
        count = grant.granted.get("example.org", 0)
        if count:
            sent.moments.append(int((now + waits) * _SECOND))
            sent.counts.append(count - count // 5)
        heapq.heappush(queue, (now + waits + 0.01, n, count // 5))
    minutes = sent.minutes(0, 198)
    assert max(minutes) <= 6_000 * 1.02
    assert min(minutes) >= 6_000 * 0.98
