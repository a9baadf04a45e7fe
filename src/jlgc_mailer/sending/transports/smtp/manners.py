"""How much a relay takes in one write, as learned from what it did."""

from jlgc_mailer.sending.transports.smtp.ending import Ending, Mode, Weight

_DOUBTS = 2  # a connection may end of anything once


class Manners:
    """The mode in which to talk to a relay, for the life of its transport, which is one turn of a worker."""

    def __init__(self) -> None:
        self.mode = Mode.STEADY
        self._doubts = 0
        self._is_guess = False

    def learn(self, ending: Ending, proven: Mode) -> None:
        """Step down when the relay said that it was too much, or hung up on it again and again.

        `proven`: the most that another connection does well with. A guess that did not help is taken back.
        """
        if ending.too_much is None or ending.too_much > self.mode:
            if ending.weight is Weight.FAILED and self._is_guess:
                self._step(Mode.STEADY, is_guess=False)
        elif ending.is_told:
            self._step(Mode(ending.too_much - 1), is_guess=False)
        elif ending.too_much > proven:
            self._doubts += 1
            if self._doubts >= _DOUBTS:
                self._step(Mode(ending.too_much - 1), is_guess=True)

    def _step(self, mode: Mode, *, is_guess: bool) -> None:
        self.mode, self._is_guess, self._doubts = mode, is_guess, 0
