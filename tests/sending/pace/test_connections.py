"""Connections are shared out fairly, and never more are held than the transport takes."""

from collections.abc import Callable
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.sending.pace import Pace
from jlgc_mailer.sending.pace.connections import LEASE, Lease, share_out, without
from jlgc_mailer.sending.pace.limits import Limits
from tests.sending.pace.conftest import START, at

TEN = Limits(max_connections=10)


def test_one_worker_may_have_all(pace: Pace) -> None:
    assert pace.connect("relay", TEN, "a", 20, START) == 10


def test_a_worker_keeps_what_it_has_open_until_it_leaves(workers: Callable[[int], list[Pace]]) -> None:
    one, two = workers(2)
    assert one.connect("relay", TEN, "a", 10, START) == 10
    assert two.connect("relay", TEN, "b", 6, START) == 0
    assert one.connect("relay", TEN, "a", 10, at(10)) == 10, "it cannot close any now"
    one.disconnect("relay", "a")
    assert two.connect("relay", TEN, "b", 6, at(11)) == 6


def test_what_a_modest_worker_leaves_goes_to_the_others(pace: Pace) -> None:
    assert pace.connect("relay", TEN, "a", 2, START) == 2
    assert pace.connect("relay", TEN, "b", 10, START) == 8


def test_connections_are_free_after_leaving_and_when_a_lease_is_over(pace: Pace) -> None:
    pace.connect("relay", TEN, "a", 10, START)
    pace.disconnect("relay", "a")
    assert pace.connect("relay", TEN, "b", 10, START) == 10
    assert pace.connect("relay", TEN, "c", 10, START + LEASE - timedelta(seconds=1)) == 0
    assert pace.connect("relay", TEN, "c", 10, START + LEASE) == 10


def test_a_transport_without_a_maximum_gives_what_is_wanted(pace: Pace) -> None:
    assert pace.connect("relay", Limits(), "a", 500, START) == 500


_EVENTS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 30)), max_size=60)


@given(st.integers(1, 40), _EVENTS)
def test_what_is_really_open_never_exceeds_the_maximum_and_nothing_is_left_unused(
    most: int, events: list[tuple[str, int]]
) -> None:
    """A worker opens what it is told first, and closes nothing before it leaves (here: wants 0)."""
    leases: dict[str, Lease] = {}
    is_open: dict[str, int] = {}
    for worker, wanted in events:
        if not wanted:
            leases = without(leases, worker)
            is_open.pop(worker, None)
            continue
        free = most - sum(is_open.values())
        leases = share_out(leases, worker, wanted, most, START)
        is_open[worker] = is_open.get(worker) or min(wanted, free)
        assert leases[worker].held == is_open[worker]
        assert sum(is_open.values()) <= most
