"""Measuring two ways of doing the same in turns, so that a noisy machine disturbs both alike."""

import time
from collections.abc import Callable
from statistics import median


def seconds_of(work: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def medians(rounds: int, *works: Callable[[], object]) -> list[float]:
    """The median seconds of each, over interleaved rounds."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, seconds in zip(works, taken, strict=True):
            seconds.append(seconds_of(work))
    return [median(seconds) for seconds in taken]
