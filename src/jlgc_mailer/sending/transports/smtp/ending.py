"""Why a connection is over, as a value."""

import re
from dataclasses import dataclass
from enum import Enum, IntEnum, auto

from jlgc_mailer.mail.replies import Reply
from jlgc_mailer.states import DeliveryStatus, Stage

_AUTHENTICATION_CODES = {530, 534, 535, 538}  # RFC 4954 section 6: trying again cannot help
_OUT_OF_STEP_CODES = {500, 502, 503}
_PIPELINING_WORDS = re.compile(r"pipelin", re.IGNORECASE)


class Mode(IntEnum):
    """How much goes into one write (RFC 2920)."""

    PLAIN = 0  # one command at a time
    GROUPED = 1  # MAIL, RCPT and DATA together
    STEADY = 2  # these together with the content of the letter before


class Weight(Enum):
    """What the end of a connection says about the relay."""

    OVER = auto()  # nothing: connections end
    FAILED = auto()  # no letter could even begin: as good as not connected
    REFUSED = auto()  # the relay does not take mail from us


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a connection is over.

    `too_much` is the mode that the relay could not follow; `is_told` whether it said so, or only hung up on it.
    """

    weight: Weight
    stage: Stage
    problem: str
    for_operator: bool = False
    too_much: Mode | None = None
    is_told: bool = False


def refused(stage: Stage, reply: Reply, weight: Weight = Weight.FAILED) -> Ending:
    """The end that follows from a reply to us, not to a recipient (STANDARDS S3)."""
    return Ending(weight, stage, str(reply), for_operator=reply.code in _AUTHENTICATION_CODES)


def is_out_of_step(reply: Reply) -> bool:
    """Whether a refusal is about the order of commands, and so neither about a recipient nor about us."""
    return reply.code in _OUT_OF_STEP_CODES or _PIPELINING_WORDS.search(reply.text) is not None


def status_of(reply: Reply) -> DeliveryStatus:
    """What a 4xx or 5xx to RCPT, DATA or content makes of the delivery; for what is not its fault it is not refused."""
    is_its_fault = not (reply.is_transient or reply.code in _OUT_OF_STEP_CODES | _AUTHENTICATION_CODES)
    return DeliveryStatus.REFUSED if is_its_fault else DeliveryStatus.DEFERRED
