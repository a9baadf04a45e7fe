"""Connections of a transport, shared out among the workers under leases."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

LEASE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Lease:
    """What a worker may have open; believed until then (seconds since 1970)."""

    held: int
    until: float


def share_out(leases: Mapping[str, Lease], worker: str, wanted: int, most: int, now: datetime) -> dict[str, Lease]:
    """The leases after this worker has asked, without those that are over.

    It gets what the others leave. While its lease lasts it keeps just that, however often it asks: it has opened them
    by then, and neither closes nor opens any in the middle of a turn. So the sum of what is open never exceeds `most`.
    """
    living = {name: lease for name, lease in leases.items() if lease.until > now.timestamp()}
    free = max(0, most - sum(lease.held for lease in living.values()))
    mine = living[worker].held if worker in living else 0
    return {**living, worker: Lease(mine or min(wanted, free), (now + LEASE).timestamp())}


def without(leases: Mapping[str, Lease], worker: str) -> dict[str, Lease]:
    """The leases after this worker has gone."""
    return {name: lease for name, lease in leases.items() if name != worker}
