"""Letters, and a supply of them that remembers what it was told."""

import socket
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from jlgc_mailer.sending.letters import Letter, Recipient
from jlgc_mailer.sending.outcomes import Outcome

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def a_letter(number: int, address: str | None = None, size: int = 300, sender: str | None = None) -> Letter:
    """A letter to r<number>@example.com, about so many octets long, that names its number."""
    address = f"r{number}@example.com" if address is None else address
    recipient = Recipient(number, 0, NOON, number, address, "", 1, 1)
    content = f"Subject: {number}\r\n\r\n".encode() + b"The quick brown fox jumps.\r\n" * (size // 28)
    return Letter(recipient, sender or f"b+{number}@bounce.example.org", address, content, f"id-{number}")


def letters(number: int, size: int = 300) -> list[Letter]:
    """Letters to r0@example.com, r1@example.com ..."""
    return [a_letter(each, size=size) for each in range(number)]


def accepted(number: int) -> dict[str, str]:
    """What became of so many letters when nothing went wrong."""
    return {f"r{n}@example.com": "accepted" for n in range(number)}


class Stock:
    """A supply of given letters. A test adds more, ends it with `finish` or stops it with `stop`, from any thread."""

    def __init__(self, given: Iterable[Letter] = (), *, is_over: bool = True) -> None:
        self.is_over = is_over
        self.is_stopped = False
        self.settled: list[tuple[Letter, Outcome]] = []
        self.announced: set[str] = set()
        self.returned: list[Letter] = []
        self.given: list[Letter] = []
        self.notes = 0
        self._waiting = list(given)
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)

    def fileno(self) -> int:
        return self._near.fileno()

    def heard(self) -> None:
        self._near.recv(4096)

    def next(self) -> Letter | None:
        assert not self.is_stopped
        if not self._waiting:
            return None
        self.given.append(self._waiting.pop(0))
        return self.given[-1]

    def note(self, settled: Sequence[tuple[Letter, Outcome]], going_out: Sequence[Letter]) -> None:
        self.notes += 1
        self.settled += settled
        self.announced |= {each.address for each in going_out}

    def put_back(self, letters: Sequence[Letter]) -> None:
        self.returned += letters

    def add(self, *more: Letter) -> None:
        self._waiting += more
        self._far.send(b".")

    def finish(self) -> None:
        self.is_over = True
        self._far.send(b".")

    def stop(self) -> None:
        self.is_stopped = True
        self._far.send(b".")

    def close(self) -> None:
        self._near.close()
        self._far.close()

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """By address; every letter that was given is here or among those put back, and once."""
        accounted = [letter.address for letter, _ in self.settled] + [letter.address for letter in self.returned]
        assert sorted(accounted) == sorted(letter.address for letter in self.given)
        return {letter.address: outcome for letter, outcome in self.settled}

    @property
    def statuses(self) -> dict[str, str]:
        """What became of whom."""
        return {address: outcome.status.value for address, outcome in self.outcomes.items()}
