"""Mailboxes that reports are collected from. A message leaves its mailbox only after it is committed (STANDARDS F8)."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from jlgc_mailer.errors import MailerError
from jlgc_mailer.feedback.message import LIMIT

AT_ONCE = 100  # messages in one transaction
A_VISIT = 1000  # messages; a connection that breaks undoes what it had deleted by POP3, so it must not last too long


class MailboxTrouble(MailerError):
    """A mailbox cannot be opened or read; nothing that was not stored has left it."""

    sentence = "The mailbox at {place} cannot be read: {problem}. What is in it stays there and is tried again."


@dataclass(frozen=True, slots=True)
class Fetched:
    """A message as far as it is kept, with one octet more when it is longer; `key` is what its mailbox knows it by."""

    key: str
    body: bytes


class Visit(Protocol):
    """A mailbox that is open. `waiting` is how many messages were there, `problems` what went wrong with some."""

    waiting: int
    problems: list[str]

    def batches(self) -> Iterator[Sequence[Fetched]]:
        """What waits, oldest first, in pieces that fit into memory."""
        ...

    def settle(self, batch: Sequence[Fetched]) -> None:
        """These are committed: they may go."""
        ...


class Mailbox(Protocol):
    """A place that reports come to, looked into at this interval."""

    @property
    def name(self) -> str:
        """How its owner calls it."""
        ...

    @property
    def every(self) -> timedelta:
        """The interval."""
        ...

    def visit(self) -> AbstractContextManager[Visit]:
        """Open it for a while; raises MailboxTrouble, also from within the block."""
        ...


def in_batches(messages: Iterator[Fetched]) -> Iterator[Sequence[Fetched]]:
    """As many at once as are stored in one transaction, and no more than one more than `LIMIT` octets of them."""
    batch: list[Fetched] = []
    size = 0
    for message in messages:
        batch.append(message)
        size += len(message.body)
        if len(batch) == AT_ONCE or size >= LIMIT:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def least_stumbled(names: Sequence[str], stumbles: Counter[str]) -> list[str]:
    """Those at which the connection broke least often: a bad one is tried when nothing better waits, and alone."""
    least = min((stumbles[name] for name in names), default=0)
    return [name for name in names if stumbles[name] == least]


@contextmanager
def told_as_trouble(
    place: object, kinds: tuple[type[Exception], ...], words: Callable[[Exception], str]
) -> Iterator[None]:
    """Faults of these kinds become MailboxTrouble."""
    try:
        yield
    except kinds as error:
        raise MailboxTrouble(place=place, problem=words(error).strip().rstrip(".") or type(error).__name__) from error
