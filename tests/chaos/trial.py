"""A trial: a newsletter goes out, things are killed at random moments, and then both sides are heard."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jlgc_mailer.errors import Unreachable
from tests.chaos import verdict
from tests.chaos.installation import Installation, Strike, are_finished, postgresql, schedule, sqlite, story
from tests.chaos.processes import Processes, running
from tests.chaos.receiver import Kept, receiving
from tests.chaos.verdict import Story

LATENCY = 0.02
_LAST_BLOW = 0.95  # of the way: it has to hurt somebody
_LONGEST_PAUSE = 0.5  # seconds between a kill and the new start
_LOOK = 0.05
_Pair = Callable[[Path, int, int], AbstractContextManager[Installation]]
PAIRS: dict[str, _Pair] = {"postgresql": postgresql, "sqlite": sqlite}


@dataclass(frozen=True)
class Plan:
    """What to do: `readers` get each of two sends, one for each policy. `seconds` is the end of patience."""

    pair: str
    readers: int
    kills: int
    connections: int
    seconds: float
    seed: int


@dataclass(frozen=True)
class Report:
    """What came of it."""

    plan: Plan
    stories: Sequence[Story]
    strikes: Counter[str]
    hits: int
    connections: int
    ended_alone: int
    seconds: float

    @property
    def most_uncertain(self) -> int:
        """How many attempts may be uncertain by the kills."""
        return verdict.most_uncertain(self.connections, self.hits)

    @property
    def broken(self) -> list[str]:
        """Promises that were not kept."""
        return verdict.broken(self.stories, self.connections, self.hits)


class OutOfPatience(Exception):
    """It did not end in time."""


def run(plan: Plan, folder: Path) -> Report:
    """Carry the plan out in this folder, which keeps ledger and logs. Raises OutOfPatience."""
    began = time.monotonic()
    with receiving(LATENCY) as receiver, PAIRS[plan.pair](folder, receiver.port, plan.connections) as place:
        sends = schedule(place.mailer, plan.readers)
        with running(place.processes) as processes:
            patience = partial(_wait_for, processes, began + plan.seconds)
            struck = list(_strike(plan, place, receiver.kept, patience))
            patience(partial(_is_over, place))
        stories = [
            story(place.mailer, send_id, policy, plan.readers, receiver.kept) for policy, send_id in sends.items()
        ]
    counted = Counter(each.name for each in struck)
    hits = sum(each.hits_wire for each in struck)
    return Report(plan, stories, counted, hits, place.connections, processes.ended_alone, time.monotonic() - began)


def _strike(
    plan: Plan, place: Installation, kept: Kept, wait_for: Callable[[Callable[[], bool]], None]
) -> Iterator[Strike]:
    """Blows at random points of the way, whatever is going on there; each victim is up again after a moment."""
    dice = random.Random(plan.seed)
    way = plan.readers * 2
    points = sorted(dice.uniform(0, _LAST_BLOW) * way for _ in range(plan.kills))
    kinds = dice.choices(place.strikes, [each.weight for each in place.strikes], k=plan.kills)
    for point, strike in zip(points, kinds, strict=True):
        wait_for(lambda point=point: kept.ends >= point)
        time.sleep(dice.uniform(0, _LONGEST_PAUSE))
        wait_for(strike.blow)
        time.sleep(dice.uniform(0, _LONGEST_PAUSE))
        yield strike


def _wait_for(processes: Processes, deadline: float, condition: Callable[[], bool]) -> None:
    """What has ended is started again meanwhile."""
    while not condition():
        if time.monotonic() > deadline:
            raise OutOfPatience
        processes.revive()
        time.sleep(_LOOK)


def _is_over(place: Installation) -> bool:
    try:
        return are_finished(place.mailer)
    except Unreachable:
        return False
