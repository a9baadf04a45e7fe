"""A letter on its way, and what the replies of its transaction answer."""

from enum import IntEnum

from jlgc_mailer.sending.letters import Letter
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.sending.transports.smtp.ending import Mode
from jlgc_mailer.sending.transports.smtp.envelope import Envelope
from jlgc_mailer.states import Stage

_LOSSES_OF_ITS_OWN = 2  # a letter that twice ended the connection by itself is charged, else it would block for ever
_LOSSES = 20  # nor is it carried from one dying connection to the next without end


class Awaited(IntEnum):
    """What the next reply answers."""

    MAIL = 0
    RCPT = 1
    DATA = 2
    CONTENT = 3
    NOTHING = 4  # the lone dot after a refused recipient: its reply belongs to nobody (RFC 2920 section 3.1)
    RSET = 5
    QUIT = 6


STAGES = (Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.CONTENT, Stage.RCPT, Stage.MAIL, Stage.MAIL)


class Transaction:
    """A letter on its way through one or more connections."""

    __slots__ = ("envelope", "letter", "losses", "mode", "own_losses", "refusal")

    def __init__(self, letter: Letter) -> None:
        self.letter = letter
        self.envelope = Envelope(b"", b"")
        self.losses = self.own_losses = 0
        self.mode = Mode.PLAIN  # in which its envelope went out
        self.refusal: Outcome | None = None

    def lose(self, *, by_itself: bool) -> bool:
        """The connection ended under it; whether it should be tried once more."""
        self.mode = Mode.PLAIN
        self.losses += 1
        self.own_losses += by_itself
        return self.own_losses < _LOSSES_OF_ITS_OWN and self.losses < _LOSSES

    @property
    def is_grouped(self) -> bool:
        """Whether its commands went out in one write."""
        return self.mode is not Mode.PLAIN

    @property
    def is_suspect(self) -> bool:
        """After a loss it goes step by step, which shows where it fails."""
        return self.losses > 0
