"""How much a relay takes in one write, learned from how connections ended."""

from jlgc_mailer.sending.transports.smtp.ending import Ending, Mode, Weight
from jlgc_mailer.sending.transports.smtp.manners import Manners
from jlgc_mailer.states import Stage


def an_ending(too_much: Mode | None, *, is_told: bool = False, weight: Weight = Weight.OVER) -> Ending:
    return Ending(weight, Stage.MAIL, "why", too_much=too_much, is_told=is_told)


def test_a_relay_that_says_so_is_believed_at_once() -> None:
    """STANDARDS S6."""
    manners = Manners()
    manners.learn(an_ending(Mode.STEADY, is_told=True), proven=Mode.STEADY)
    assert manners.mode is Mode.GROUPED
    manners.learn(an_ending(Mode.GROUPED, is_told=True), proven=Mode.PLAIN)
    assert manners.mode is Mode.PLAIN


def test_one_lost_connection_is_no_proof() -> None:
    manners = Manners()
    manners.learn(an_ending(Mode.STEADY), proven=Mode.PLAIN)
    assert manners.mode is Mode.STEADY
    manners.learn(an_ending(Mode.STEADY), proven=Mode.PLAIN)
    assert manners.mode is Mode.GROUPED


def test_while_another_connection_does_well_hang_ups_prove_nothing() -> None:
    manners = Manners()
    for _ in range(5):
        manners.learn(an_ending(Mode.STEADY), proven=Mode.STEADY)
    assert manners.mode is Mode.STEADY


def test_connections_of_the_old_mode_teach_nothing_new() -> None:
    manners = Manners()
    manners.learn(an_ending(Mode.STEADY, is_told=True), proven=Mode.PLAIN)
    manners.learn(an_ending(Mode.STEADY, is_told=True), proven=Mode.PLAIN)
    assert manners.mode is Mode.GROUPED


def test_a_guess_that_did_not_help_is_taken_back() -> None:
    manners = Manners()
    for _ in range(2):
        manners.learn(an_ending(Mode.STEADY), proven=Mode.PLAIN)
    manners.learn(an_ending(None, weight=Weight.FAILED), proven=Mode.PLAIN)
    assert manners.mode is Mode.STEADY


def test_what_was_told_is_not_taken_back() -> None:
    manners = Manners()
    manners.learn(an_ending(Mode.STEADY, is_told=True), proven=Mode.PLAIN)
    manners.learn(an_ending(None, weight=Weight.FAILED), proven=Mode.PLAIN)
    assert manners.mode is Mode.GROUPED
