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
_IN_A_ROW_ONCE_TRUSTED = 10  # a few neighbours may have a strict host; a quota or a blocklist hits all who follow
_QUOTA = "5.4.5"  # "mail system congestion" by RFC 3463; large hosts say it when our quota of a day is used up
_RELAY_WORDS = re.compile(
    r"relay(ing)?\b.{0,40}\b(denied|not (permitted|allowed)|prohibited|disallowed)"
    r"|(unable|not (permitted|allowed)) to relay|authentication (is )?required",
    re.IGNORECASE,
)


class Denials:
    """Denials in a row, with nobody accepted between them, may be about us; too many are.

    Until that is clear those denied for the first time are held back. Who was attempted before and is denied again is
    believed at once, so that nobody stands at the head of a batch for ever.
    """

    def __init__(self) -> None:
        self.verdict: Reply | None = None  # the last denial, once there are too many: the relay takes no mail from us
        self._is_trusted = False
        self._in_a_row = 0
        self._held: list[Settled] = []

    def sift(self, settled: Sequence[Settled], *, is_accepting: bool) -> list[Settled]:
        """What may be written down of these and of those held back; `is_accepting`: somebody was accepted meanwhile."""
        if is_accepting:
            self._is_trusted, self._in_a_row = True, 0
            return [*settled, *self.release()]
        passed: list[Settled] = []
        for each in settled:
            (self._held if _is_first_denial(*each) else passed).append(each)
        self._in_a_row += len(settled) - len(passed)
        if self._held and self._in_a_row >= (_IN_A_ROW_ONCE_TRUSTED if self._is_trusted else _IN_A_ROW):
            self.verdict = self._held[-1][1].reply
            passed += self.release()
        return passed

    def release(self) -> list[Settled]:
        """Those held back: deferred, unless somebody was accepted and too few were denied since to doubt the relay."""
        held, self._held = self._held, []
        if self._is_trusted and not self.verdict:
            return held
        return [(letter, replace(outcome, status=DeliveryStatus.DEFERRED)) for letter, outcome in held]


def _is_first_denial(letter: Letter, outcome: Outcome) -> bool:
    is_first = letter.recipient.attempts <= 1
    return is_first and outcome.stage is Stage.RCPT and outcome.reply is not None and is_denial(outcome.reply)


def is_denial(reply: Reply) -> bool:
    """Whether a refused recipient may mean that the relay takes nothing from us."""
    kind = classify(reply)
    if reply.is_transient or kind not in {ReplyClass.POLICY, ReplyClass.NETWORK, ReplyClass.OTHER}:
        return False
    if kind is ReplyClass.POLICY or reply.status == _QUOTA:
        return True
    return kind is ReplyClass.OTHER and (reply.code in {503, 530} or _RELAY_WORDS.search(reply.text) is not None)
