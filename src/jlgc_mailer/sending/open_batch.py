"""A batch in the hands of a worker."""

from dataclasses import dataclass, field
from datetime import datetime

from jlgc_mailer.sending.claim import Claim
from jlgc_mailer.sending.letters import Recipient, Stationery
from jlgc_mailer.states import UncertainPolicy


@dataclass
class OpenBatch:
    """A claimed batch: how far it was looked at, and who of it is somewhere on the way."""

    claim: Claim
    stationery: Stationery
    policy: UncertainPolicy
    urgent: bool
    looked_at: int = 0
    is_through: bool = False
    out: dict[int, Recipient] = field(default_factory=dict)
    not_before: datetime | None = None
    hold: str | None = None

    def defer(self, until: datetime, why: str) -> None:
        """It is due again when the first of those whom it had to leave out can go."""
        if self.not_before is None or until < self.not_before:
            self.not_before, self.hold = until, why
