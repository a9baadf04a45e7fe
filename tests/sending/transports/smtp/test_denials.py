"""A relay that refuses every recipient refuses us, and nobody is refused for it (STANDARDS S3)."""

from collections.abc import Sequence

import pytest

from jlgc_mailer.mail.replies import Reply, read_reply
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.sending.transports.smtp.denials import Denials, Settled, is_denial
from jlgc_mailer.sending.transports.smtp.envelope import NO_SMTPUTF8, UNSAFE
from jlgc_mailer.states import DeliveryStatus, Stage
from tests.sending.transports.supplies import NOON, a_letter

DENIAL = Reply(554, "<r@example.com>: Relay access denied", "5.7.1")


def refused(number: int, reply: Reply = DENIAL, attempts: int = 1) -> Settled:
    letter = a_letter(number)
    letter = letter._replace(recipient=letter.recipient._replace(attempts=attempts))
    return letter, Outcome(DeliveryStatus.REFUSED, Stage.RCPT, reply, NOON)


def shown(settled: Sequence[Settled]) -> dict[int, str]:
    return {letter.recipient.delivery_id: outcome.status.value for letter, outcome in settled}


def trusted() -> Denials:
    """When somebody was accepted already."""
    denials = Denials()
    denials.sift([], is_accepting=True)
    return denials


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
        ("550 5.4.5 Daily sending limit exceeded", True),
        ("550 5.4.4 Unable to route", False),
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


def test_the_third_first_denial_is_the_relays_and_defers_all_three() -> None:
    """STANDARDS S3: deferred, not put back, or the same three would come first again for ever."""
    denials = Denials()
    assert denials.sift([refused(0), refused(1)], is_accepting=False) == []
    assert denials.verdict is None
    assert shown(denials.sift([refused(2)], is_accepting=False)) == {0: "deferred", 1: "deferred", 2: "deferred"}
    assert denials.verdict == DENIAL
    assert denials.release() == []


def test_who_was_attempted_before_is_refused_at_once_and_counts_for_nothing() -> None:
    denials = Denials()
    again = [refused(number, attempts=2) for number in range(20)]
    assert denials.sift([refused(20), *again, refused(21)], is_accepting=False) == again
    assert denials.verdict is None


def test_once_somebody_is_accepted_denials_are_about_their_recipients() -> None:
    denials = Denials()
    first, second, third = (refused(number) for number in range(3))
    denials.sift([first], is_accepting=False)
    assert denials.sift([second], is_accepting=True) == [second, first]
    assert denials.sift([third], is_accepting=False) == []
    assert denials.sift([], is_accepting=True) == [third]


def test_the_tenth_denial_in_a_row_is_the_relays_though_somebody_was_accepted() -> None:
    """STANDARDS S3: a quota that is used up, or a blocklist that we came onto, hits everybody who follows."""
    denials = trusted()
    assert denials.sift([refused(number) for number in range(9)], is_accepting=False) == []
    assert denials.verdict is None
    assert shown(denials.sift([refused(9)], is_accepting=False)) == dict.fromkeys(range(10), "deferred")
    assert denials.verdict == DENIAL


def test_an_acceptance_in_between_starts_the_row_anew() -> None:
    denials = trusted()
    nine = [refused(number) for number in range(9)]
    for _ in range(3):
        denials.sift(nine, is_accepting=False)
        assert denials.sift([], is_accepting=True) == nine
    assert denials.verdict is None


def test_those_released_in_between_still_count() -> None:
    """A slow supply has them released one by one; the relay denies everybody all the same."""
    denials = Denials()
    for number in range(2):
        denials.sift([refused(number)], is_accepting=False)
        assert shown(denials.release()) == {number: "deferred"}
    assert shown(denials.sift([refused(2)], is_accepting=False)) == {2: "deferred"}
    assert denials.verdict == DENIAL


def test_what_comes_after_the_verdict_is_deferred_too() -> None:
    denials = trusted()
    denials.sift([refused(number) for number in range(10)], is_accepting=False)
    assert shown(denials.sift([refused(10)], is_accepting=False)) == {10: "deferred"}


@pytest.mark.parametrize(("denials", "expected"), [(Denials(), "deferred"), (trusted(), "refused")])
def test_denials_that_nothing_decided_are_deferred_unless_somebody_was_accepted(
    denials: Denials, expected: str
) -> None:
    denials.sift([refused(1)], is_accepting=False)
    assert shown(denials.release()) == {1: expected}
    assert denials.release() == []


def test_other_refusals_pass() -> None:
    denials = Denials()
    unknown = refused(0, Reply(550, "No such user", "5.1.1"))
    assert denials.sift([unknown], is_accepting=False) == [unknown]
