"""The pace of an installation of many processes, on the broker's Redis."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jlgc_mailer.errors import SettingError, Unreachable
from jlgc_mailer.sending.pace import SentSince
from jlgc_mailer.sending.pace.budgets import Allowance, Budgets, Leases
from jlgc_mailer.sending.pace.connections import LEASE, Lease
from jlgc_mailer.sending.pace.slots import HORIZON, LIFE, TRANSPORT, Booking, Order, Rate, give_back, spent

_DAY_LIVES = timedelta(days=2)
_SECONDS = 5
_RESERVE = Path(__file__).with_name("reserve.lua").read_text(encoding="utf-8")
_SPENT, _NO_COUNT = -1, -2
_Argument = str | int | float


class RedisPace(Budgets):
    """Budgets on Redis, for all workers. What a flushed Redis forgets costs accuracy for a moment, nothing else."""

    def __init__(self, url: str, sent_since: SentSince) -> None:
        super().__init__(sent_since)
        self._place = _without_password(url)
        try:
            self._redis: Any = redis.Redis.from_url(
                url,
                decode_responses=True,
                socket_connect_timeout=_SECONDS,
                socket_timeout=_SECONDS,
                retry=Retry(NoBackoff(), 1),  # once, for a connection that was idle too long
            )
        except ValueError:
            remedy = "Write memory:// or redis://HOST:PORT/N."
            problem = "is no Redis address that is understood"
            raise SettingError(variable="JLGC_MAILER_BROKER_URL", problem=problem, remedy=remedy) from None
        self._reserve = self._redis.register_script(_RESERVE)

    def close(self) -> None:
        """Give the connections back."""
        self._redis.close()

    def _book(self, transport: str, order: Order, allowance: Allowance | None) -> Booking | None:
        keys = [_key(transport, "slots"), _key(transport, allowance.day.isoformat() if allowance else "day")]
        lines: list[_Argument] = [TRANSPORT, 0, *_numbers(order.transport)]
        for line in order.lines:
            lines += [line.name, line.wanted, *_numbers(line.rate)]
        head: list[_Argument] = [order.now, HORIZON, LIFE, allowance.cap if allowance else ""]
        with self._reachable():
            code, *answer = self._reserve(keys=keys, args=[*head, *lines])
        if code == _NO_COUNT:
            return None
        if code == _SPENT:
            return spent(order)
        return Booking(answer[0], tuple(answer[1:])) if code else Booking(answer[0], (), answer[1])

    def _begin_day(self, transport: str, day: date, count: int) -> None:
        with self._reachable():
            self._redis.set(_key(transport, day.isoformat()), count, nx=True, ex=_DAY_LIVES)

    def _return(
        self, transport: str, now: int, slots: Mapping[str, tuple[int, Rate]], day: date | None, total: int
    ) -> None:
        schedules_at, count_at = _key(transport, "slots"), _key(transport, day.isoformat() if day else "day")

        def change(pipe: Any) -> None:
            schedules = {name: int(booked) for name, booked in pipe.hgetall(schedules_at).items()}
            count = pipe.get(count_at)
            give_back(schedules, now, slots)
            pipe.multi()
            if schedules:
                pipe.hset(schedules_at, mapping=schedules)
            if count is not None:
                pipe.decrby(count_at, min(total, int(count)))

        with self._reachable():
            self._redis.transaction(change, schedules_at, count_at)

    def _change_leases(self, transport: str, change: Callable[[Leases], Leases]) -> Leases:
        key = _key(transport, "connections")

        def replace(pipe: Any) -> Leases:
            before = {worker: Lease(*lease) for worker, lease in json.loads(pipe.get(key) or "{}").items()}
            after = change(before)
            pipe.multi()
            pipe.set(key, json.dumps({worker: astuple(lease) for worker, lease in after.items()}), ex=2 * LEASE)
            return after

        with self._reachable():
            leases: Leases = self._redis.transaction(replace, key, value_from_callable=True)
        return leases

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            raise Unreachable(
                service="broker",
                place=self._place,
                problem=str(error).strip().rstrip("."),
                remedy="Start Redis, or correct JLGC_MAILER_BROKER_URL.",
            ) from error


def _key(transport: str, what: str) -> str:
    """The braces keep a transport's keys on one node of a cluster, where a script may use them together."""
    return f"jlgc_mailer:pace:{{{transport}}}:{what}"


def _numbers(rate: Rate | None) -> tuple[_Argument, ...]:
    return (rate.interval, rate.slice, rate.late) if rate else ("", "", "")


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
