"""A pace of each kind: in this process, and on a real Valkey."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import redis

from jlgc_mailer.sending.pace import Pace
from jlgc_mailer.sending.pace.in_process import InProcessPace
from jlgc_mailer.sending.pace.on_redis import RedisPace

START = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)  # a Monday


def at(seconds: float) -> datetime:
    """So many seconds after the start."""
    return START + timedelta(seconds=seconds)


@dataclass
class Sent:
    """What the ledger says was sent, and how often it was asked."""

    count: int = 0
    asked: list[tuple[str, datetime]] = field(default_factory=list)

    def since(self, transport: str, moment: datetime) -> int:
        self.asked.append((transport, moment))
        return self.count


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def flushed(valkey_server: str) -> str:
    """The address of an empty Valkey."""
    with redis.Redis.from_url(valkey_server) as client:
        client.flushall()
    return f"{valkey_server}/0"


@pytest.fixture(params=["in process", "redis"])
def workers(request: pytest.FixtureRequest, sent: Sent) -> Iterator[Callable[[int], list[Pace]]]:
    """Gives the paces of so many workers that share their budgets."""
    if request.param == "in process":
        yield lambda number: [InProcessPace(sent.since)] * number
        return
    opened: list[RedisPace] = []

    def make(number: int) -> list[Pace]:
        opened.extend(RedisPace(request.getfixturevalue("flushed"), sent.since) for _ in range(number))
        return [*opened[-number:]]

    yield make
    for pace in opened:
        pace.close()


@pytest.fixture
def pace(workers: Callable[[int], list[Pace]]) -> Pace:
    return workers(1)[0]
