"""What is promised, asked of the ledger and of the receiver: two accounts of the same that have to agree."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from jlgc_mailer.states import DeliveryStatus, UncertainPolicy
from tests.chaos.receiver import Kept

_PER_CONNECTION = 2
_SETTLED = {DeliveryStatus.ACCEPTED, DeliveryStatus.REFUSED, DeliveryStatus.UNCERTAIN}
_SHOWN = 5


@dataclass(frozen=True)
class Entry:
    """What the ledger says of one recipient: how the delivery stands, and how many attempts ended how."""

    status: DeliveryStatus
    attempts: int
    outcomes: Mapping[DeliveryStatus, int]

    @property
    def uncertain(self) -> int:
        """How often nobody knows whether the receiver took it."""
        return self.outcomes.get(DeliveryStatus.UNCERTAIN, 0)


@dataclass(frozen=True)
class Story:
    """One send as both sides tell it."""

    policy: UncertainPolicy
    readers: Collection[str]
    ledger: Mapping[str, Entry]
    kept: Kept

    def copies(self, address: str) -> int:
        """How many copies the receiver has."""
        return len(self.kept.copies.get(address, ()))

    def standing(self, status: DeliveryStatus) -> int:
        """How many deliveries stand so."""
        return sum(entry.status is status for entry in self.ledger.values())

    @property
    def uncertain(self) -> int:
        """Attempts of which nobody knows how they ended."""
        return sum(entry.uncertain for entry in self.ledger.values())

    @property
    def silences(self) -> int:
        """Connections that the receiver closed where it owed a reply."""
        return sum(self.kept.silences[address] for address in self.ledger)

    @property
    def again(self) -> int:
        """Copies beyond the first."""
        return sum(max(self.copies(address) - 1, 0) for address in self.readers)


def lost(story: Story) -> Iterator[str]:
    """Nobody is lost: everybody is in the ledger and settled, and whoever is accepted was received."""
    for address in story.readers:
        entry = story.ledger.get(address)
        if entry is None or entry.status not in _SETTLED:
            yield f"{address} is {entry.status if entry else 'not in the ledger'}"
        elif entry.status is DeliveryStatus.ACCEPTED and not story.copies(address):
            yield f"{address} is accepted, and the receiver does not have it"


def doubled(story: Story) -> Iterator[str]:
    """Nobody gets more copies than one and those that were sent again after an uncertain attempt; held, only one."""
    for address, copies in story.kept.copies.items():
        entry = story.ledger.get(address)
        resent = entry.uncertain if entry and story.policy is UncertainPolicy.RESEND else 0
        if entry and len(copies) > 1 + resent:
            yield f"{address} has {len(copies)} copies with {entry.uncertain} uncertain attempts"


def disagreeing(story: Story) -> Iterator[str]:
    """What the receiver has, the ledger says, attempt by attempt; what was refused, the receiver does not have."""
    for address, entry in story.ledger.items():
        accepted = entry.outcomes.get(DeliveryStatus.ACCEPTED, 0)
        if not accepted <= story.copies(address) <= accepted + entry.uncertain:
            yield f"{address} has {story.copies(address)} copies, the ledger {accepted} + {entry.uncertain} uncertain"
        if sum(entry.outcomes.values()) != entry.attempts or accepted != (entry.status is DeliveryStatus.ACCEPTED):
            yield f"{address} is {entry.status} after {entry.attempts} attempts: {dict(entry.outcomes)}"


def changed(story: Story) -> Iterator[str]:
    """All copies for one recipient are the same octets, and no two recipients share a Message-ID (STANDARDS M12)."""
    kept = {address: copies for address, copies in story.kept.copies.items() if address in story.ledger}
    for address, copies in kept.items():
        if len(set(copies)) > 1:
            yield f"{address} got {len(set(copies))} different letters"
    shared = Counter(copies[0].message_id for copies in kept.values())
    yield from (f"{times} recipients share the Message-ID {name!r}" for name, times in shared.items() if times > 1)


def most_uncertain(connections: int, kills: int) -> int:
    """How many attempts so many killed processes may have left uncertain."""
    return _PER_CONNECTION * connections * kills


def broken(stories: Collection[Story], connections: int, kills: int) -> list[str]:
    """Every promise that was not kept, with the first cases of it."""
    found = []
    for story in stories:
        for promise in (lost, doubled, disagreeing, changed):
            cases = list(promise(story))
            if cases:
                first = "; ".join(cases[:_SHOWN])
                found.append(f"{story.policy}: {len(cases)} {promise.__name__}: {first}")
    strangers = {address for story in stories for address in story.kept.copies}
    strangers.difference_update(*(story.ledger for story in stories))
    if strangers:
        found.append(f"{len(strangers)} got a letter and are in no ledger: {'; '.join(sorted(strangers)[:_SHOWN])}")
    uncertain = sum(story.uncertain - story.silences for story in stories)
    if uncertain > most_uncertain(connections, kills):
        found.append(f"{uncertain} uncertain by {kills} kills of processes with {connections} connections")
    return found
