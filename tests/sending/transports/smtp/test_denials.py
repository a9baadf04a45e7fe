"""A relay that refuses every recipient refuses us, and charges nobody (STANDARDS S3)."""

import pytest

from jlgc_mailer.mail.replies import Reply, read_reply
from jlgc_mailer.sending.letters import Letter
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.sending.transports.smtp.denials import Denials, is_denial
from jlgc_mailer.sending.transports.smtp.envelope import NO_SMTPUTF8, UNSAFE
from jlgc_mailer.states import DeliveryStatus, Stage
from tests.sending.transports.supplies import NOON, a_letter

DENIAL = Reply(554, "<r@example.com>: Relay access denied", "5.7.1")


def refused(number: int, reply: Reply = DENIAL) -> tuple[Letter, Outcome]:
    return a_letter(number), Outcome(DeliveryStatus.REFUSED, Stage.RCPT, reply, NOON)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("554 5.7.1 <x>: Relay access denied", True),
        ("550 5.7.1 Unable to relay", True),
        ("550 relaying denied", True),
        ("550 Relay not permitted", True),
        ("550 not permitted to relay through this server; authentication required", True),
        ("530 5.7.0 Must issue a STARTTLS command first", True),
        ("503 5.5.1 Authenticate first", True),
        ("550 5.1.1 No such user", False),
        ("552 5.2.2 Mailbox full", False),
        ("450 4.7.1 Greylisted", False),
        ("553 5.6.7 No SMTPUTF8", False),
        (str(NO_SMTPUTF8), False),
        (str(UNSAFE), False),
    ],
)
def test_what_may_be_about_us(reply: str, *, expected: bool) -> None:
    assert is_denial(read_reply(int(reply[:3]), reply[4:])) is expected


def test_denials_are_held_until_the_third_and_then_it_is_the_relay() -> None:
    denials = Denials()
    assert denials.sift([refused(0), refused(1)]) == []
    assert denials.verdict is None
    assert denials.sift([refused(2)]) == []
    assert denials.verdict == DENIAL
    assert [letter.recipient.delivery_id for letter, _ in denials.release()] == [0, 1, 2]
    assert denials.verdict is None


def test_once_somebody_is_accepted_denials_are_about_their_recipients() -> None:
    denials = Denials()
    first, second = refused(0), refused(1)
    denials.sift([first])
    denials.trust()
    assert denials.sift([second]) == [second, first]


def test_denials_that_nothing_decided_are_deferred_the_first_time() -> None:
    """Nobody else was there to compare with; a second time it is believed."""
    denials = Denials()
    letter, outcome = refused(1)
    again = letter._replace(recipient=letter.recipient._replace(attempts=2))
    denials.sift([(letter, outcome), (again, outcome)])
    assert [each.status.value for _, each in denials.release()] == ["deferred", "refused"]
    assert denials.release() == []


def test_other_refusals_pass() -> None:
    denials = Denials()
    unknown = refused(0, Reply(550, "No such user", "5.1.1"))
    assert denials.sift([unknown]) == [unknown]
