"""A relay that refuses every recipient refuses us (STANDARDS S3)."""

import re
from collections.abc import Sequence
from dataclasses import replace

from jlgc_mailer.mail.replies import Reply, classify
from jlgc_mailer.sending.letters import Letter
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.states import DeliveryStatus, ReplyClass, Stage

Settled = tuple[Letter, Outcome]

_IN_A_ROW = 3
_RELAY_WORDS = re.compile(
    r"relay(ing)?\b.{0,40}\b(denied|not (permitted|allowed)|prohibited|disallowed)"
    r"|(unable|not (permitted|allowed)) to relay|authentication (is )?required",
    re.IGNORECASE,
)


class Denials:
    """Until somebody was accepted, a denial is held back: it may be about us. The third in a row is."""

    def __init__(self) -> None:
        self._is_trusted = False
        self._held: list[Settled] = []

    def trust(self) -> None:
        """Somebody was accepted as a recipient."""
        self._is_trusted = True

    def sift(self, settled: Sequence[Settled]) -> list[Settled]:
        """What may be written down of these and of those held back."""
        if self._is_trusted:
            held, self._held = self._held, []
            return [*settled, *held]
        passed: list[Settled] = []
        for each in settled:
            outcome = each[1]
            if outcome.stage is Stage.RCPT and outcome.reply and is_denial(outcome.reply):
                self._held.append(each)
                continue
            passed.append(each)
        return passed

    @property
    def verdict(self) -> Reply | None:
        """The last denial, once there are too many: the relay does not take mail from us."""
        return self._held[-1][1].reply if len(self._held) >= _IN_A_ROW else None

    def release(self) -> list[Settled]:
        """Those held back, as nobody else was there to compare with: deferred, and refused when it was so before."""
        held, self._held = self._held, []
        return [(letter, outcome if letter.recipient.attempts > 1 else _deferred(outcome)) for letter, outcome in held]


def _deferred(outcome: Outcome) -> Outcome:
    return replace(outcome, status=DeliveryStatus.DEFERRED)


def is_denial(reply: Reply) -> bool:
    """Whether a refused recipient may mean that the relay takes nothing from us."""
    kind = classify(reply)
    if reply.is_transient or kind not in {ReplyClass.POLICY, ReplyClass.OTHER}:
        return False
    return reply.code in {503, 530} or kind is ReplyClass.POLICY or _RELAY_WORDS.search(reply.text) is not None
