"""Turns under limits: the pace is kept, whoever has to wait is put back with a reason, and another way out is taken."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from jlgc_mailer.bootstrap import Mailer, utc_now
from jlgc_mailer.db.sending import Attempt, Batch
from jlgc_mailer.sending.deliver import deliver_next
from jlgc_mailer.sending.queueing import Queue
from tests import factories
from tests.conftest import Clock
from tests.fakes import Receiver, listening
from tests.sending.conftest import Story

Tell = Callable[..., Story]


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    """Two relays."""
    with ExitStack() as stack:
        yield [stack.enter_context(listening(Receiver())) for _ in range(2)]


def configure(home: Path, *tables: str) -> None:
    """A transports.toml of these tables."""
    (home / "transports.toml").write_text("\n".join(tables))


def table(name: str, port: int, *lines: str) -> str:
    return "\n".join((f"[transports.{name}]", 'host = "127.0.0.1"', f"port = {port}", 'security = "none"', *lines))


def test_a_rate_is_kept_while_the_worker_waits_for_its_slots(make_mailer: Callable[..., Mailer], tell: Tell) -> None:
    """600 a minute are ten a second, in slices of six, the first at once: thirty take two to three seconds."""
    story = tell(30, smtp_per_minute=600, clock=utc_now)
    began = time.monotonic()
    story.run()
    assert 1.7 < time.monotonic() - began < 6
    assert story.lines == {("accepted", None): 30}


def test_a_slow_receiver_holds_up_nobody_else(tell: Tell, receiver: Receiver, tmp_path: Path, clock: Clock) -> None:
    configure(tmp_path, table("relay", receiver.port, "[transports.relay.domains]", '"gmail.com" = 6'))
    addresses = [f"g{n}@gmail.com" for n in range(70)] + [f"r{n}@example.com" for n in range(30)]
    story = tell(0, addresses=addresses, turn_seconds=0)
    worked = story.turn()
    assert worked is not None
    arrived = [address for address in receiver.addresses if address.startswith("r")]
    assert len(arrived) == 30
    assert len(receiver.addresses) < 33
    assert worked.hold == "gmail.com takes at most 6 messages a minute here"
    assert story.account.holds == (worked.hold,)
    assert story.turn() is None, "it is put back, and nobody sleeps on it"
    clock.forward(seconds=9)
    story.turn()
    assert len(receiver.addresses) > 30


def test_a_days_cap_ends_the_day_for_all_batches_at_once(
    tell: Tell, receiver: Receiver, tmp_path: Path, clock: Clock
) -> None:
    configure(tmp_path, table("relay", receiver.port, "daily_cap = 10"))
    story = tell(25, batch_size=3, turn_seconds=20)
    story.run()
    assert len(receiver.received) == 10
    assert story.lines == {("accepted", None): 10, ("pending", None): 15}
    with story.mailer.database.reading() as session:
        waiting = [each for each in session.scalars(select(Batch)) if each.status.value == "ready"]
    assert {each.hold for each in waiting} == {
        "relay has carried the 10 messages of 2026-06-01; more go from 2026-06-02 00:00 (UTC)"
    }
    clock.forward(hours=15)
    story.run()
    assert len(receiver.received) == 20


def test_a_closed_window_holds_the_send_until_it_opens(
    tell: Tell, receiver: Receiver, tmp_path: Path, clock: Clock
) -> None:
    configure(tmp_path, table("relay", receiver.port, 'windows = ["Mon-Fri 18:00-20:00"]', 'zone = "Europe/London"'))
    story = tell(4)
    worked = story.turn()
    assert worked is not None
    assert "18:00" in (worked.hold or "")
    assert story.turn() is None
    clock.forward(hours=9)
    story.run()
    assert story.lines == {("accepted", None): 4}


def test_when_one_transport_fails_the_other_takes_over_and_nobody_is_charged(
    tell: Tell, receivers: list[Receiver], tmp_path: Path
) -> None:
    """S3, fail-over."""
    configure(tmp_path, table("first", 1, "weight = 1000"), table("second", receivers[1].port, "weight = 1"))
    story = tell(8)
    story.run()
    assert len(receivers[1].received) == 8
    assert story.lines == {("accepted", None): 8}
    with story.mailer.database.reading() as session:
        assert {each.transport for each in session.scalars(select(Attempt))} == {"second"}


def test_a_list_goes_its_own_way(tell: Tell, receivers: list[Receiver], tmp_path: Path) -> None:
    configure(
        tmp_path,
        table("ours", receivers[0].port, 'lists = ["news"]'),
        table("theirs", receivers[1].port, 'lists = ["other"]'),
    )
    story = tell(5, turn_seconds=20)
    with story.mailer.database.transaction() as session:
        other = factories.mailing_list(session, "other")
        factories.subscriber(session, other, "o@example.com")
        revision = factories.issue(session, story.mailer, "other-issue")
        factories.send(session, story.mailer, revision, [other])
    story.run()
    assert len(receivers[0].received) == 5
    assert receivers[1].addresses == ["o@example.com"]


def test_connections_of_all_workers_together_are_limited(tell: Tell, receiver: Receiver, tmp_path: Path) -> None:
    configure(tmp_path, table("relay", receiver.port, "connections = 10", "max_connections = 2"))
    story = tell(40)
    receiver.latency = 0.01
    story.run()
    assert story.lines == {("accepted", None): 40}
    assert receiver.connections <= 2


def test_two_hundred_of_a_slow_receiver_hold_up_no_others_and_nobody_spins(
    tell: Tell, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The turn is stopped after four seconds; at one a second the slow ones would take minutes."""
    configure(tmp_path, table("relay", receiver.port, "[transports.relay.domains]", '"gmail.com" = 60'))
    addresses = [f"g{n}@gmail.com" for n in range(200)] + [f"r{n}@example.com" for n in range(200)]
    story = tell(0, addresses=addresses, batch_size=400, clock=utc_now)
    began, looked = time.monotonic(), []

    def patience(queue: Queue, longest: float) -> float:
        looked.append(time.monotonic())
        return spare(queue, longest)

    spare = Queue.patience
    monkeypatch.setattr(Queue, "patience", patience)
    means = replace(story.mailer.means, is_stopping=lambda: time.monotonic() - began > 4)
    deliver_next(means)
    assert sum(address.startswith("r") for address in receiver.addresses) == 200
    assert 3 <= sum(address.startswith("g") for address in receiver.addresses) <= 6
    assert len(looked) < 30 * (time.monotonic() - began), "cycles of the bookkeeper"


def test_a_dead_relay_does_not_eat_the_days_cap(tell: Tell, tmp_path: Path) -> None:
    configure(tmp_path, table("relay", 1, "daily_cap = 10"))
    story = tell(10)
    story.turn()
    limits = story.mailer.means.routes[0].limits
    grant = story.mailer.means.pace.reserve("relay", limits, {"example.com": 50}, story.mailer.means.clock())
    assert sum(grant.granted.values()) == 10
