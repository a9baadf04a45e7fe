"""Ways out: each takes letters from a supply and says what became of every one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from jlgc_mailer.sending.letters import Letter
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.states import Stage


class Supply(Protocol):
    """Where a transport gets its letters, and whom it tells what became of them.

    A transport calls it from one thread. Calls return at once but for `note`, which may take a write to disk, and
    `next`, which may take as long as making a letter.
    """

    def fileno(self) -> int:
        """A descriptor that becomes readable when `next` may give again or when `is_over` or `is_stopped` changed."""
        ...

    def heard(self) -> None:
        """Make the descriptor unreadable again, before looking at what has changed."""
        ...

    def next(self) -> Letter | None:
        """The next letter, whose envelope may go out now; None when there is none at this moment."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether no more letters will come: end when all are answered."""
        ...

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more may go out (a pause, a lost lease): abandon all whose content has not begun."""
        ...

    def note(self, settled: Sequence[tuple[Letter, Outcome]], going_out: Sequence[Letter]) -> None:
        """Write down what became of `settled`, and that the content of `going_out` follows.

        Returns when both survive the death of this process; not an octet of that content goes out before.
        """
        ...

    def put_back(self, letters: Sequence[Letter]) -> None:
        """These were not attempted after all; nobody is charged (STANDARDS S3)."""
        ...


class Transport(Protocol):
    """A way out with any number of connections; it keeps them until it is closed."""

    name: str

    def deliver(self, supply: Supply) -> "Trouble | None":
        """Send until the supply is over or stopped; or until the way out itself fails, and then why.

        Every letter that `next` gave was noted as settled or put back when this returns.
        """
        ...

    def close(self) -> None:
        """Take leave (QUIT) and close; to be called once at the end, also after trouble."""
        ...


@dataclass(frozen=True, slots=True)
class Trouble:
    """The way out itself fails: no recipient is charged (STANDARDS S3).

    `for_operator`: trying again cannot help, such as a wrong password (535): stop and alert.
    """

    place: str
    stage: Stage
    problem: str
    for_operator: bool = False

    def __str__(self) -> str:
        return f"The relay {self.place} does not take mail ({self.stage}): {self.problem}."
