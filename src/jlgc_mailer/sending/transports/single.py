"""Sending one letter, for a person who waits for the answer."""

import os
from collections.abc import Sequence

from jlgc_mailer.errors import MailerError
from jlgc_mailer.sending.letters import Letter
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.sending.transports import Transport


class TransportTrouble(MailerError):
    """The way out itself fails."""

    sentence = "{trouble} See to the relay, or to the settings of this transport."


def send_one(transport: Transport, letter: Letter) -> Outcome:
    """What became of the letter; raises TransportTrouble when the fault is not the recipient's."""
    readable, writable = os.pipe()
    try:
        supply = _One(letter, readable)
        trouble = transport.deliver(supply)
    finally:
        os.close(readable)
        os.close(writable)
    if supply.outcome is None:
        raise TransportTrouble(trouble=trouble or "The relay did not take the letter.")
    return supply.outcome


class _One:
    """A supply of one letter. Nothing ever changes about it, so its descriptor never becomes readable."""

    is_stopped = False

    def __init__(self, letter: Letter, descriptor: int) -> None:
        self.outcome: Outcome | None = None
        self._waiting: Letter | None = letter
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def heard(self) -> None:
        pass

    def next(self) -> Letter | None:
        letter, self._waiting = self._waiting, None
        return letter

    @property
    def is_over(self) -> bool:
        return self._waiting is None

    def note(self, settled: Sequence[tuple[Letter, Outcome]], going_out: Sequence[Letter]) -> None:
        for _, self.outcome in settled:
            pass

    def put_back(self, letters: Sequence[Letter]) -> None:
        pass
