"""Connections of a transport, shared out among the workers under leases."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

LEASE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Lease:
    """What a worker has open, and what it would like; believed until then (seconds since 1970)."""

    held: int
    wanted: int
    until: float


def share_out(leases: Mapping[str, Lease], worker: str, wanted: int, most: int, now: datetime) -> dict[str, Lease]:
    """The leases after this worker has asked, without those that are over.

    It gets its fair share. What the others hold beyond theirs is not free until they ask again and are told less, so
    the sum never exceeds `most`.
    """
    others = {name: lease for name, lease in leases.items() if name != worker and lease.until > now.timestamp()}
    free = max(0, most - sum(lease.held for lease in others.values()))
    fair = _fair_shares({**{name: lease.wanted for name, lease in others.items()}, worker: wanted}, most)[worker]
    return {**others, worker: Lease(min(fair, free), wanted, (now + LEASE).timestamp())}


def _fair_shares(wants: Mapping[str, int], most: int) -> dict[str, int]:
    """Equal parts; what the modest leave of theirs goes to the others (max-min fairness)."""
    shares = {}
    for served, (wanted, worker) in enumerate(sorted((wanted, worker) for worker, wanted in wants.items())):
        shares[worker] = min(wanted, most // (len(wants) - served))
        most -= shares[worker]
    return shares


def without(leases: Mapping[str, Lease], worker: str) -> dict[str, Lease]:
    """The leases after this worker has gone."""
    return {name: lease for name, lease in leases.items() if name != worker}
