"""Real mail servers as relays between us and everybody else: what they write about letters that fail is genuine.

Each puts mail for the domains below where it is told, keeps the local domain itself, and gives up after seconds.
"""

from dataclasses import dataclass

FAR = "far.example"  # a receiver behind the relay
DOWN = "down.example"  # nobody listens there
NOWHERE = "nowhere.example"  # there is no such domain
HERE = "here.example"  # the relay's own: one mailbox, which is full, and one address that is forwarded
FULL, FORWARDED, FORWARDED_TO = f"full@{HERE}", f"friend@{HERE}", f"successor@{FAR}"


@dataclass(frozen=True)
class Ports:
    """Where the relay listens on loopback, and where it finds the others: the receiver, nobody, and us by LMTP."""

    relay: int
    far: int
    nobody: int
    bounces: int
