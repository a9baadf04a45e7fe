"""What delivering needs from outside, and what one turn of it tells."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from jlgc_mailer.db.base import Database
from jlgc_mailer.mail.reports.rules import Rules
from jlgc_mailer.sending.letters import Identity, Signer
from jlgc_mailer.sending.outcomes import RetryPolicy
from jlgc_mailer.sending.pace import Pace
from jlgc_mailer.sending.routes import Route
from jlgc_mailer.sending.transports import Transport
from jlgc_mailer.states import DeliveryStatus


@dataclass(frozen=True)
class Means:
    """What delivering needs from outside.

    `journals` is a folder on local disk. `turn` is how long a worker goes on claiming batches. `is_stopping` tells that
    this process was asked to end. `rules` are those that refusals are read by.
    """

    database: Database
    identity: Identity
    signer: Signer | None
    routes: Sequence[Route]
    open_transport: Callable[[Route, int], Transport]
    pace: Pace
    clock: Callable[[], datetime]
    retry: RetryPolicy
    rules: Callable[[], Rules]
    lease: timedelta
    turn: timedelta
    journals: Path
    is_stopping: Callable[[], bool]


@dataclass
class Worked:
    """What one turn did: attempts by outcome, batches begun and done, and why it stopped early, if it did."""

    outcomes: Counter[DeliveryStatus] = field(default_factory=Counter)
    batches: int = 0
    done: int = 0
    hold: str | None = None

    def count(self, statuses: Iterable[DeliveryStatus]) -> None:
        """These outcomes more."""
        self.outcomes.update(statuses)
