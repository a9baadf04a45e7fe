"""Connections are shared out fairly, and never more are held than the transport takes."""

from collections.abc import Callable
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.sending.pace import Pace
from jlgc_mailer.sending.pace.connections import LEASE, Lease, share_out
from jlgc_mailer.sending.pace.limits import Limits
from tests.sending.pace.conftest import START, at

TEN = Limits(max_connections=10)


def test_one_worker_may_have_all(pace: Pace) -> None:
    assert pace.connect("relay", TEN, "a", 20, START) == 10
    assert pace.connect("relay", TEN, "a", 4, START) == 4


def test_a_second_worker_gets_its_half_once_the_first_has_asked_again(workers: Callable[[int], list[Pace]]) -> None:
    one, two = workers(2)
    assert one.connect("relay", TEN, "a", 10, START) == 10
    assert two.connect("relay", TEN, "b", 10, START) == 0
    assert one.connect("relay", TEN, "a", 10, at(10)) == 5
    assert two.connect("relay", TEN, "b", 10, at(10)) == 5


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


_ASKS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 30)), max_size=60)


@given(st.integers(1, 40), _ASKS)
def test_the_sum_never_exceeds_the_maximum_and_everybody_gets_some_in_time(
    most: int, asks: list[tuple[str, int]]
) -> None:
    leases: dict[str, Lease] = {}
    for worker, wanted in asks:
        leases = share_out(leases, worker, wanted, most, START)
        assert sum(lease.held for lease in leases.values()) <= most
    wants = {name: lease.wanted for name, lease in leases.items()}
    for _ in range(2):
        for worker, wanted in wants.items():
            leases = share_out(leases, worker, wanted, most, START)
    if len(wants) <= most:
        equal = most // max(1, len(wants))
        assert all(lease.held >= min(lease.wanted, equal) for lease in leases.values())
